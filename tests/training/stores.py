"""A small clip store to train on: textured crops, the fake ones with a smooth patch inside."""

from pathlib import Path

import numpy as np

from unmask.clips import StoreEntry, StoreWriter, write_records
from unmask.config import ClipSpec, TrainConfig, load
from unmask.types import Clip, VideoRecord

SPEC = ClipSpec(frames=3, size_px=32)
COUNTS = {"train": 12, "val": 6, "test": 6}  # authentic videos; as many fakes


def make_store(folder: Path, spec: ClipSpec = SPEC, people: int = 1, face_px: int = 32) -> Path:
    """Write the store into ``folder``; every fake names its source, ``people`` are in a video,
    whose faces were ``face_px`` large there."""
    rng = np.random.default_rng(0)
    records = []
    with StoreWriter(folder, spec) as writer:
        for split, count in COUNTS.items():
            for number in range(count):
                for label in (0, 1):
                    path = f"{split}/{'fake' if label else 'real'}/{number:02d}.mp4"
                    record = VideoRecord(
                        path=path,
                        label=label,
                        split=split,
                        group=f"{split}{number}",
                        source=path.replace("fake", "real") if label else "",
                    )
                    records.append(record)
                    clips = [_clip(rng, label, track_id, face_px) for track_id in range(people)]
                    writer.append(StoreEntry(record, "ok"), clips)
    write_records(folder / "manifest.csv", records)
    return folder


def tiny_config(*words: str) -> TrainConfig:
    """The real architecture at its smallest, two epochs."""
    return load(
        None,
        [
            "clip={frames: 3, size_px: 32}",
            "model={backbone: test_resnet, weights: random, lstm_hidden: 8, lstm_layers: 1, "
            "attention_heads: 2, dropout: 0.1}",
            "optim={lr: 1.0e-3, warmup_steps: 2}",
            "loop={epochs: 2, batch_size: 4, checkpoint_steps: 2, accelerator: cpu}",
            "loop.precision=fp32",
            *words,
        ],
    )


def _clip(rng: np.random.Generator, label: int, track_id: int, face_px: int) -> Clip:
    frames = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    if label:
        frames[:, 8:24, 8:24] = frames[:, 8:24, 8:24].mean((1, 2), keepdims=True).astype(np.uint8)
    return Clip(
        frames=frames,
        mask=np.array([True, True, rng.random() < 0.7]),
        pts_seconds=np.arange(3, dtype=np.float32),
        boxes_xyxy_px=np.tile(np.array([0, 0, face_px, face_px], np.float32), (3, 1)),
        keypoints_px=np.zeros((3, 5, 2), np.float32),
        track_id=track_id,
    )
