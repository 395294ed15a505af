"""The look of a forged region: what renderers, networks and pasting do to colour and detail."""

from __future__ import annotations

import numpy as np

from unmask.augment import tone
from unmask.augment.degrade import jpeg
from unmask.augment.opencv import cv2
from unmask.types import UInt8Array


def alter(rng: np.random.Generator, image: UInt8Array) -> UInt8Array:
    """Colour and detail of one side of a self-blend."""
    much = rng.uniform(0.15, 1)  # faint ones are the hard ones
    if rng.random() < 0.7:
        image = cv2.LUT(image, tone.draw_table(rng, 18 * much, 0.08 * much, 0.1 * much))
    if rng.random() < 0.5:
        table = tone.draw_hsv_table(rng, 3 * much, 0.3 * much, 0.12 * much)
        image = tone.apply_hsv(image, table)
    way = rng.random()
    if way < 0.35:
        return tone.down_up(image, rng.uniform(0.3, 0.9), cv2.INTER_LINEAR)
    if way < 0.55:
        return tone.sharpen(image, rng.uniform(0.2, 0.8), rng.uniform(0.8, 1.6))
    if way < 0.7:
        return _blurred(image, rng.uniform(0.4, 1.4))
    return jpeg(image, int(rng.integers(35, 95))) if way < 0.8 else image


def rerender(rng: np.random.Generator, image: UInt8Array) -> UInt8Array:
    """What a renderer or network does to skin: detail lost, light and colour slightly off."""
    image = smooth(rng, image)
    draws = rng.random(4)
    if draws[0] < 0.3:
        image = tone.sharpen(image, rng.uniform(0.3, 1.0), rng.uniform(0.8, 1.8))
    if draws[1] < 0.12:
        image = grid(rng, image)
    if draws[2] < 0.4:  # another light: a slow gain over the face
        coarse = 1 + rng.uniform(0.02, 0.08) * rng.standard_normal((3, 3, 1), np.float32)
        gain = cv2.resize(coarse, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        image = cv2.multiply(image, cv2.merge([gain] * 3), dtype=cv2.CV_8U)
    if draws[3] < 0.6:
        image = cv2.LUT(image, tone.draw_table(rng, 5, 0.02, 0.06))
    return image


def smooth(rng: np.random.Generator, image: UInt8Array) -> UInt8Array:
    """Detail lost in one of the usual ways; now and then hardly any."""
    way, amount = rng.random(), rng.random()
    if way < 0.35:
        return tone.down_up(image, 0.3 + 0.45 * amount)
    if way < 0.5:
        out: UInt8Array = cv2.bilateralFilter(image, 5, 12 + 25 * amount, 2.0)
        return out
    if way < 0.75:
        return _blurred(image, 0.6 + amount)
    if way < 0.85:
        median: UInt8Array = cv2.medianBlur(image, 3 if amount < 0.6 else 5)
        return median
    return _blurred(image, 0.35)  # hardly more than the resampling itself


def grid(rng: np.random.Generator, image: UInt8Array) -> UInt8Array:
    """A faint periodic pattern, as upsampling layers leave it."""
    period, height = int(rng.integers(2, 9)), rng.uniform(0.8, 2.5)
    tile = (rng.standard_normal((period, period)) * height).round()
    times = -(-len(image) // period)
    tiled = np.tile(tile, (times, times))[: len(image), : len(image)] + 128
    pattern = cv2.merge([np.clip(tiled, 0, 255).astype(np.uint8)] * 3)
    out: UInt8Array = cv2.addWeighted(image, 1, pattern, 1, -128)
    return out


def _blurred(image: UInt8Array, sigma: float) -> UInt8Array:
    out: UInt8Array = cv2.GaussianBlur(image, (0, 0), sigma)
    return out
