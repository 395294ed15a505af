"""Crops and small pictures in torch against OpenCV's: at most one level apart, hardly ever."""

import cv2
import numpy as np
import pytest
import torch

import make_media
from unmask.device.crop import align_faces, shrink_area
from unmask.faces import align
from unmask.types import Face, UInt8Array


def face(x: float, y: float, size: float, turn: float) -> Face:
    """A face of 0.9 times its height, turned clockwise by ``turn`` radians."""
    points = np.array([[-0.2, -0.2], [0.2, -0.2], [0, 0], [-0.15, 0.25], [0.15, 0.25]]) * size
    cos, sin = np.cos(turn), np.sin(turn)
    points = points @ np.array([[cos, sin], [-sin, cos]]) + [x, y]
    box = (x - 0.45 * size, y - size / 2, x + 0.45 * size, y + size / 2)
    return Face(box, points.astype(np.float32), 0.9)


def pictures() -> dict[str, UInt8Array]:
    noise = np.random.default_rng(1).integers(0, 256, (180, 320, 3), dtype=np.uint8)
    return {"noise": noise, "portrait": next(make_media.portrait_frames(1, 320, 180))}


@pytest.mark.parametrize("size_px", [32, 80, 160])
@pytest.mark.parametrize("kind", ["noise", "portrait"])
def test_crops_as_on_the_cpu(kind: str, size_px: int) -> None:
    """Enlarged and shrunk (one to five points a side), turned, and over the picture's edges."""
    image = pictures()[kind]
    faces = [face(160, 80, size, turn) for size in (20, 60, 140) for turn in (0.0, 0.3, -0.5)]
    faces += [face(8, 12, 60, 0.1), face(312, 170, 90, -0.2)]
    want = np.stack([align(image, one, size_px, 1.3) for one in faces]).astype(int)
    got = align_faces(torch.from_numpy(image), faces, size_px, 1.3).numpy()
    error = np.abs(got - want)
    assert error.max() <= 1
    assert error.mean() <= 0.01


def test_each_crop_is_its_face() -> None:
    """Faces of several sizes, cut in groups, come back in their order."""
    image = pictures()["portrait"]
    faces = [face(160, 80, size, 0.0) for size in (140, 20, 100, 30, 60)]
    together = align_faces(torch.from_numpy(image), faces, 48, 1.2)
    for one, crop in zip(faces, together, strict=True):
        assert torch.equal(crop, align_faces(torch.from_numpy(image), [one], 48, 1.2)[0])


def test_no_face_no_crop() -> None:
    image = torch.zeros((20, 20, 3), dtype=torch.uint8)
    assert align_faces(image, [], 48, 1.2).shape == (0, 48, 48, 3)
    with pytest.raises(ValueError, match="margin"):
        align_faces(image, [], 48, 0)


@pytest.mark.parametrize("size", [(160, 90), (118, 66), (319, 179), (213, 120), (1, 1), (320, 180)])
@pytest.mark.parametrize("kind", ["noise", "portrait"])
def test_small_pictures_as_on_the_cpu(kind: str, size: tuple[int, int]) -> None:
    image = pictures()[kind]
    want = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(int)
    got = shrink_area(torch.from_numpy(image), *size).numpy()
    error = np.abs(got - want)
    assert error.max() <= 1
    assert error.mean() <= 0.01


def test_nothing_is_enlarged() -> None:
    with pytest.raises(ValueError, match="cannot shrink"):
        shrink_area(torch.zeros((20, 30, 3), dtype=torch.uint8), 31, 20)
