"""Masks: soft, on the face, of the shape that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.augment.blend import FaceCrop
from unmask.augment.masks import SHAPES, face_mask


@pytest.mark.parametrize("shape", [*SHAPES, "box"])
def test_a_mask_is_soft_full_inside_and_empty_at_the_corners(
    shape: str, portrait: FaceCrop
) -> None:
    for seed in range(5):
        mask = face_mask(portrait.points, 128, shape, np.random.default_rng(seed))
        assert mask.shape == (128, 128)
        assert mask.dtype == np.float32
        assert mask.min() >= 0
        assert mask.max() == pytest.approx(1)
        assert mask[:6, :6].max() < 0.05
        assert ((mask > 0.02) & (mask < 0.98)).sum() > 20  # a border that is not a step


def test_shapes_cover_what_they_are_named_for(portrait: FaceCrop) -> None:
    def cover(shape: str, point: int) -> float:
        x, y = np.round(portrait.points[point]).astype(int)
        masks = [
            face_mask(portrait.points, 128, shape, np.random.default_rng(seed)) for seed in range(8)
        ]
        return float(np.mean([mask[y, x] for mask in masks]))

    between_eyes, upper_lip, forehead = 168, 0, 151
    assert cover("face", forehead) > 0.7 > 0.2 > cover("lower", forehead)
    assert cover("mouth", upper_lip) > 0.7 > 0.2 > cover("eyes_nose", upper_lip)
    assert cover("eyes_nose", between_eyes) > 0.7 > 0.2 > cover("mouth", between_eyes)


def test_the_outline_moves_smoothly_with_the_phase(portrait: FaceCrop) -> None:
    def at(phase: float) -> np.ndarray:
        return face_mask(portrait.points, 128, "face", np.random.default_rng(2), phase=phase)

    step, leap = np.abs(at(0) - at(0.1)).mean(), np.abs(at(0) - at(2.0)).mean()
    assert 0 < step < 0.5 * leap


def test_an_unknown_shape_is_refused(portrait: FaceCrop) -> None:
    with pytest.raises(ValueError, match="brows_to_chin"):
        face_mask(portrait.points, 128, "beard", np.random.default_rng(0))
