import numpy as np
import pytest

from unmask.clips.sheet import contact_sheet
from unmask.types import Clip


def _clip(level: int, frames: int = 6, side: int = 20, absent: tuple[int, ...] = ()) -> Clip:
    mask = np.array([slot not in absent for slot in range(frames)])
    pixels = np.full((frames, side, side, 3), level, np.uint8)
    pixels += np.arange(frames, dtype=np.uint8)[:, None, None, None]
    pixels[~mask] = 0
    return Clip(
        frames=pixels,
        mask=mask,
        pts_seconds=np.zeros(frames, np.float32),
        boxes_xyxy_px=np.zeros((frames, 4), np.float32),
        keypoints_px=np.zeros((frames, 5, 2), np.float32),
        track_id=0,
    )


def test_a_row_a_clip_its_crops_in_time_order_and_gaps_told() -> None:
    sheet = contact_sheet([_clip(10, absent=(2,)), _clip(100)], columns=6, gap_px=2)
    assert sheet.shape == (2 * 22 + 2, 6 * 22 + 2, 3)
    middles = sheet[[12, 34]][:, 12::22, 0]
    assert middles.tolist() == [[10, 11, 224, 13, 14, 15], [100, 101, 102, 103, 104, 105]]
    assert (sheet[:2] == 255).all()


def test_fewer_columns_are_spread_over_the_clip() -> None:
    sheet = contact_sheet([_clip(0)], columns=3, gap_px=0)
    assert sheet[5, 10::20, 0].tolist() == [1, 3, 5]
    assert contact_sheet([_clip(0, frames=1)], columns=8, gap_px=0).shape == (20, 20, 3)
    mixed = contact_sheet([_clip(7, frames=1), _clip(0)], columns=3, gap_px=0)  # a still on top
    assert mixed[[5, 25]][:, 10::20, 0].tolist() == [[7, 255, 255], [1, 3, 5]]


def test_captions_stand_to_the_left() -> None:
    plain = contact_sheet([_clip(0), _clip(50)])
    told = contact_sheet([_clip(0), _clip(50)], ["a", "manipulated"])
    margin = told.shape[1] - plain.shape[1]
    assert margin > 60
    assert (told[:, margin:] == plain).all()
    assert (told[:23, :margin] < 128).sum() < (told[23:, :margin] < 128).sum()
    with pytest.raises(ValueError, match="captions"):
        contact_sheet([_clip(0)], ["a", "b"])
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
