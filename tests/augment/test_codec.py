"""Degradations against OpenCV's real ones."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

from unmask.augment.codec import add_noise, blur, jpeg, rescale

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def portrait() -> Picture:
    picture = cv2.resize(data.astronaut()[:224, 112:336], (96, 80), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture)


def as_clip(picture: Picture) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None, None].float()


def as_picture(clip: torch.Tensor) -> NDArray[np.float32]:
    picture: NDArray[np.float32] = clip[0, 0].permute(1, 2, 0).numpy()
    return picture


def psnr(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / error))


def through_opencv(picture: Picture, quality: int) -> Picture:
    _, content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Picture = cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1]
    return decoded


@pytest.mark.parametrize("quality", [10, 40, 75, 95])
@pytest.mark.parametrize("cut", [0, 5])
def test_jpeg_is_libjpegs(portrait: Picture, quality: int, cut: int) -> None:
    """Far nearer to the real codec's result than the codec itself is to its source."""
    picture = np.ascontiguousarray(portrait[cut:, cut:])  # 5: sides that fill no whole blocks
    expected = through_opencv(picture, quality)
    ours = as_picture(jpeg(as_clip(picture), torch.tensor([float(quality)])))
    assert psnr(ours, expected) > 40
    assert psnr(ours, expected) > psnr(expected, picture) + 7
    assert psnr(ours, picture) == pytest.approx(psnr(expected, picture), abs=0.2)


def test_jpeg_takes_every_clips_own_quality(portrait: Picture) -> None:
    clips = as_clip(portrait).repeat(2, 3, 1, 1, 1)
    joint = jpeg(clips, torch.tensor([30.0, 90.0]))
    for row, quality in enumerate((30.0, 90.0)):
        assert torch.equal(joint[row : row + 1], jpeg(clips[:1], torch.tensor([quality])))


def test_blur_is_gaussian(portrait: Picture) -> None:
    expected = cv2.GaussianBlur(
        portrait.astype(np.float32), (13, 13), 1.7, borderType=cv2.BORDER_REFLECT_101
    )
    ours = as_picture(blur(as_clip(portrait), torch.tensor([1.7])))
    assert np.abs(ours - expected).max() < 0.1


def test_blur_takes_every_clips_own_sigma(portrait: Picture) -> None:
    clips = as_clip(portrait).repeat(2, 2, 1, 1, 1)
    joint = blur(clips, torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(joint[1:], blur(clips[1:], torch.tensor([2.0])))
    assert joint[0].std() > joint[1].std()


def test_blur_of_tiny_clips() -> None:
    clips = torch.rand(1, 1, 3, 4, 4)
    assert blur(clips, torch.tensor([3.0])).shape == clips.shape


def test_rescaling_loses_detail_and_keeps_the_rest(portrait: Picture) -> None:
    clip = as_clip(portrait)
    half = rescale(clip, torch.tensor([0.5]))
    assert half.shape == clip.shape
    assert half.mean().item() == pytest.approx(clip.mean().item(), abs=0.5)
    assert half.diff(dim=-1).abs().mean() < 0.8 * clip.diff(dim=-1).abs().mean()


def test_noise_has_its_strength_and_its_seed() -> None:
    clips = torch.full((3, 2, 3, 32, 32), 100.0)
    noisy = add_noise(clips, torch.tensor([2.0, 8.0, 8.0]), torch.tensor([1, 2, 2]))
    grains = noisy - clips
    assert [g.std().item() for g in grains] == pytest.approx([2, 8, 8], rel=0.05)
    assert torch.equal(grains[1], grains[2])
    assert not torch.equal(grains[1, 0], grains[1, 1])
