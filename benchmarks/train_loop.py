"""Does the training loop keep up with the model, and what does augmentation cost?

    python benchmarks/train_loop.py [--data clips|pairs] [--backbone tf_efficientnet_lite0]
        [--size 112] [--frames 4] [--batch 8] [--steps 12] [--rounds 3] [--cache auto]
        [--workers 1]

`clips`: a store of random clips, augmented on the device. `pairs`: fresh pairs of authentic and
forged faces, made by worker processes while the model trains; the bank is the astronaut in forty
guises. Rounds of the real loop (batches drawn, gathered, augmented, stepped, counted and shown)
alternate with as many of its very steps on one batch that stays where it is. On a GPU it is used.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning_fabric import Fabric

from measure import Cost, print_costs, ratio, rounds
from pseudo_fakes import astronauts
from unmask.clips import ClipStore, StoreEntry, StoreWriter
from unmask.config import ClipSpec, TrainConfig, load
from unmask.data.cache import build_cache
from unmask.data.loader import ClipLoader, TrainingData, clip_items
from unmask.data.pairs import PairLoader
from unmask.data.pseudo import PairConfig, PairSource
from unmask.models import build
from unmask.training.fabric import build_fabric, tune_cuda
from unmask.training.loop import Trainer
from unmask.training.monitor import Monitor
from unmask.types import Clip, VideoRecord

Data = Literal["clips", "pairs"]
LOOP, RESIDENT, AUGMENT = "loop", "one resident batch", "augmentation alone"
_NO_AUGMENTATION = (
    "augment={flip: 0, crop_scale: [1, 1], rotate_deg: 0, colour: 0, grayscale: 0, blur: 0, "
    "noise: 0, downscale: 0, jpeg: 0}"
)


@dataclass(frozen=True)
class Setting:
    """What is trained on what."""

    data: Data = "clips"
    backbone: str = "tf_efficientnet_lite0"
    size_px: int = 112
    frames: int = 4
    batch: int = 8
    steps: int = 12
    cache: str = "auto"
    workers: int = 1
    blocks: int = 0
    """Kept of a vision transformer; 0 = all."""

    def __str__(self) -> str:
        blocks = f", {self.blocks} blocks" if self.blocks else ""
        return f"{self.backbone}{blocks}, {self.size_px} px, {self.batch} x {self.frames} frames"

    @property
    def config(self) -> TrainConfig:
        """As for `unmask train`."""
        pairs = (_NO_AUGMENTATION,) if self.data == "pairs" else ()  # they come degraded
        return load(
            None,
            [
                f"clip={{frames: {self.frames}, size_px: {self.size_px}}}",
                f"model={{name: frame, backbone: {self.backbone}, weights: random, "
                f"blocks: {self.blocks}}}",
                f"loop={{epochs: 1, batch_size: {self.batch}, steps_per_epoch: {self.steps}}}",
                f"data={{cache: {self.cache}, workers: {self.workers}}}",
                *pairs,
            ],
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=["clips", "pairs"], default="clips")
    parser.add_argument("--backbone", default=Setting.backbone)
    parser.add_argument("--size", type=int, default=Setting.size_px, dest="size_px")
    parser.add_argument("--frames", type=int, default=Setting.frames)
    parser.add_argument("--batch", type=int, default=Setting.batch)
    parser.add_argument("--steps", type=int, default=Setting.steps)
    parser.add_argument("--cache", default=Setting.cache)
    parser.add_argument("--workers", type=int, default=Setting.workers)
    parser.add_argument("--rounds", type=int, default=3)
    options = vars(parser.parse_args())
    repeat = options.pop("rounds")
    setting = Setting(**options)
    costs = loop_costs(setting, repeat)
    print(f"{setting} of {setting.data}, least of {repeat} x {setting.steps} steps")
    print_costs(costs, RESIDENT)
    wall, processor = ratio(costs[RESIDENT], costs[LOOP])
    print(f"loop / resident, by speed {wall.value:.3f} (cpu {processor.value:.3f}), target 0.95")
    wall, processor = ratio(costs[AUGMENT], costs[RESIDENT])
    print(f"augmentation / step  {wall.value:.1%} (cpu {processor.value:.1%}), target 10 %")


def loop_costs(setting: Setting, repeat: int) -> dict[str, list[Cost]]:
    """`LOOP`, `RESIDENT` and `AUGMENT`: as many steps of each, with the same random draws."""
    with _trainer(setting) as trainer:
        batch = trainer.train_loader.probe(setting.batch)
        device = trainer.fabric.device

        def loop() -> None:
            _to_start(trainer)
            with Monitor(device) as monitor:
                trainer._epoch(monitor)
            _wait_for(device)

        def resident() -> None:
            _to_start(trainer)
            for _ in range(setting.steps):
                trainer._step(batch)
                trainer.state.step += 1
            _wait_for(device)

        def augment() -> None:
            _to_start(trainer)
            for _ in range(setting.steps):
                trainer.augment(batch.clips, trainer._seed_step())
                trainer.state.step += 1
            _wait_for(device)

        trainer.model.train()
        resident()  # warm
        return rounds({LOOP: loop, RESIDENT: resident, AUGMENT: augment}, repeat)


def _to_start(trainer: Trainer) -> None:
    """All works draw the same augmentations: they follow from the step's number."""
    trainer.state.step = trainer.state.step_in_epoch = 0


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


@contextmanager
def _trainer(setting: Setting) -> Iterator[Trainer]:
    config = setting.config
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if setting.data == "pairs":
            fabric = build_fabric(config.loop, config.model)
            fabric.launch()
            yield _trainer_on(fabric, config, _pairs(setting, fabric.device), folder / "run")
        else:
            store = make_store(folder / "store", config.clip, setting.batch * setting.steps)
            yield make_trainer(config, store, folder / "run")


def make_trainer(config: TrainConfig, store: ClipStore, run: Path) -> Trainer:
    """The trainer that `unmask train` would build."""
    fabric = build_fabric(config.loop, config.model)
    fabric.launch()
    tune_cuda(fabric.device, deterministic=config.loop.deterministic)
    items = clip_items(store, "train", main_track_only=True)
    cache = build_cache(store, [item.ref for item in items], fabric.device, config.data.cache)
    return _trainer_on(fabric, config, ClipLoader(items, cache, fabric.device, seed=0), run)


def _trainer_on(fabric: Fabric, config: TrainConfig, data: TrainingData, run: Path) -> Trainer:
    model = build(config.model, config.clip.size_px)
    trainer = Trainer(fabric, config, model, data, data, run)  # type: ignore[arg-type]
    trainer.state.batch_size = trainer.micro = config.loop.batch_size
    return trainer


def _pairs(setting: Setting, device: torch.device) -> PairLoader:
    kinds = {"sbi": 0.4, "swap": 0.3, "reenact": 0.2, "rerender": 0.1}
    pairs = PairConfig(
        setting.size_px, setting.frames, kinds=kinds, sources={"portraits": 1.0}, patch_px=16
    )
    # As many as the steps take: the bank's forty would end an epoch before.
    authentic = {"portraits": setting.batch * setting.steps // 2}
    source = PairSource(astronauts(), pairs)
    return PairLoader(source, device, workers=setting.workers, authentic=authentic)


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
