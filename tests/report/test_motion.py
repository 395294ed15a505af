from __future__ import annotations

import pytest

from unmask.report.motion import HOLD_SECONDS, Motion
from unmask.types import Person


def person(*frames: tuple[float, float, float | None]) -> Motion:
    """Frames as (time, left edge, score); boxes are 100 px wide."""
    detail = tuple(
        {"time_seconds": time, "box_xyxy_px": [x, 0.0, x + 100, 100.0], "score": score}
        for time, x, score in frames
    )
    return Motion(Person(1, "weak_evidence", 0.1, len(frames), 100.0, frames_detail=detail))


def left(motion: Motion, time: float) -> float | None:
    spot = motion.at(time, 0.02)
    return None if spot is None else spot.box_xyxy_px[0]


def test_boxes_move_in_a_straight_line() -> None:
    motion = person((1.0, 0.0, 0.2), (2.0, 50.0, 0.8))
    assert [left(motion, time) for time in (1.0, 1.25, 1.5, 2.0)] == [0, 12.5, 25, 50]
    assert left(person((1.0, 0.0, 0.2), (3.0, 50.0, 0.8)), 2.0) == 25
    assert left(person((1.0, 0.0, 0.2), (3.1, 50.0, 0.8)), 2.0) is None


def test_the_score_is_that_of_the_nearest_frame() -> None:
    motion = person((1.0, 0.0, 0.2), (2.0, 50.0, 0.8))
    spots = [motion.at(time, 0.02) for time in (1.0, 1.4, 1.6, 2.0)]
    assert [(s.score, s.looked_at) for s in spots if s] == [
        (0.2, True), (0.2, False), (0.8, False), (0.8, True),
    ]  # fmt: skip


def test_nobody_knows_where_a_face_is_long_after_it_was_seen() -> None:
    motion = person((1.0, 0.0, 0.2), (9.0, 50.0, 0.8))
    assert left(motion, 1.0 + HOLD_SECONDS / 2) == 0
    assert left(motion, 5.0) is None
    assert left(motion, 9.0 - HOLD_SECONDS / 2) == 50
    assert left(motion, 0.5) is None
    assert left(motion, 9.5) is None


def test_over_a_cut_nothing_glides() -> None:
    motion = person((1.0, 0.0, 0.2), (2.0, 400.0, 0.8))
    assert {left(motion, 1 + k / 20) for k in range(21)} == {0.0, None, 400.0}


@pytest.mark.parametrize("time", [0.0, 1.0])
def test_a_person_without_frames(time: float) -> None:
    assert person().at(time, 0.02) is None


def test_nothing_glides_over_a_frame_in_which_the_person_was_not_found() -> None:
    """As over a cut to somebody else at the same place, and back."""
    frames = tuple(
        {"time_seconds": time, "box_xyxy_px": [0, 0, 10, 10], "score": 0.5} for time in (0.0, 1.5)
    )
    person = Person(1, "weak_evidence", 0.5, 2, 10.0, frames_detail=frames)
    assert Motion(person, [0.0, 1.5]).at(0.75, 0.02) is not None
    assert Motion(person, [0.0, 0.7, 1.5]).at(0.75, 0.02) is None
