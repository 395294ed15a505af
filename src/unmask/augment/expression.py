"""Change the expression of a face by moving its landmarks: the geometry of reenactment."""

from __future__ import annotations

import numpy as np

from unmask.augment.masks import INNER_LIPS, LIPS
from unmask.augment.opencv import cv2
from unmask.types import FloatArray, UInt8Array

_LEFT, _RIGHT = 33, 263  # outer corners of the eyes
_CORNERS = (61, 291)  # of the mouth
_LOWER_LIP = (146, 91, 181, 84, 17, 314, 405, 321, 375, 95, 88, 178, 87, 14, 317, 402, 318, 324)
_UPPER_LIP = (185, 40, 39, 37, 0, 267, 269, 270, 409, 191, 80, 81, 82, 13, 312, 311, 310, 415)
_BROWS = (105, 334)
_LIDS = (
    ((160, 144), (159, 145), (158, 153), (161, 163), (157, 154)),
    ((387, 373), (386, 374), (385, 380), (388, 390), (384, 381)),
)  # upper and lower lid, point by point, of each eye
_NOSE_BASE, _CHIN = 2, 152


def express(
    points: FloatArray, rng: np.random.Generator, *, mouth_only: bool = False, phase: float = 0.0
) -> FloatArray:
    """Landmarks of the same head with another expression.

    Jaw, mouth corners, lips, brows, lids and gaze move by random amounts, some of them not at all.

    Args:
        points: ``(468, 2)`` in pixels.
        rng: the draws.
        mouth_only: leave everything above the nose's base in place.
        phase: radians; the expression sways smoothly with it (for clips).

    Returns:
        ``(468, 2)`` float32.
    """
    across = points[_RIGHT] - points[_LEFT]
    unit = float(np.hypot(*across))
    right = across / unit
    axes = np.stack([right, np.array([-right[1], right[0]], np.float32)])  # x right, y down
    origin = (points[_LEFT] + points[_RIGHT]) / 2
    face = (points - origin) @ axes.T / unit  # (468, 2), unit: distance of the outer eye corners
    sway = np.float32(np.cos(phase + rng.uniform(0, 0.6)))
    move = _mouth(face, rng)
    upper = _upper_face(face, rng)
    move = move if mouth_only else move + upper
    return np.asarray(points + sway * unit * move @ axes, np.float32)


def mouth_interior(
    image: UInt8Array, before: FloatArray, after: FloatArray, rng: np.random.Generator
) -> UInt8Array:
    """Paint the inside of a mouth that was closed and is now open: dark, with a blur of teeth.

    Args:
        image: RGB ``(S, S, 3)``, already warped.
        before: landmarks ``(468, 2)`` before the warp.
        after: landmarks after it.
        rng: the draws.
    """
    tint, teeth = rng.uniform(0.2, 0.55), rng.random()
    width = float(np.hypot(*(after[_CORNERS[1]] - after[_CORNERS[0]])))
    gap = [float(np.hypot(*(shape[14] - shape[13]))) for shape in (before, after)]
    if width < 8:
        return image
    # It fades in as the mouth opens: over the frames of a clip nothing flips.
    was_shut = 2 - gap[0] / (0.08 * width)
    opens = (gap[1] - gap[0]) / (0.08 * width) - 0.5
    shown = np.float32(np.clip(was_shut, 0, 1) * np.clip(opens, 0, 1))
    if shown == 0:
        return image
    inside = np.zeros(image.shape[:2], np.uint8)
    lips = np.round(after[list(INNER_LIPS)] * 16).astype(np.int32)
    cv2.fillPoly(inside, [lips], 255, cv2.LINE_AA, 4)
    skin = image[np.clip(after[_CHIN, 1], 0, len(image) - 1).astype(int) - 1].mean(0)
    paint = np.empty_like(image)
    paint[:] = np.clip(np.array([1.0, 0.6, 0.6]) * skin * tint, 0, 255).astype(np.uint8)
    if teeth < 0.6:
        middle = after[13] + 0.3 * (after[14] - after[13])
        axes = (max(1, round(0.33 * width)), max(1, round(0.3 * gap[1])))
        bright = tuple(float(v) for v in np.clip(skin * 1.15 + 25, 60, 235))
        cv2.ellipse(paint, np.round(middle).astype(int).tolist(), axes, 0, 0, 360, bright, -1)
    paint = cv2.GaussianBlur(paint, (0, 0), max(0.6, 0.04 * width))
    weight = cv2.GaussianBlur(inside, (0, 0), max(0.5, 0.02 * width)).astype(np.float32)
    weight *= shown / 255
    out: UInt8Array = cv2.blendLinear(paint, image, weight, 1 - weight)
    return out


def _mouth(face: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Movement of every landmark by jaw and lips, in the face's own units."""
    corners = face[list(_CORNERS)]
    middle, half = (
        corners.mean(0),
        max(0.1, float(np.abs(corners[:, 0] - corners[:, 0].mean()).max())),
    )
    gap = max(0.0, float(face[14, 1] - face[13, 1]))
    x, y = (face - middle).T
    move = np.zeros_like(face)
    on = rng.random(6) < (0.75, 0.6, 0.4, 0.3, 0.35, 0.35)
    if not on[:3].any():
        on[0] = True
    # The jaw: open by up to a sixth of the eyes' distance, or close what is open.
    # All is drawn whatever the gap is, and nothing jumps with it: a clip stays one forgery.
    opens, wide, closed = rng.random() < 0.4, rng.uniform(0.03, 0.14), rng.uniform(0.5, 0.95)
    closing = 0.0 if opens else min(1.0, max(0.0, (gap - 0.03) / 0.04))
    jaw = (1 - closing) * wide - closing * closed * gap
    chin = max(0.2, float(face[_CHIN, 1] - middle[1]))
    drop = np.clip(y / (0.35 * chin), 0, 1) * np.exp(-0.5 * (x / 0.42) ** 2)
    arch = np.clip(1 - (x / half) ** 2, 0, 1)
    drop[list(_LOWER_LIP)] = arch[list(_LOWER_LIP)] * 0.9
    drop[list(_UPPER_LIP)] = -0.12 * arch[list(_UPPER_LIP)]
    move[:, 1] += on[0] * jaw * drop
    smile, stretch = rng.uniform(-0.06, 0.08), rng.uniform(-0.07, 0.08)
    for side, corner in zip((-1, 1), corners, strict=True):
        near = np.exp(-0.5 * (((face - corner) / 0.13) ** 2).sum(1))
        lopsided = rng.uniform(0.5, 1.2)
        move[:, 1] -= on[1] * smile * lopsided * near
        move[:, 0] += on[1] * side * stretch * lopsided * near
    about = np.exp(-0.5 * ((x / 0.3) ** 2 + (y / 0.16) ** 2))
    pucker = rng.uniform(0.1, 0.35)
    move[:, 0] -= on[2] * pucker * x * about
    lips = np.zeros(len(face), np.float32)
    lips[list(LIPS)] = 1
    move[:, 1] += on[3] * rng.uniform(-0.25, 0.35) * y * lips  # thinner or fuller
    move[:, 0] += on[4] * rng.uniform(-0.04, 0.04) * about
    move[:, 1] += on[5] * rng.uniform(-0.035, 0.035) * about
    return move


def _upper_face(face: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Movement by brows, lids, gaze and nose."""
    move = np.zeros_like(face)
    on = rng.random(4) < (0.6, 0.5, 0.25, 0.35)
    raise_both = rng.uniform(-0.05, 0.07)
    for brow in _BROWS:
        near = np.exp(-0.5 * (((face - face[brow]) / (0.17, 0.08)) ** 2).sum(1))
        move[:, 1] -= on[0] * (raise_both + rng.uniform(-0.02, 0.02)) * near
    close = rng.uniform(-0.35, 0.85)  # below 0 the eyes widen
    for eye in _LIDS:
        for upper, lower in eye:
            move[upper] += on[1] * close * (face[lower] - face[upper])
    gaze = rng.uniform(-0.03, 0.03)
    for eye in _LIDS:
        middle = face[[point for pair in eye for point in pair]].mean(0)
        near = np.exp(-0.5 * (((face - middle) / (0.06, 0.03)) ** 2).sum(1))
        move[:, 0] += on[2] * gaze * near
    near = np.exp(-0.5 * (((face - face[_NOSE_BASE]) / 0.15) ** 2).sum(1))
    move += on[3] * near[:, None] * rng.uniform(-0.035, 0.035, 2)
    return move.astype(np.float32)
