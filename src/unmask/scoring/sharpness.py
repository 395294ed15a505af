"""How sharp a person's crops are: a face that is blurred beyond recognition is not judged."""

from __future__ import annotations

import cv2
import numpy as np

from unmask.types import UInt8Array

_SIDE_PX = 112  # crops of any size are compared at this one
_EDGE_PX = 4  # mirrored borders look sharper than they are


def sharpness(crops: UInt8Array) -> float:
    """Median over the crops of the Laplacian's variance over the picture's variance.

    Independent of the crop's size and nearly so of light and contrast. On 23 authentic videos
    (faces of 155-500 px) it lay within 0.027-0.32; shrunk to a face of 32 px within 0.005-0.022;
    blurred by 3 % (5 %) of the face's width, median 0.0022 (0.0011).

    Args:
        crops: ``(n, H, W, 3)`` RGB uint8, n >= 1.
    """
    if crops.ndim != 4 or not len(crops):
        raise ValueError(f"crops must be (n, H, W, 3) with n >= 1, got {crops.shape}")
    return float(np.median([_sharpness_of(crop) for crop in crops]))


def _sharpness_of(crop: UInt8Array) -> float:
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = np.asarray(cv2.resize(grey, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA))
    inner = slice(_EDGE_PX, -_EDGE_PX)
    edges = cv2.Laplacian(grey, cv2.CV_32F)[inner, inner]
    return float(edges.var() / (grey.var() + 1.0))
