"""Colour and sharpness of 8-bit pictures, by lookup tables and small kernels (NumPy and OpenCV).

`unmask.augment.colour` does the like on the training device; this is for the data workers, where
pseudo-fakes are made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask.augment.opencv import cv2
from unmask.types import BoolArray, UInt8Array

_LEVELS = np.arange(256, dtype=np.float32)


def draw_table(
    rng: np.random.Generator, shift: float, brightness: float, contrast: float
) -> UInt8Array:
    """A lookup table ``(1, 256, 3)``: contrast about the middle, brightness, a shift a channel.

    Args:
        rng: source of the draws.
        shift: grey levels that a channel moves at most.
        brightness: share of the range that all move at most.
        contrast: the slope is 1 plus or minus at most this.
    """
    slope = 1 + rng.uniform(-contrast, contrast)
    base = 128 + rng.uniform(-brightness, brightness) * 255
    levels = (_LEVELS[:, None] - 128) * slope + base + rng.uniform(-shift, shift, 3)
    return _table(levels)


def draw_hsv_table(
    rng: np.random.Generator, hue: float, saturation: float, value: float
) -> UInt8Array:
    """A lookup table ``(1, 256, 3)`` for OpenCV's HSV; ``hue`` in its units (2 degrees each)."""
    turned = (_LEVELS + rng.uniform(-hue, hue)) % 180
    scaled = [_LEVELS * (1 + rng.uniform(-most, most)) for most in (saturation, value)]
    return _table(np.stack([turned, *scaled], -1))


def apply_hsv(image: UInt8Array, table: UInt8Array) -> UInt8Array:
    """An RGB picture through a table of `draw_hsv_table`."""
    hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), table)
    out: UInt8Array = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return out


def match(source: UInt8Array, target: UInt8Array, inside: BoolArray, strength: float) -> UInt8Array:
    """``source`` with each channel's mean and spread moved to ``target``'s, over a region.

    Args:
        source: RGB ``(H, W, 3)``.
        target: RGB, same shape.
        inside: ``(H, W)``: where the statistics are taken.
        strength: 0 = unchanged, 1 = fully matched.
    """
    mask = inside.astype(np.uint8)
    mean_s, std_s = (v[:, 0] for v in cv2.meanStdDev(source, mask=mask))
    mean_t, std_t = (v[:, 0] for v in cv2.meanStdDev(target, mask=mask))
    gain = 1 + strength * (np.clip(std_t / np.maximum(std_s, 1), 0.5, 2) - 1)
    offset = mean_s + strength * (mean_t - mean_s)
    out: UInt8Array = cv2.LUT(source, _table((_LEVELS[:, None] - mean_s) * gain + offset))
    return out


def sharpen(image: UInt8Array, amount: float, sigma: float) -> UInt8Array:
    """Unsharp masking."""
    soft = cv2.GaussianBlur(image, (0, 0), sigma)
    out: UInt8Array = cv2.addWeighted(image, 1 + amount, soft, -amount, 0)
    return out


def down_up(image: UInt8Array, share: float, way: int = cv2.INTER_AREA) -> UInt8Array:
    """The picture scaled to a share of its size and back: detail beyond that is gone."""
    height, width = image.shape[:2]
    small = (max(8, round(width * share)), max(8, round(height * share)))
    low = cv2.resize(image, small, interpolation=way)
    out: UInt8Array = cv2.resize(low, (width, height), interpolation=cv2.INTER_CUBIC)
    return out


def _table(levels: NDArray[np.floating[Any]]) -> UInt8Array:
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)[None]
