"""Where in a face the model looked: from its own patch logits, or by covering parts of the crop.

Neither is proof of anything: a map tells what moved the model, not what was done to the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from unmask.inference.model import Model
from unmask.types import FloatArray, UInt8Array

CELLS = 6
"""Cells a side of a map by occlusion."""
COVER = 2
"""Cells a side that one grey square covers: a third of the crop."""
LEAST_DROP = 1.0
"""The fall of the logit that is shown at full strength where nothing falls by more:
a model that nothing moves must not look decided."""


@dataclass(frozen=True)
class Heatmap:
    """How much each part of a crop speaks for manipulation."""

    values: FloatArray
    """``(g, g)`` float32, 0-1, row 0 at the top."""
    method: Literal["patches", "occlusion"]
    """``patches``: the model's own P(manipulated) of each patch, not calibrated. ``occlusion``:
    how far the frame's logit falls when the part is covered, over the largest fall (or over
    `LEAST_DROP`, where that is more)."""


def heatmap(model: Model, crop: UInt8Array) -> Heatmap:
    """The map of one crop: one pass of the network, over one crop or 26 of them.

    Args:
        model: patch logits are used where it has them.
        crop: ``(size_px, size_px, 3)`` RGB uint8, cut as the model's clips are.

    Raises:
        ValueError: a crop of another size than the model's.
    """
    side = model.spec.size_px
    if crop.shape != (side, side, 3) or crop.dtype != np.uint8:
        raise ValueError(f"crop must be ({side}, {side}, 3) uint8, got {crop.shape} {crop.dtype}")
    if model.has_patches:
        patches = model.patch_logits(crop[None, None], np.ones((1, 1), np.bool_))[0, 0]
        values = np.nan_to_num(0.5 * (1 + np.tanh(0.5 * patches)))  # NaN: a patch not looked at
        return Heatmap(np.asarray(values, np.float32), "patches")
    return Heatmap(_by_occlusion(model, crop), "occlusion")


def _by_occlusion(model: Model, crop: UInt8Array) -> FloatArray:
    """Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", 2014, section 4.2.

    Squares overlap by half; a cell gets the mean fall over the squares that cover it.
    """
    edges = np.linspace(0, len(crop), CELLS + 1).round().astype(int)
    places = [(y, x) for y in range(CELLS - COVER + 1) for x in range(CELLS - COVER + 1)]
    covered = np.repeat(crop[None], 1 + len(places), axis=0)  # the first one stays as it is
    grey = crop.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    for number, (y, x) in enumerate(places, start=1):
        covered[number, edges[y] : edges[y + COVER], edges[x] : edges[x + COVER]] = grey
    logits, _ = model.logits(covered[:, None], np.ones((len(covered), 1), np.bool_))
    total, times = np.zeros((CELLS, CELLS)), np.zeros((CELLS, CELLS))
    for (y, x), logit in zip(places, logits[1:, 0], strict=True):
        total[y : y + COVER, x : x + COVER] += logits[0, 0] - logit
        times[y : y + COVER, x : x + COVER] += 1
    drops = np.maximum(total / times, 0)
    return np.asarray(drops / max(float(drops.max()), LEAST_DROP), np.float32)
