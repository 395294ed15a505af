from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from unmask.scoring import GuardLimits, sharpness


def face(side_px: int = 160, blur_share: float = 0.0, shrink_to_px: int = 0) -> np.ndarray:
    crop = data.astronaut()[43:193, 149:299]  # the portrait's face, 150 px
    if blur_share:
        crop = cv2.GaussianBlur(crop, (0, 0), blur_share * 130)
    if shrink_to_px:
        crop = cv2.resize(crop, (shrink_to_px, shrink_to_px), interpolation=cv2.INTER_AREA)
    return cv2.resize(crop, (side_px, side_px), interpolation=cv2.INTER_LINEAR)[None]


def test_blur_is_seen_and_strong_blur_is_refused() -> None:
    values = [sharpness(face(blur_share=share)) for share in (0.0, 0.01, 0.02, 0.03, 0.06)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.02
    assert values[1] > GuardLimits().min_sharpness > values[3]


def test_a_small_but_sharp_face_passes() -> None:
    assert sharpness(face(shrink_to_px=37)) > GuardLimits().min_sharpness  # a face of 32 px


def test_light_contrast_and_size_hardly_matter() -> None:
    plain = sharpness(face())
    dim = (face().astype(np.float32) * 0.5 + 20).astype(np.uint8)
    assert sharpness(dim) == pytest.approx(plain, rel=0.15)
    assert sharpness(face(side_px=224)) == pytest.approx(plain, rel=0.3)


def test_the_median_crop_counts() -> None:
    crops = np.concatenate([face(), face(), face(blur_share=0.1)])
    assert sharpness(crops) == pytest.approx(sharpness(face()))


def test_a_flat_crop_is_not_sharp_and_none_is_refused() -> None:
    assert sharpness(np.full((1, 64, 64, 3), 90, np.uint8)) == 0.0
    with pytest.raises(ValueError, match="n >= 1"):
        sharpness(np.zeros((0, 64, 64, 3), np.uint8))
