from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unmask.scoring import SegmentRule, find_segments
from unmask.scoring.segments import longest_gap_seconds, seen_ranges
from unmask.types import STRETCH_STEP_SECONDS

RULE = SegmentRule(start_score=0.8, keep_score=0.5)


def spans(times: list[float], scores: list[float], rule: SegmentRule = RULE) -> list[tuple]:
    return [
        (s.start_seconds, s.end_seconds, round(s.score, 6))
        for s in find_segments(times, scores, rule)
    ]


def test_a_segment_reaches_half_way_to_the_quiet_neighbours() -> None:
    found = spans([0, 1, 2, 3, 4, 5], [0.1, 0.6, 0.9, 0.6, 0.1, 0.1])
    assert found == [(0.5, 3.5, 0.7)]


def test_it_ends_with_the_run_not_beyond() -> None:
    assert spans([0, 1, 2], [0.9, 0.9, 0.9]) == [(0, 2, 0.9)]


def test_frames_that_never_reach_the_start_score_are_quiet() -> None:
    assert spans([0, 1, 2, 3], [0.7, 0.79, 0.7, 0.6]) == []


def test_a_single_frame_and_a_short_blink_do_not_count() -> None:
    assert spans([0, 1, 2], [0.1, 0.95, 0.1]) == []
    assert spans([0, 0.1, 0.2, 0.3], [0.1, 0.95, 0.95, 0.1]) == []


def test_its_limits_belong_to_it() -> None:
    assert spans([100.0, 100.4], [0.8, 0.5]) == [(100.0, 100.4, 0.65)]
    assert spans([100.0, 100.4], [0.8, 0.49]) == []
    assert spans([100.0, 100.39], [0.8, 0.5]) == []
    assert spans([0.0, STRETCH_STEP_SECONDS], [0.8, 0.8]) != []
    assert spans([0.0, STRETCH_STEP_SECONDS + 0.01], [0.8, 0.8]) == []
    assert spans([0.0, 1.0], [0.8, 0.8], SegmentRule(start_score=0.8, keep_score=0.8)) != []


def test_two_frames_at_the_same_time_are_no_fall() -> None:
    assert spans([0.0, 0.0, 1.0], [0.9] * 3) == [(0.0, 1.0, 0.9)]


def test_a_face_is_seen_from_the_first_to_the_last_frame_of_a_stretch() -> None:
    times = [0.0, 0.7, 1.1, 10.0, 11.5, 12.0]
    assert seen_ranges(times) == ((0.0, 1.1), (10.0, 12.0))
    assert seen_ranges([3.0]) == ((3.0, 3.0),)
    assert seen_ranges([]) == ()


def test_two_steps_and_a_half_may_lie_between_frames() -> None:
    assert longest_gap_seconds(20.0) == 50.0
    assert longest_gap_seconds(0.1) == STRETCH_STEP_SECONDS


def test_a_gap_in_which_the_face_was_away_splits() -> None:
    times = [0, 0.5, 1.0, 10.0, 10.5, 11.0]
    assert [(a, b) for a, b, _ in spans(times, [0.9] * 6)] == [(0, 1), (10, 11)]


def test_sparse_sampling_is_no_gap_and_says_how_sparse_it_is() -> None:
    times = np.arange(0, 600, 20.0).tolist()  # 30 frames of ten minutes
    rule = replace(RULE, max_gap_seconds=longest_gap_seconds(20.0))
    (found,) = find_segments(times, [0.9] * 30, rule)
    assert (found.start_seconds, found.end_seconds) == (0, 580)
    assert (found.frames, found.longest_step_seconds, found.coarse) == (30, 20.0, True)


def test_a_stretch_says_of_how_many_frames_it_is() -> None:
    (found,) = find_segments([0, 0.5, 1, 2.5, 3], [0.1, 0.9, 0.9, 0.9, 0.1], RULE)
    assert (found.frames, found.longest_step_seconds, found.coarse) == (3, 1.5, False)


def test_two_frames_far_apart_in_a_finely_sampled_video_are_no_stretch() -> None:
    rule = replace(RULE, max_gap_seconds=longest_gap_seconds(0.5))
    assert find_segments([0.0, 100.0, 200.0], [0.9, 0.9, 0.9], rule) == ()


def test_moments_that_lie_evenly_but_wider_than_was_looked_are_not_joined() -> None:
    rule = replace(RULE, max_gap_seconds=longest_gap_seconds(20.0))
    assert find_segments([0.0, 180.0, 360.0, 540.0], [0.9] * 4, rule) == ()
    (found,) = find_segments([0.0, 20.0, 60.0, 540.0], [0.9] * 4, rule)  # one frame without a face
    assert (found.start_seconds, found.frames, found.longest_step_seconds) == (0.0, 3, 40.0)


def test_the_ends_reach_no_further_than_a_second_into_what_nobody_saw() -> None:
    rule = replace(RULE, max_gap_seconds=longest_gap_seconds(20.0))
    (found,) = find_segments([0.0, 20.0, 40.0, 60.0], [0.1, 0.9, 0.9, 0.1], rule)
    assert (found.start_seconds, found.end_seconds) == (19.0, 41.0)


def test_no_frame_no_segment() -> None:
    assert spans([], []) == []
    assert spans([1.0], [0.99]) == []


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="must not fall"):
        find_segments([1.0, 0.5], [0.1, 0.2], RULE)
    with pytest.raises(ValueError, match=r"must be \(n,\)"):
        find_segments([0.0, 0.5], [0.1], RULE)
    with pytest.raises(ValueError, match="must not lie above"):
        SegmentRule(start_score=0.4, keep_score=0.5)
