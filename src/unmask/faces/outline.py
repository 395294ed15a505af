"""Draw what a face detector found, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from unmask.types import Face, UInt8Array

_BOX_RGB, _POINT_RGB = (209, 73, 91), (42, 127, 158)


def outline(image: UInt8Array, faces: Sequence[Face]) -> UInt8Array:
    """A copy of ``image`` (``(H, W, 3)`` RGB uint8) with the faces' boxes and keypoints."""
    drawn = np.ascontiguousarray(image.copy())
    thick = max(1, round(min(image.shape[:2]) / 180))
    for face in faces:
        x0, y0, x1, y1 = (round(value) for value in face.box_xyxy_px)
        cv2.rectangle(drawn, (x0, y0), (x1, y1), _BOX_RGB, thick, cv2.LINE_AA)
        for x, y in face.keypoints_px:
            cv2.circle(drawn, (round(float(x)), round(float(y))), thick + 1, _POINT_RGB, -1)
    return drawn
