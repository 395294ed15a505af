from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unmask.scoring import ClipLogits, PoolingSpec, pool, video_logit
from unmask.types import Clip


def clip(track: int, logit: float, times: list[float], frames: list[float]) -> ClipLogits:
    boxes = np.tile(np.array([110, 20, 160, 90], np.float32), (len(times), 1))
    return ClipLogits(
        track, logit, np.array(frames, np.float32), np.array(times, np.float32), boxes
    )


def test_a_track_is_the_mean_of_its_clips_and_the_video_the_highest_track() -> None:
    assert video_logit([0, 0, 1, 1], [1.0, 2.0, -3.0, 5.0], [8, 8, 8, 8]) == 1.5
    assert video_logit([0, 0, 1, 1], [1.0, 2.0, -3.0, 9.0], [8, 8, 8, 8]) == 3.0


def test_a_passer_by_does_not_speak_for_the_video() -> None:
    assert video_logit([0, 1], [-1.0, 7.0], [32, 7]) == -1.0
    assert video_logit([0, 1], [-1.0, 7.0], [32, 8]) == 7.0  # a quarter is enough


def test_four_crops_make_a_track_the_measure_of_the_others() -> None:
    assert video_logit([0, 1, 2], [-1.0, 0.0, 7.0], [4, 16, 1]) == 7.0
    assert video_logit([0, 1, 2], [-1.0, 0.0, 7.0], [3, 16, 1]) == 0.0


def test_the_share_that_a_track_needs_is_a_choice() -> None:
    rows = ([0, 1], [-1.0, 7.0], [32, 1])
    assert video_logit(*rows, PoolingSpec(min_share=0.0)) == 7.0
    assert video_logit(*rows, PoolingSpec(min_share=1.0)) == -1.0
    for share in (-0.01, 1.01):
        with pytest.raises(ValueError, match="min_share"):
            PoolingSpec(min_share=share)


def test_mean_over_tracks_is_a_choice() -> None:
    spec = PoolingSpec(video="mean")
    assert video_logit([0, 0, 5], [1.0, 3.0, 6.0], [4, 4, 4], spec) == 4.0


def test_the_order_of_clips_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    ids, logits, crops = rng.integers(3, size=12), rng.normal(size=12), rng.integers(1, 16, size=12)
    turn = rng.permutation(12)
    assert video_logit(ids, logits, crops) == pytest.approx(
        video_logit(ids[turn], logits[turn], crops[turn])
    )


def test_no_clip_has_no_logit() -> None:
    with pytest.raises(ValueError, match="no logit"):
        video_logit([], [], [])


def test_pool_keeps_every_frame_in_time_order() -> None:
    first, second = pool(
        [
            clip(1, 4.0, [0.5], [4.0]),
            clip(0, 1.0, [0.0, 2.0], [0.5, 1.5]),  # even sampling interleaves two clips
            clip(0, 3.0, [1.0, 3.0], [2.5, 3.5]),
        ]
    )
    assert (first.track_id, second.track_id) == (0, 1)
    assert first.logit == 2.0
    assert [frame.pts_seconds for frame in first.frames] == [0.0, 1.0, 2.0, 3.0]
    assert [frame.logit for frame in first.frames] == [0.5, 2.5, 1.5, 3.5]
    assert first.median_face_px == 70


def test_only_slots_with_a_crop_are_kept() -> None:
    mask = np.array([True, False, True])
    nan = np.where(mask, 1.0, np.nan).astype(np.float32)
    whole = Clip(
        frames=np.zeros((3, 8, 8, 3), np.uint8),
        mask=mask,
        pts_seconds=nan,
        boxes_xyxy_px=np.tile(nan[:, None], (1, 4)),
        keypoints_px=np.zeros((3, 5, 2), np.float32),
        track_id=2,
    )
    paired = ClipLogits.of(whole, np.array([1, 99, 3], np.float32), 0.5)
    assert paired.frame_logits.tolist() == [1, 3]
    assert np.isfinite(paired.pts_seconds).all()
    with pytest.raises(ValueError, match="frame_logits"):
        ClipLogits.of(whole, np.zeros(4, np.float32), 0.5)


def test_clips_whose_crops_were_all_left_out_have_no_say() -> None:
    dark = replace(clip(0, 9.0, [1.0, 3.0], [9.0, 9.0]), left_out=("face_dark", "face_dark"))
    part = replace(clip(0, 2.0, [0.0, 2.0], [2.0, 50.0]), left_out=("", "face_blurry"))
    (track,) = pool([dark, part])
    assert track.logit == 2.0
    assert [frame.left_out for frame in track.frames] == [
        "",
        "face_dark",
        "face_blurry",
        "face_dark",
    ]
    assert [frame.logit for frame in track.counted] == [2.0]
    (nothing,) = pool([dark])
    assert np.isnan(nothing.logit)
    assert nothing.counted == ()
