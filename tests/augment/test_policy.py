"""The policy: one draw a clip, the same again from the same generator, shared by pairs."""

import dataclasses

import pytest
import torch

from unmask.augment import Augment
from unmask.config import AugmentConfig

EVERYTHING = AugmentConfig(
    flip=0.5, colour=1.0, grayscale=0.2, blur=1.0, noise=0.0, downscale=1.0, jpeg=1.0
)
NOTHING = AugmentConfig(
    flip=0, crop_scale=(1, 1), rotate_deg=0, colour=0, grayscale=0, blur=0, noise=0,
    downscale=0, jpeg=0,
)  # fmt: skip


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def clips() -> torch.Tensor:
    """Four times the same clip, of three times the same frame."""
    frame = torch.randint(0, 256, (3, 8, 8), generator=seeded()).float()[None]
    frame = torch.nn.functional.interpolate(frame, (48, 48), mode="bicubic").clamp(0, 255)
    return frame.to(torch.uint8).expand(4, 3, 3, 48, 48).contiguous()


def test_shape_type_and_range(clips: torch.Tensor) -> None:
    result = Augment(EVERYTHING)(clips, seeded())
    assert result.shape == clips.shape
    assert result.dtype == torch.uint8


def test_nothing_asked_nothing_done(clips: torch.Tensor) -> None:
    assert torch.equal(Augment(NOTHING)(clips, seeded()), clips)


def test_the_callers_clips_are_left_alone(clips: torch.Tensor) -> None:
    before = clips.clone()
    Augment(AugmentConfig(noise=1.0))(clips, seeded())
    assert torch.equal(clips, before)


def test_frames_alike_clips_different(clips: torch.Tensor) -> None:
    result = Augment(EVERYTHING)(clips, seeded())
    assert all(torch.equal(clip[0], frame) for clip in result for frame in clip[1:])
    assert not any(torch.equal(result[0], other) for other in result[1:])


def test_the_generator_decides(clips: torch.Tensor) -> None:
    augment = Augment(dataclasses.replace(EVERYTHING, noise=1.0))
    assert torch.equal(augment(clips, seeded(3)), augment(clips, seeded(3)))
    assert not torch.equal(augment(clips, seeded(3)), augment(clips, seeded(4)))


def test_a_pair_shares_everything_noise_included(clips: torch.Tensor) -> None:
    augment = Augment(dataclasses.replace(EVERYTHING, noise=1.0))
    result = augment(clips, seeded(), pairs=torch.tensor([5, 2, 5, 2]))
    assert torch.equal(result[0], result[2])
    assert torch.equal(result[1], result[3])
    assert not torch.equal(result[0], result[1])


@pytest.mark.parametrize(
    "step", ["flip", "colour", "grayscale", "blur", "noise", "downscale", "jpeg"]
)
def test_each_step_acts_alone_and_on_its_share(clips: torch.Tensor, step: str) -> None:
    many = clips[:1].repeat(60, 1, 1, 1, 1)
    result = Augment(dataclasses.replace(NOTHING, **{step: 0.5}))(many, seeded())
    changed = (result != many).flatten(1).any(1).float().mean().item()
    assert 0.3 < changed < 0.7


def test_draws_stay_within_the_settings() -> None:
    config = AugmentConfig(crop_scale=(0.9, 1.2), rotate_deg=4, jpeg=1, jpeg_quality=(50, 60))
    draw = Augment(config).draw(500, seeded())
    assert 0.9 <= draw.affine.scale.min() < 0.95
    assert 1.15 < draw.affine.scale.max() <= 1.2
    assert draw.affine.rotate_deg.abs().max() <= 4
    assert set(draw.jpeg_quality.tolist()) == set(range(50, 61))


def test_switching_a_step_off_leaves_the_other_draws_alone() -> None:
    one = Augment(AugmentConfig()).draw(20, seeded())
    other = Augment(AugmentConfig(blur=0.0)).draw(20, seeded())
    assert torch.equal(one.affine.scale, other.affine.scale)
    assert torch.equal(one.jpeg_quality.isnan(), other.jpeg_quality.isnan())
    assert other.blur_sigma_px.isnan().all()


@pytest.mark.gpu
def test_a_gpu_draws_and_does_the_same(clips: torch.Tensor) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    augment = Augment(EVERYTHING)
    expected = augment(clips, seeded()).float()
    result = augment(clips.cuda(), seeded()).cpu().float()
    assert (result - expected).abs().mean() < 0.5
