"""Pseudo-fakes: authentic faces, forged so that they show what face manipulation leaves behind.

Five kinds, each after a family of manipulations:

- ``sbi``: a face blended with an altered copy of itself (Shiohara & Yamasaki, CVPR 2022,
  "Detecting Deepfakes with Self-Blended Images"): blending boundaries, colour and detail that
  differ within one face.
- ``swap``: another identity warped onto the landmarks, as graphics-based face swaps do.
- ``reenact``: the same face with another expression, re-rendered and pasted back, in the way of
  Face2Face.
- ``mouth``: only mouth or lower face replaced and smoothed, as NeuralTextures and lip-sync do.
- ``rerender``: the face squeezed through a low resolution with its colour off, as the output of a
  deepfake autoencoder, in a hull or a box.

``none`` forges nothing: a test of everything that comes after. NumPy and OpenCV only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from unmask.augment import render, tone
from unmask.augment.expression import express, mouth_interior
from unmask.augment.masks import BROWS, EYES, LIPS, NOSE, OVAL, face_mask
from unmask.augment.opencv import cv2
from unmask.augment.warp import (
    affine_between,
    identity,
    landmark_flow,
    random_flow,
    transform,
    warp,
)
from unmask.types import FloatArray, UInt8Array

ALIGN_POINTS = OVAL[::3] + BROWS[::4] + EYES[::6] + LIPS[::4] + NOSE[::3]
"""Mesh points by which faces are compared and laid over each other."""
_RIGID = OVAL[:8] + OVAL[-8:] + BROWS[::3] + EYES[::5] + (168, 6, 197)  # moved by no expression


@dataclass(frozen=True)
class FaceCrop:
    """One face, landmarks in its own pixels."""

    image: UInt8Array
    """RGB ``(H, W, 3)``; square where it is the face to forge."""
    points: FloatArray
    """``(468, 2)`` x, y."""


@dataclass(frozen=True)
class Moment:
    """What differs from frame to frame while all the other draws of a forgery stay the same."""

    phase: float = 0.0
    """Radians: outlines, deformations and expressions move smoothly with it."""
    gain: FloatArray = field(default_factory=lambda: np.ones(3, np.float32))
    """Colour flicker: what each channel of the forged region is multiplied by."""
    jitter_px: FloatArray = field(default_factory=lambda: np.zeros(2, np.float32))
    """Shape flicker: the forged region's shift."""


@dataclass(frozen=True)
class Forgery:
    """An authentic picture and its pseudo-fake."""

    authentic: UInt8Array
    """RGB ``(S, S, 3)``. Where the forgery alters the *surroundings* (half of ``sbi``), this shows
    the same alteration, so the alteration itself says nothing."""
    fake: UInt8Array
    mask: FloatArray
    """``(S, S)`` 0-1: the share of forged pixels."""


Forge = Callable[[np.random.Generator, FaceCrop, FaceCrop | None, Moment], Forgery]
STILL = Moment()


def forge(
    kind: str,
    rng: np.random.Generator,
    face: FaceCrop,
    donor: FaceCrop | None = None,
    moment: Moment = STILL,
) -> Forgery:
    """One pseudo-fake of a kind.

    Args:
        kind: a key of `KINDS`.
        rng: all randomness. The same state with another ``moment`` gives another frame of the
            same forgery.
        face: the authentic square crop.
        donor: another face in any framing: ``swap`` needs one; ``mouth`` uses one where given
            (another frame of the same person is best).
        moment: for clips.

    Raises:
        ValueError: unknown kind, a crop that is not square, or no donor where one is needed.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if face.image.shape[0] != face.image.shape[1]:
        raise ValueError(f"the face's crop must be square, got {face.image.shape}")
    return KINDS[kind](rng, face, donor, moment)


def _none(
    rng: np.random.Generator, face: FaceCrop, donor: FaceCrop | None, moment: Moment
) -> Forgery:
    return Forgery(face.image, face.image.copy(), np.zeros(face.image.shape[:2], np.float32))


def _self_blend(
    rng: np.random.Generator, face: FaceCrop, donor: FaceCrop | None, moment: Moment
) -> Forgery:
    side = len(face.image)
    shape = pick(
        rng, face=0.24, brows_to_chin=0.3, inner=0.18, lower=0.1, mouth=0.1, eyes_nose=0.08
    )
    mask = face_mask(face.points, side, shape, rng, phase=moment.phase)
    source, target = face.image, face.image
    if rng.random() < 0.5:
        source = render.alter(rng, source)
    else:
        target = render.alter(rng, target)
    if rng.random() < 0.25:
        source = tone.down_up(source, rng.uniform(0.25, 0.65))
    scale, shift = rng.uniform(0.95, 1.05), rng.uniform(-1, 1, 2) * (0.03, 0.015) * side
    flow = ((identity(side, side) - side / 2) * (1 / scale - 1) - shift).astype(np.float32)
    if rng.random() < 0.6:
        amplitude = rng.uniform(0.0025, 0.012) * side
        flow = flow + random_flow(rng, side, amplitude, int(rng.integers(5, 11)), moment.phase)
    source = warp(source, flow)
    if rng.random() < 0.7:
        mask = warp(mask, flow)
    ratio = _ratio(rng, 0.5, 0.75, 1, 1, 1)
    return _paste(target, source, ratio * mask, moment)


def _swap(
    rng: np.random.Generator, face: FaceCrop, donor: FaceCrop | None, moment: Moment
) -> Forgery:
    if donor is None:
        raise ValueError("a swap needs a donor")
    shape = pick(rng, face=0.25, brows_to_chin=0.5, inner=0.25)
    follow = rng.uniform(0.5, 1.0) if rng.random() < 0.75 else rng.uniform(0, 0.3)
    if shape == "face" and not _holds(donor, OVAL):
        shape = "brows_to_chin"  # a tight donor has no forehead to give
    sharp = (0.002, 0.012) if rng.random() < 0.4 else (0.006, 0.045)
    mask = face_mask(face.points, len(face.image), shape, rng, feather=sharp, phase=moment.phase)
    source = _lay_over(donor, face, ALIGN_POINTS, follow)
    matched = rng.uniform(0.6, 1.0) if rng.random() < 0.85 else rng.uniform(0, 0.5)
    source = tone.match(source, face.image, mask > 0.4, matched)
    if rng.random() < 0.5:
        source = render.rerender(rng, source)
    ratio = _ratio(rng, 0.8, 0.9, 1, 1, 1)
    return _paste(face.image, source, ratio * mask, moment)


def _reenact(
    rng: np.random.Generator, face: FaceCrop, donor: FaceCrop | None, moment: Moment
) -> Forgery:
    side = len(face.image)
    shape = pick(rng, face=0.2, brows_to_chin=0.55, inner=0.25)
    mask = face_mask(face.points, side, shape, rng, feather=(0.004, 0.04), phase=moment.phase)
    moved = express(face.points, rng, phase=moment.phase)
    source = warp(face.image, landmark_flow(face.points, moved, side, 0.026 * side))
    source = mouth_interior(source, face.points, moved, rng)
    source = render.rerender(rng, source)
    ratio = _ratio(rng, 0.85, 1, 1, 1)
    return _paste(face.image, source, ratio * mask, moment)


def _mouth(
    rng: np.random.Generator, face: FaceCrop, donor: FaceCrop | None, moment: Moment
) -> Forgery:
    side = len(face.image)
    shape = pick(rng, mouth=0.4, lower=0.6)
    mask = face_mask(face.points, side, shape, rng, feather=(0.006, 0.045), phase=moment.phase)
    if donor is None or rng.random() < 0.35:
        moved = express(face.points, rng, mouth_only=True, phase=moment.phase)
        source = warp(face.image, landmark_flow(face.points, moved, side, 0.026 * side))
        source = mouth_interior(source, face.points, moved, rng)
    else:
        source = _lay_over(donor, face, _RIGID + LIPS[::5], rng.uniform(0, 0.35))
        source = tone.match(source, face.image, mask > 0.3, rng.uniform(0.7, 1.0))
    source = render.rerender(rng, source)
    return _paste(face.image, source, _ratio(rng, 0.85, 1, 1, 1) * mask, moment)


def _rerender(
    rng: np.random.Generator, face: FaceCrop, donor: FaceCrop | None, moment: Moment
) -> Forgery:
    side = len(face.image)
    shape = pick(rng, face=0.25, brows_to_chin=0.35, inner=0.2, box=0.2)
    mask = face_mask(face.points, side, shape, rng, feather=(0.004, 0.05), phase=moment.phase)
    flow = random_flow(rng, side, rng.uniform(0.003, 0.014) * side, 5, moment.phase)
    source = warp(face.image, flow)
    if rng.random() < 0.5:
        source = render.smooth(rng, source)
    source = tone.down_up(source, rng.uniform(48, 128) / 196 * 0.9)
    if rng.random() < 0.4:
        source = tone.sharpen(source, rng.uniform(0.4, 1.4), rng.uniform(0.8, 2.0))
    if rng.random() < 0.2:
        source = render.grid(rng, source)
    source = cv2.LUT(source, tone.draw_table(rng, 9, 0.04, 0.14))
    return _paste(face.image, source, _ratio(rng, 0.85, 1, 1, 1) * mask, moment)


KINDS: dict[str, Forge] = {
    "sbi": _self_blend,
    "swap": _swap,
    "reenact": _reenact,
    "mouth": _mouth,
    "rerender": _rerender,
    "none": _none,
}


def _lay_over(
    donor: FaceCrop, face: FaceCrop, anchors: tuple[int, ...], follow: float
) -> UInt8Array:
    """The donor's face at the place of another: an affinity by anchor points, then landmarks.

    ``follow`` is how far each landmark goes the rest of the way to the face's own (0-1).
    """
    side = len(face.image)
    some = list(anchors)
    matrix = affine_between(donor.points[some], face.points[some])
    laid = transform(donor.points, matrix)
    place = identity(side, side)
    if follow > 0:
        goal = laid + follow * (face.points - laid)
        place = place + landmark_flow(laid, goal, side, 0.035 * side)
    back = cv2.invertAffineTransform(matrix)
    place = cv2.transform(place, back)
    picture = donor.image
    shrink = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if shrink < 0.7:
        picture = cv2.blur(picture, (round(1 / shrink), round(1 / shrink)))
    out: UInt8Array = cv2.remap(
        picture,
        place.astype(np.float32),
        None,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return out


def _holds(face: FaceCrop, some: tuple[int, ...]) -> bool:
    """Whether the picture holds these landmarks (a small overhang is forgiven)."""
    height, width = face.image.shape[:2]
    points = face.points[list(some)]
    slack = 0.02 * max(height, width)
    return bool((points >= -slack).all() and (points <= np.array([width, height]) + slack).all())


def _paste(target: UInt8Array, source: UInt8Array, mask: FloatArray, moment: Moment) -> Forgery:
    if moment is not STILL:
        source = cv2.multiply(source, (*(float(g) for g in moment.gain), 1.0))
        shift = np.array([[1, 0, moment.jitter_px[0]], [0, 1, moment.jitter_px[1]]], np.float32)
        size = mask.shape[::-1]
        source = cv2.warpAffine(source, shift, size, borderMode=cv2.BORDER_REFLECT_101)
        mask = cv2.warpAffine(mask, shift, size)
    fake: UInt8Array = cv2.blendLinear(source, target, mask, 1 - mask)
    return Forgery(target, fake, mask)


def pick(rng: np.random.Generator, **weights: float) -> str:
    """One of the names, as often as its weight says; never one without any."""
    bounds = np.cumsum(list(weights.values()))
    at = int(np.searchsorted(bounds, rng.random() * bounds[-1], side="right"))
    return list(weights)[min(at, len(weights) - 1)]


def _ratio(rng: np.random.Generator, *choices: float) -> np.float32:
    return np.float32(choices[rng.integers(len(choices))])
