"""Does the training loop keep up with the model, and what does augmentation cost?

    python benchmarks/train_loop.py [--backbone tf_efficientnet_lite0] [--size 112] [--frames 4]
        [--batch 8] [--steps 12] [--rounds 3] [--cache auto]

A store of random clips is made in a temporary folder. Rounds of the loop (batches drawn, gathered,
augmented, stepped, counted and shown) alternate with as many of its very steps on one batch that
stays where it is; the least of each counts. On a GPU it is used.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from unmask.clips import ClipStore, StoreEntry, StoreWriter
from unmask.config import ClipSpec, TrainConfig, load
from unmask.data.cache import build_cache
from unmask.data.loader import ClipLoader, clip_items
from unmask.models import build
from unmask.training.fabric import build_fabric, tune_cuda
from unmask.training.loop import Trainer
from unmask.training.monitor import Monitor
from unmask.types import Clip, VideoRecord


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", default="auto")
    options = parser.parse_args()
    config = load(
        None,
        [
            f"clip={{frames: {options.frames}, size_px: {options.size}}}",
            f"model={{name: frame, backbone: {options.backbone}, weights: random}}",
            f"loop={{epochs: 1, batch_size: {options.batch}, steps_per_epoch: {options.steps}}}",
            f"data={{cache: {options.cache}}}",
        ],
    )
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder) / "store", config.clip, options.batch * options.steps)
        trainer = make_trainer(config, store, Path(folder) / "run")
        report(trainer, options.steps, options.rounds)


def report(trainer: Trainer, steps: int, rounds: int) -> None:
    """Alternate the loop and the resident step; print images a second and their ratio."""
    batch = trainer.train_loader.batch(list(range(trainer.state.batch_size)))
    images = batch.mask.numel() * steps

    def loop() -> None:
        trainer.state.step_in_epoch = 0
        with Monitor(trainer.fabric.device) as monitor:
            trainer._epoch(monitor)

    def resident() -> None:
        for _ in range(steps):
            trainer._step(batch)

    def augment() -> None:
        for _ in range(steps):
            trainer.augment(batch.clips, trainer._seed_step())

    works = {"loop": loop, "one resident batch": resident, "augmentation alone": augment}
    trainer.model.train()
    resident()
    costs = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            costs[name].append(cost(work, trainer.fabric.device))
    least = {name: np.min(values, axis=0) for name, values in costs.items()}
    config = trainer.config
    print(
        f"{config.model.backbone}, {config.clip.size_px} px, batch {trainer.state.batch_size} x "
        f"{config.clip.frames} frames, {trainer.fabric.device}, clips in "
        f"'{trainer.train_loader.cache.tier}', {torch.get_num_threads()} threads, "
        f"least of {rounds} x {steps} steps"
    )
    for name, (wall, processor) in least.items():
        print(f"{name:20s} {images / wall:8.1f} img/s wall {images / processor:8.1f} img/s of cpu")
    wall, processor = least["one resident batch"] / least["loop"]
    print(f"loop / resident      {wall:8.3f} (cpu {processor:.3f}), target 0.95")
    wall, processor = least["augmentation alone"] / least["one resident batch"]
    print(f"augmentation / step  {wall:8.1%} (cpu {processor:.1%}), target 10 % on a GPU")


def cost(work: Callable[[], None], device: torch.device) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - processor


def make_trainer(config: TrainConfig, store: ClipStore, run: Path) -> Trainer:
    """The trainer that `unmask train` would build."""
    fabric = build_fabric(config.loop)
    fabric.launch()
    tune_cuda(fabric.device, deterministic=config.loop.deterministic)
    items = clip_items(store, "train", main_track_only=True)
    cache = build_cache(store, [item.ref for item in items], fabric.device, config.data.cache)
    loader = ClipLoader(items, cache, fabric.device, seed=0)
    model = build(config.model, config.clip.size_px)
    trainer = Trainer(fabric, config, model, loader, loader, run)
    trainer.state.batch_size = trainer.micro = config.loop.batch_size
    return trainer


def make_store(folder: Path, spec: ClipSpec, count: int, val: int = 0) -> ClipStore:
    """Random clips of both classes, the last ``val`` of them beyond ``count`` for validation."""
    rng = np.random.default_rng(0)
    with StoreWriter(folder, spec) as writer:
        for number in range(count + val):
            split = "train" if number < count else "val"
            record = VideoRecord(f"{number}.mp4", number % 2, split, group=str(number))
            frames = rng.integers(
                0, 256, (spec.frames, spec.size_px, spec.size_px, 3), dtype=np.uint8
            )
            clip = Clip(
                frames=frames,
                mask=np.ones(spec.frames, bool),
                pts_seconds=np.arange(spec.frames, dtype=np.float32),
                boxes_xyxy_px=np.zeros((spec.frames, 4), np.float32),
                keypoints_px=np.zeros((spec.frames, 5, 2), np.float32),
                track_id=0,
            )
            writer.append(StoreEntry(record, "ok"), [clip])
    return ClipStore.open(folder, spec)


if __name__ == "__main__":
    main()
