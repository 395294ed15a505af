"""Dense flows over a crop: random, from moving landmarks, from one face onto another.

A flow ``(H, W, 2)`` float32 says where each output pixel is read: ``out(x) = in(x + flow(x))``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from unmask.augment.opencv import cv2
from unmask.types import FloatArray

Pixels = TypeVar("Pixels", bound=NDArray[np.generic])

_CELL_PX = 4  # resolution of landmark flows


def warp(image: Pixels, flow: FloatArray) -> Pixels:
    """``image`` ``(H, W)`` or ``(H, W, 3)`` read through a flow, bilinear, borders mirrored."""
    place = identity(*flow.shape[:2]) + flow
    out: Pixels = cv2.remap(image, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return out


def random_flow(
    rng: np.random.Generator, size_px: int, amplitude_px: float, cells: int, phase: float = 0.0
) -> FloatArray:
    """Smooth random flow: ``cells`` x ``cells`` independent vectors, interpolated.

    Args:
        rng: two fields are drawn; ``phase`` (radians) turns from the one to the other, so a slowly
            growing phase gives a smoothly moving deformation.
        size_px: side of the flow.
        amplitude_px: standard deviation of a vector's coordinate.
        cells: fineness.
        phase: 0 = the first field.
    """
    first, second = rng.standard_normal((2, cells, cells, 2), np.float32)
    coarse = amplitude_px * (np.cos(phase) * first + np.sin(phase) * second)
    flow: FloatArray = cv2.resize(
        coarse.astype(np.float32), (size_px, size_px), interpolation=cv2.INTER_CUBIC
    )
    return flow


def landmark_flow(
    before: FloatArray, after: FloatArray, size_px: int, reach_px: float = 5.0
) -> FloatArray:
    """Flow that carries landmarks from ``before`` to ``after`` and fades to rest away from them.

    Sparse displacements are spread by normalised convolution (Knutsson & Westin, CVPR 1993) on a
    coarse grid: a tenth of the time of a thin-plate spline of the same points.

    Args:
        before: ``(N, 2)`` x, y in pixels.
        after: ``(N, 2)``.
        size_px: side of the flow.
        reach_px: the Gaussian's sigma.
    """
    cells = -(-size_px // _CELL_PX) + 1
    place = after / _CELL_PX
    inside = ((place > 0) & (place < cells - 1)).all(1)
    corner = np.floor(place[inside]).astype(np.intp)
    part = place[inside] - corner
    move = (before - after)[inside]
    sums = np.zeros((cells * cells, 3), np.float32)
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
            cell = (corner[:, 1] + dy) * cells + corner[:, 0] + dx
            for channel, value in enumerate((weight * move[:, 0], weight * move[:, 1], weight)):
                sums[:, channel] += np.bincount(cell, value, cells * cells)
    grid = cv2.GaussianBlur(sums.reshape(cells, cells, 3), (0, 0), reach_px / _CELL_PX)
    # The constant makes displacements fade where landmarks are far.
    coarse = grid[..., :2] / (grid[..., 2:] + 0.02)
    side = cells * _CELL_PX
    # Cell c stands at pixel c * _CELL_PX, not at the centre of a block: shift by half a cell.
    shift = np.array([[_CELL_PX, 0, 0], [0, _CELL_PX, 0]], np.float32)
    flow: FloatArray = cv2.warpAffine(
        coarse, shift, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )[:size_px, :size_px]
    return flow


def affine_between(source: FloatArray, target: FloatArray) -> FloatArray:
    """Best-fitting affinity ``(2, 3)`` float32 of points ``(N, 2)`` onto others."""
    rows = np.hstack([source, np.ones((len(source), 1), np.float32)])
    fit, *_ = np.linalg.lstsq(rows, target, rcond=None)
    return fit.T.astype(np.float32)


def transform(points: FloatArray, matrix: FloatArray) -> FloatArray:
    """Points ``(N, 2)`` through an affinity ``(2, 3)``."""
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


@lru_cache(maxsize=16)
def identity(height: int, width: int) -> FloatArray:
    """Each pixel's own place, ``(H, W, 2)`` x, y."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    grid = np.stack([x, y], -1)
    grid.setflags(write=False)
    return grid
