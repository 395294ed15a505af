"""The fused affine resampling against plain flips, turns and crops."""

import torch

from unmask.augment.geometry import Affine, warp


def affine(**change: float) -> Affine:
    neutral = {"scale": 1.0, "shift_x": 0.0, "shift_y": 0.0, "rotate_deg": 0.0, "flip": 0.0}
    return Affine(**{name: torch.tensor([value]) for name, value in (neutral | change).items()})


def random_clips(batch: int = 1, length: int = 2, side: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 255 * torch.rand(batch, length, 3, side, side, generator=generator)


def test_nothing_drawn_changes_nothing() -> None:
    clips = random_clips()
    assert torch.equal(warp(clips, affine()), clips)


def test_a_flip_alone_is_exact() -> None:
    clips = random_clips()
    assert torch.equal(warp(clips, affine(flip=1.0)), clips.flip(-1))


def test_a_quarter_turn() -> None:
    clips = random_clips()
    torch.testing.assert_close(
        warp(clips, affine(rotate_deg=90.0)), clips.rot90(1, (-2, -1)), atol=1e-2, rtol=0
    )


def test_a_shift_of_whole_pixels_reads_from_the_right() -> None:
    clips = random_clips(side=8)
    moved = warp(clips, affine(shift_x=2 / 8 * 2))  # two of eight pixels, in half sides
    torch.testing.assert_close(moved[..., :6], clips[..., 2:], atol=1e-2, rtol=0)
    reflected = clips[..., 6:].flip(-1)
    torch.testing.assert_close(moved[..., 6:], reflected, atol=1e-2, rtol=0)


def test_a_small_crop_is_enlarged() -> None:
    clips = torch.zeros(1, 1, 3, 16, 16)
    clips[..., 4:12, 4:12] = 200
    assert warp(clips, affine(scale=0.5))[..., 1:-1, 1:-1].min() > 199


def test_every_clip_by_its_own_row() -> None:
    clips = random_clips(batch=3)
    rows = [affine(), affine(flip=1.0), affine(scale=1.1, rotate_deg=5.0, flip=1.0)]
    names = ("scale", "shift_x", "shift_y", "rotate_deg", "flip")
    joint = Affine(**{name: torch.cat([getattr(row, name) for row in rows]) for name in names})
    expected = torch.cat([warp(clips[i : i + 1], row) for i, row in enumerate(rows)])
    torch.testing.assert_close(warp(clips, joint), expected)
