"""A portrait with landmarks: the public-domain astronaut under the mean face."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from unmask.augment.blend import FaceCrop
from unmask.data.landmarks import mean_face

KEYPOINTS = np.array([(204, 108), (243, 107), (228, 128), (208, 147), (244, 146)], np.float32)
"""Eyes, nose tip and mouth corners of the astronaut, in the picture's pixels."""


@pytest.fixture(scope="session")
def portrait() -> FaceCrop:
    """The astronaut's face, 128 px, with 468 landmarks."""
    corner, side, size = np.array([160, 55], np.float32), 130, 128
    crop = astronaut()[55 : 55 + side, 160 : 160 + side]
    image = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    return FaceCrop(image, mean_face((KEYPOINTS - corner) * size / side))


@pytest.fixture(scope="session")
def stranger(portrait: FaceCrop) -> FaceCrop:
    """Somebody else: the mirrored portrait, larger, with another tone."""
    image = cv2.resize(255 - portrait.image[:, ::-1] // 2, (160, 160))
    points = portrait.points * np.float32(160 / 128)
    points[:, 0] = 160 - points[:, 0]
    return FaceCrop(image, points)
