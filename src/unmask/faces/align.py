"""One face in a picture -> an upright square crop. Training and detection cut with this function.

The crop is a similarity transform (rotation, uniform scale, shift) of the picture: turned so that
the face stands upright, centred on the face box, its side ``margin`` times the box's longer side.
Nothing is stretched, and beyond the picture's edge the picture is mirrored.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.types import Face, FloatArray, UInt8Array

# Bilinear sampling reads two pixels a side: a longer step skips some and aliases.
MAX_STEP_PX = 1.25


def align(image: UInt8Array, face: Face, size_px: int, margin: float) -> UInt8Array:
    """Cut one face out, upright.

    Args:
        image: ``(H, W, 3)`` RGB uint8.
        face: where, in the picture's pixels.
        size_px: side of the crop.
        margin: side of the cut square over the longer side of the face box.

    Returns:
        ``(size_px, size_px, 3)`` RGB uint8.
    """
    if size_px < 1 or margin <= 0:
        raise ValueError(f"need size_px >= 1 and margin > 0, got {size_px}, {margin}")
    to_picture, points = placement(face, size_px, margin)
    side = size_px * points
    crop = cv2.warpAffine(
        image,
        to_picture,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    if points > 1:
        crop = cv2.resize(crop, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, np.uint8)


def placement(face: Face, size_px: int, margin: float) -> tuple[NDArray[np.float64], int]:
    """Where a crop's sampling points lie in the picture.

    Args:
        face: as in `align`, with the other two.
        size_px: side of the crop.
        margin: side of the cut square over the longer side of the face box.

    Returns:
        A ``(2, 3)`` matrix from points (x, y, 1) to the picture's pixels, and the number of points
        a side of a crop pixel, which are averaged.
    """
    x0, y0, x1, y1 = face.box_xyxy_px
    step_px = face.size_px * margin / size_px  # picture pixels a crop pixel
    points = max(1, math.ceil(step_px / MAX_STEP_PX))
    turn = roll_radians(face.keypoints_px)
    across = step_px / points * np.array([math.cos(turn), math.sin(turn)])
    down = np.array([-across[1], across[0]])
    to_middle = (across + down) * (size_px * points - 1) / 2
    corner = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) - 0.5 - to_middle
    return np.stack([across, down, corner], axis=1), points


def roll_radians(keypoints_px: FloatArray) -> float:
    """How far a face is turned clockwise in the picture's plane, from its five keypoints.

    Both the line of the eyes and the line from the eyes to the mouth tell it. They are added as
    vectors, so the longer one counts more: in profile the eyes fall together and the mouth decides.
    """
    eyes = keypoints_px[1] - keypoints_px[0]
    to_mouth = keypoints_px[3:].mean(axis=0) - keypoints_px[:2].mean(axis=0)
    return math.atan2(float(eyes[1] - to_mouth[0]), float(eyes[0] + to_mouth[1]))
