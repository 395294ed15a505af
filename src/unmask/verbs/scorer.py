"""What the verbs that measure share: a model of either runtime that scores clips of a store, as
they are or harmed, and the rows of predictions that come of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from unmask import weights
from unmask.augment.conditions import Condition
from unmask.clips import STILL_SUFFIXES, ClipStore
from unmask.config import ClipSpec, LoopConfig, TrainConfig, from_dict
from unmask.data.cache import ShardCache
from unmask.data.loader import ClipItem, ClipLoader, by_video, clip_items
from unmask.errors import DatasetError, ModelError
from unmask.evaluation import Prediction
from unmask.inference import ensemble, load_model
from unmask.models import load_checkpoint
from unmask.scoring import Calibration, Guard, Sufficiency, speaking, video_logit
from unmask.training.fabric import build_fabric
from unmask.training.validate import ClipScores, score_clips
from unmask.types import BoolArray, UInt8Array
from unmask.verbs.export import model_file

BATCH = 16  # clips at once


@dataclass(frozen=True)
class Scorer:
    """A model of either runtime, ready to score clips."""

    path: Path
    """A run's folder or a file."""
    config: TrainConfig
    """Of its training, as far as it is known."""
    calibration: Calibration
    guard: Guard
    facts: dict[str, Any]
    run: Callable[[UInt8Array, BoolArray], ClipScores]
    """Frames ``(B, T, S, S, 3)`` uint8 and their mask ``(B, T)`` to scores; B is small."""
    score: Callable[[ClipStore, Sequence[ClipItem]], ClipScores]

    def results_folder(self, data: Path, split: str) -> Path:
        """Where results go unless asked otherwise: never over those that the training left, and
        never beside a bundled model."""
        return self.run_folder / f"results-{data.resolve().name}-{split}"

    @property
    def run_folder(self) -> Path:
        """Of the run that the model is part of; the working folder where it is part of none."""
        if self.path.is_dir():
            return self.path
        models = self.path.resolve().parent
        return models.parent if models.name == "models" else Path()


def open_scorer(model: Path) -> Scorer:
    """Load a run's best model, a ``.pth``, ``.safetensors``, ``.onnx``, ``.json`` or a bundled one.

    Raises:
        ModelError: there is none, or it cannot be used.
    """
    model = weights.locate(model)
    file = model_file(model)
    if not file.exists():
        raise ModelError(
            f"There is no model at {file}.",
            hint="Give a run's folder, a .pth, .onnx or .json file, or a bundled model's name.",
        )
    exported = file.suffix in (".onnx", ensemble.SUFFIX)
    return _open_exported(model, file) if exported else _open_torch(model, file)


def _open_torch(model: Path, file: Path) -> Scorer:
    detector, checkpoint = load_checkpoint(file)
    fabric = build_fabric(LoopConfig(precision="fp32"))
    detector.to(fabric.device)

    def run(frames: UInt8Array, masks: BoolArray) -> ClipScores:
        clips = torch.from_numpy(frames).to(fabric.device).permute(0, 1, 4, 2, 3)
        with torch.inference_mode():
            output = detector(clips, torch.from_numpy(masks).to(fabric.device))
        return ClipScores.of(output, features=True)

    def score(store: ClipStore, items: Sequence[ClipItem]) -> ClipScores:
        cache = ShardCache(store, [item.ref for item in items], fabric.device)
        loader = ClipLoader(items, cache, fabric.device)
        return score_clips(fabric, detector, loader, BATCH, None, features=True)[0]

    facts = {
        "file": file.name,
        "runtime": f"torch on {fabric.device}",
        "metrics": checkpoint.metrics,
    }
    record = checkpoint.calibration
    return Scorer(
        model,
        checkpoint.config,
        Calibration.from_dict(record),
        Guard.from_record(record),
        facts,
        run,
        score,
    )


def _open_exported(model: Path, file: Path) -> Scorer:
    network = load_model(file)

    def run(frames: UInt8Array, masks: BoolArray) -> ClipScores:
        frame_logits, clip_logits, features = network.logits_and_features(frames, masks)
        told = None if features is None else features.astype(np.float16)
        return ClipScores(clip_logits, frame_logits, told)

    def score(store: ClipStore, items: Sequence[ClipItem]) -> ClipScores:
        parts = []
        for start in range(0, len(items), BATCH):
            part = items[start : start + BATCH]
            frames = np.stack([store.frames(item.ref) for item in part])
            parts.append(run(frames, np.array([item.ref.mask for item in part], bool)))
        return ClipScores.joined(parts)

    facts = {"file": file.name, "runtime": "ONNX Runtime", "sha256": network.sha256}
    known = network.metadata.get("training", {}).get("config", {})
    return Scorer(
        model,
        replace(from_dict(TrainConfig, known), clip=network.spec),
        Calibration.from_dict(network.calibration),
        Guard.from_record(network.calibration),
        facts,
        run,
        score,
    )


@dataclass(frozen=True)
class HarmedBatch:
    """A few clips under a condition."""

    items: Sequence[ClipItem]
    frames: UInt8Array
    """``(B, T, S, S, 3)``."""
    masks: BoolArray
    """``(B, T)``."""


def under(
    condition: Condition, store: ClipStore, items: Sequence[ClipItem], seed: int = 0
) -> Iterator[HarmedBatch]:
    """Clips of a store as a condition leaves them; noise follows from ``seed`` and their number."""
    for start in range(0, len(items), BATCH):
        part = items[start : start + BATCH]
        masks = np.array([item.ref.mask for item in part], np.bool_)
        frames = [
            condition(store.frames(item.ref), mask, _seed_of(seed, start + at))
            for at, (item, mask) in enumerate(zip(part, masks, strict=True))
        ]
        yield HarmedBatch(part, np.stack(frames), masks)


def _seed_of(seed: int, number: int) -> int:
    """One seed for the clip of this number."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def items_of(store: ClipStore, split: str) -> list[ClipItem]:
    """Every clip of a split.

    Raises:
        DatasetError: ``dataset_empty_split``: there is none.
    """
    items = clip_items(store, split, main_track_only=False)
    if not items:
        raise DatasetError(
            f"The {split} split of {store.path} has no clip.",
            code="dataset_empty_split",
            hint="Choose another --split, or see problems.csv in the store.",
        )
    return items


def _long_enough(items: Sequence[ClipItem], positions: Sequence[int], spec: ClipSpec) -> list[int]:
    """The clips of those people of a video who show in enough frames for `detect` to judge them; a
    still, or a store of few frames a video, is judged by what there is."""
    least = Sufficiency().min_frames
    still = PurePosixPath(items[positions[0]].record.path).suffix.lower() in STILL_SUFFIXES
    if still or spec.frames * spec.clips < 4 * least:
        return list(positions)
    crops: Counter[int] = Counter()
    for position in positions:
        crops[items[position].ref.track_id] += sum(items[position].ref.mask)
    return [p for p in positions if crops[items[p].ref.track_id] >= least]


def predictions_of(
    store: ClipStore,
    split: str,
    items: Sequence[ClipItem],
    scores: ClipScores,
    calibration: Calibration,
) -> list[Prediction]:
    """One row a video of the split: judged by its clips, or the reason why it gave none."""
    rows = []
    for video in by_video(items):
        positions = _long_enough(items, video, store.spec)
        if not positions:
            rows.append(Prediction.abstained(items[video[0]].record, "too_few_frames"))
            continue
        refs = [items[p].ref for p in positions]
        masks = [np.asarray(ref.mask, dtype=bool) for ref in refs]
        who, crops = [ref.track_id for ref in refs], [int(mask.sum()) for mask in masks]
        logit = video_logit(who, scores.clip_logits[positions], crops)
        frames = [
            scores.frame_logits[p][mask]
            for p, mask, speaks in zip(positions, masks, speaking(who, crops), strict=True)
            if speaks
        ]
        sizes = [ref.median_face_px for ref in refs if ref.track_id == refs[0].track_id]
        rows.append(
            Prediction.judged(
                items[positions[0]].record,
                calibration,
                logit,
                np.concatenate(frames).tolist(),
                float(np.median(sizes)),
            )
        )
    rows += [
        Prediction.abstained(entry.record, entry.code or entry.status)
        for entry in store.entries
        if entry.record.split == split and not entry.clips
    ]
    return rows
