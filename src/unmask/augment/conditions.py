"""Named harms of a fixed strength, to measure how well a detector stands them.

They are those of training (`unmask.augment.degrade`) at one strength. What a coder leaves open
(chroma, the way of scaling, shifts within a group of pictures) and noise are drawn for each clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unmask.augment.degrade import GRAIN_GAIN, Degradation, DegradeConfig
from unmask.augment.opencv import cv2
from unmask.types import BoolArray, UInt8Array

_Frames = list[UInt8Array]
_Harm = Callable[[_Frames, np.random.Generator], _Frames]

BLUR_SHARE = 0.015  # of the crop's side
NOISE_SIGMA = 10.0  # of 255, before the grain's colours are mixed
DARK, BRIGHT = 0.5, 1.5  # times the light


@dataclass(frozen=True)
class Condition:
    """One harm."""

    key: str
    """Stable, for tables that machines read."""
    name: str
    """For people."""
    harm: _Harm

    def __call__(self, frames: UInt8Array, mask: BoolArray, seed: int) -> UInt8Array:
        """A harmed copy of one clip.

        Args:
            frames: ``(T, S, S, 3)`` RGB uint8.
            mask: ``(T,)``: the crops that are there; the others stay as they are.
            seed: of whatever is random.
        """
        out, there = np.array(frames), np.flatnonzero(mask)
        if len(there):
            rng = np.random.default_rng((seed, int(there[0])))
            out[there] = self.harm(list(out[there]), rng)
        return out


def _coded(**settings: Any) -> _Harm:
    """The part of `Degradation` that ``settings`` turn on, with certainty."""
    config = replace(DegradeConfig.off(), **settings)

    def harm(crops: _Frames, rng: np.random.Generator) -> _Frames:
        degrade = Degradation(config, rng, crops[0].shape[0])
        if config.h264:  # crops lie far apart in time: each is coded with near copies of its own
            return [degrade([[crop]])[0][0] for crop in crops]
        return degrade([crops])[0]

    return harm


def _blur(crops: _Frames, rng: np.random.Generator) -> _Frames:
    sigma = BLUR_SHARE * crops[0].shape[0]
    return [np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma), np.uint8) for crop in crops]


def _light(gain: float) -> _Harm:
    return lambda crops, rng: [
        np.asarray(cv2.convertScaleAbs(crop, alpha=gain), np.uint8) for crop in crops
    ]


AS_IT_IS = Condition("none", "as it is", lambda crops, rng: crops)

CONDITIONS: tuple[Condition, ...] = (
    *(
        Condition(f"h264_crf_{crf}", f"H.264 CRF {crf}", _coded(h264=1.0, h264_crf=(crf, crf)))
        for crf in (23, 32, 40)
    ),
    *(
        Condition(f"jpeg_{q}", f"JPEG quality {q}", _coded(jpeg=1.0, jpeg_quality=(q, q)))
        for q in (90, 50, 30)
    ),
    Condition("scale_1_2", "scale 1/2", _coded(rescale=1.0, scale=(0.5, 0.5))),
    Condition("scale_1_4", "scale 1/4", _coded(rescale=1.0, scale=(0.25, 0.25))),
    Condition("blur", f"blur, {BLUR_SHARE:.1%} of the side", _blur),
    Condition(
        "noise",
        f"noise, sigma {GRAIN_GAIN * NOISE_SIGMA:.1f}",
        _coded(noise=1.0, noise_sigma=(NOISE_SIGMA, NOISE_SIGMA)),
    ),
    Condition("darker", f"darker, {DARK:g} times the light", _light(DARK)),
    Condition("brighter", f"brighter, {BRIGHT:g} times the light", _light(BRIGHT)),
)
"""What a robustness table has a row for."""

BY_KEY = {condition.key: condition for condition in CONDITIONS}
