"""Which way a face looks, from its five keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unmask.types import FloatArray

# Eyes, nose tip, mouth corners of a mean face: x to the right in the picture, y down, z towards
# the camera, in cm (after the canonical face of MediaPipe, Apache-2.0).
_FACE_CM = np.array(
    [(-3.15, -2.63, 3.7), (3.15, -2.63, 3.7), (0.0, 1.13, 7.48), (-2.46, 4.34, 4.28),
     (2.46, 4.34, 4.28)]
)  # fmt: skip


@dataclass(frozen=True)
class Pose:
    """Turns of a face, in degrees; 0, 0, 0 looks straight into the camera, upright."""

    yaw_deg: float
    """> 0: turned to the right of the picture."""
    pitch_deg: float
    """> 0: turned down."""
    roll_deg: float
    """> 0: tilted clockwise in the picture."""


def pose(keypoints_px: FloatArray) -> Pose | None:
    """The pose of one face under weak perspective.

    The affine camera that fits the five points of a mean face best is found by least squares, and
    the rotation nearest to it is read as yaw, pitch and roll. Five points and one mean face make it
    a coarse figure: people differ by some degrees when they look straight ahead.

    Args:
        keypoints_px: ``(5, 2)`` as `unmask.types.Face.keypoints_px`.

    Returns:
        None where points are unknown (NaN) or lie on one spot.
    """
    points = np.asarray(keypoints_px, np.float64)
    if points.shape != (5, 2):
        raise ValueError(f"keypoints_px must be (5, 2), got {points.shape}")
    if not np.isfinite(points).all():
        return None
    shape = _FACE_CM - _FACE_CM.mean(axis=0)
    camera = np.linalg.lstsq(shape, points - points.mean(axis=0), rcond=None)[0].T  # (2, 3)
    left, scales, right = np.linalg.svd(camera, full_matrices=False)
    if scales[1] < 1e-6:
        return None
    rows = left @ right  # the orthonormal pair nearest to the camera
    turned = np.vstack([rows, np.cross(rows[0], rows[1])])
    return Pose(
        yaw_deg=float(np.degrees(np.arcsin(np.clip(turned[0, 2], -1, 1)))),
        pitch_deg=float(np.degrees(np.arctan2(turned[1, 2], turned[2, 2]))),
        roll_deg=float(np.degrees(np.arctan2(turned[1, 0], turned[0, 0]))),
    )
