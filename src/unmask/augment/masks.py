"""Soft masks over a face, drawn from dense landmarks: where a pseudo-fake replaces pixels."""

from __future__ import annotations

import numpy as np

from unmask.augment.opencv import cv2
from unmask.augment.warp import random_flow, warp
from unmask.types import FloatArray

# Indices into the 468-point face mesh (MediaPipe's numbering).
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
JAW = OVAL[7:30]  # ear to ear by way of the chin
BROWS = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 336, 296, 334, 293, 300, 285, 295, 282, 283, 276)
EYES = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246,
        362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398)  # fmt: skip
NOSE = (168, 6, 197, 195, 5, 4, 1, 2, 98, 327, 129, 358)
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
)  # fmt: skip

SHAPES: dict[str, tuple[int, ...]] = {
    "face": OVAL,
    "brows_to_chin": JAW + BROWS,  # the hull of the classic 68 landmarks
    "inner": BROWS + LIPS + NOSE + (50, 280, 205, 425),
    "lower": (*JAW[4:-4], 98, 327, 2, 205, 425),
    "mouth": (*LIPS, 2, 205, 425, 176, 152, 400),
    "eyes_nose": BROWS + NOSE + (111, 340, 117, 346),
}

# Draws of `soft_mask`, as shares of the crop's side.
_WOBBLE = (0.005, 0.028)
_GROW = 0.025
_FEATHER = (0.002, 0.04)


def face_mask(
    points: FloatArray,
    size_px: int,
    shape: str,
    rng: np.random.Generator,
    *,
    feather: tuple[float, float] = _FEATHER,
    phase: float = 0.0,
) -> FloatArray:
    """One soft mask: the convex hull of a landmark group, made irregular, grown and feathered.

    Args:
        points: ``(468, 2)`` landmarks in the crop's pixels.
        size_px: side S of the crop.
        shape: a key of `SHAPES`, or ``box`` (a rounded rectangle about the inner face, as early
            autoencoders pasted).
        rng: the draws: elastic wobble, erosion or dilation, feathering.
        feather: range of the blur's sigma, as a share of the side.
        phase: radians; moving it moves the outline smoothly (for clips).

    Returns:
        ``(S, S)`` float32, 0-1, its maximum 1 (all 0 where the face lies outside).

    Raises:
        ValueError: an unknown shape.
    """
    if shape != "box" and shape not in SHAPES:
        raise ValueError(f"shape must be box or one of {', '.join(SHAPES)}, got {shape!r}")
    half = size_px // 2  # masks are smooth: half the resolution costs a quarter
    scale = half / size_px
    mask = np.zeros((half, half), np.uint8)
    if shape == "box":
        outline = _box(points, rng) * scale
    else:
        outline = cv2.convexHull(points[list(SHAPES[shape])] * scale)[:, 0]
    fixed = np.round(outline * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, fixed, 255, lineType=cv2.LINE_AA, shift=4)
    wobble = rng.uniform(*_WOBBLE) * half
    flow = random_flow(rng, half, wobble, cells=int(rng.integers(4, 8)), phase=phase)
    if shape != "box" or rng.random() < 0.3:
        mask = warp(mask, flow)
    grow, way = rng.uniform(0, _GROW) * size_px, rng.random()
    kernel = np.ones((1 + round(grow), 1 + round(grow)), np.uint8)
    if way < 0.45:
        mask = cv2.erode(mask, kernel)
    elif way < 0.65:
        mask = cv2.dilate(mask, kernel)
    sigma = np.exp(rng.uniform(np.log(feather[0]), np.log(feather[1]))) * half
    mask = cv2.GaussianBlur(mask, (0, 0), max(0.3, sigma))
    soft = cv2.resize(mask, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    peak = max(1, int(soft.max()))
    return np.asarray(soft, np.float32) * np.float32(1 / peak)


def _box(points: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Corners ``(4, 2)`` of an upright rectangle about brows, nose and mouth, loosely set."""
    inner = points[list(SHAPES["inner"])]
    low, high = inner.min(0), inner.max(0)
    side = float((high - low).max())
    low = low - side * rng.uniform(0.0, 0.18, 2)
    high = high + side * rng.uniform(0.0, 0.18, 2)
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    return np.array(corners, np.float32)
