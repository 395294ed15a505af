"""Rows of the table on training and preparing."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import material
from measure import Cost, Row, ratio
from options import Options

if TYPE_CHECKING:
    from train_loop import Data, Setting


def train_row(options: Options) -> Row:
    """Clips of a store."""
    return _train("train", "clips", options)


def train_pairs_row(options: Options) -> Row:
    """Pairs made of a bank of faces."""
    return _train("train-pairs", "pairs", options)


def augmentation_row(options: Options) -> Row:
    """Augmentation beside the step that it belongs to."""
    from train_loop import AUGMENT, RESIDENT

    setting = _setting("clips", options)
    costs = _loop_costs(setting, min(options.repeat, 3))
    wall, processor = ratio(costs[AUGMENT], costs[RESIDENT])
    what = f"augmentation, {setting}, on the CPU"
    return Row("augmentation", what, "the whole step", "<=", 0.1, "%", wall, processor)


def _train(name: str, data: Data, options: Options) -> Row:
    from train_loop import LOOP, RESIDENT

    setting = _setting(data, options)
    costs = _loop_costs(setting, min(options.repeat, 3))
    wall, processor = ratio(costs[RESIDENT], costs[LOOP])
    words = {"clips": "clips of a store", "pairs": "pairs made by one worker beside it"}[data]
    what = f"training loop by speed, {setting}, {words}"
    against = "the same steps on one resident batch"
    return Row(name, what, against, ">=", 0.95, "x", wall, processor)


@lru_cache
def _loop_costs(setting: Setting, repeat: int) -> dict[str, list[Cost]]:
    """Two rows come of one measurement."""
    from train_loop import loop_costs

    return loop_costs(setting, repeat)


def _setting(data: Data, options: Options) -> Setting:
    from train_loop import Setting

    if options.quick:
        return Setting(data, "test_vit", size_px=64, frames=1, batch=2, steps=2)
    if data == "pairs":
        # As configs/unmask-base.yaml, which is what is trained on pairs. A worker starts once an
        # epoch: few steps would measure that.
        vit = "vit_small_patch14_dinov2"
        return Setting(data, vit, size_px=168, frames=1, batch=24, steps=16, blocks=8)
    return Setting(data, steps=6)


def prepare_row(options: Options) -> Row:
    """Cutting clips against decoding alone, both with two workers."""
    from prepare import DECODE, PREPARE, prepare_costs

    count, size_px = (2, (160, 120)) if options.quick else (8, (1280, 720))
    data = material.dataset(options.media / f"dataset_{size_px[1]}p", count, size_px)
    costs = prepare_costs(data, workers=2, repeat=min(options.repeat, 2))
    wall, processor = ratio(costs[DECODE], costs[PREPARE])
    what = f"prepare by speed, 2 workers, {count} files of {size_px[1]}p 4 s"
    return Row("prepare", what, "decoding with 2 workers", ">=", 0.6, "x", wall, processor)
