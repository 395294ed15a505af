from __future__ import annotations

from dataclasses import replace

import pytest

from unmask.report.timeline import clock, span_seconds, ticks, track
from unmask.types import Person, Segment, Verdict, Warn


@pytest.mark.parametrize(
    ("seconds", "digits", "words"),
    [
        (0, 0, "0:00"), (3.25, 1, "0:03.2"), (59.96, 1, "1:00.0"), (600, 0, "10:00"),
        (3671, 0, "1:01:11"), (3599.99, 1, "1:00:00.0"), (1.5, 0, "0:01.5"),
    ],
)  # fmt: skip
def test_times_as_people_write_them(seconds: float, digits: int, words: str) -> None:
    assert clock(seconds, digits) == words


@pytest.mark.parametrize("end", [0.3, 1.3, 4.0, 61.0, 600.0, 5000.0, 14_400.0])
def test_an_axis_has_a_few_round_ticks(end: float) -> None:
    made = ticks(end)
    assert 2 <= len(made) <= 9
    assert made[0].x == 0
    assert all(0 <= tick.x <= 100 for tick in made)
    assert len({tick.words for tick in made}) == len(made)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (0.3, ["0:00.0", "0:00.1", "0:00.2", "0:00.3"]),
        (5.0, ["0:00", "0:01", "0:02", "0:03", "0:04", "0:05"]),
        (90.0, ["0:00", "0:15", "0:30", "0:45", "1:00", "1:15", "1:30"]),
    ],
)
def test_ticks_stand_at_the_times_that_they_name(end: float, words: list[str]) -> None:
    made = ticks(end)
    assert [tick.words for tick in made] == words
    assert [tick.x for tick in made] == pytest.approx(
        [100 * k / (len(words) - 1) for k in range(len(words))], abs=1e-3
    )
    assert not made[0].minor


def test_a_header_that_lies_neither_fills_the_memory_nor_hides_the_row() -> None:
    assert len(ticks(9e12)) <= 10
    verdict = Verdict(
        "completed", {"duration_seconds": 9e12}, "not_applicable", None, "",
        coverage={"analysed_ranges_seconds": [[0.0, 4.0]]},
        warnings=(Warn("shorter_than_header", "The header says more."),),
    )  # fmt: skip
    assert span_seconds(verdict) == 4.0


def test_no_length_still_has_an_axis() -> None:
    assert [tick.words for tick in ticks(0)] == ["0:00"]


def test_a_persons_row() -> None:
    frames = [
        {"time_seconds": time, "box_xyxy_px": [0, 0, 1, 1], "score": score}
        for time, score in [(0, 0.0), (1, 0.5), (2, 1.0), (8, 0.25), (9, 0.25)]
    ]
    person = Person(
        3, "weak_evidence", 0.4, 5, 80.0, (Segment(1.0, 2.5, 0.75, 3, 0.5),), tuple(frames),
        seen_ranges_seconds=((0.0, 2.0), (8.0, 9.0)),
    )  # fmt: skip
    row = track(person, 10.0)
    assert row.lines == ("M0.00 100.00 L10.00 50.00 L20.00 0.00", "M80.00 75.00 L90.00 75.00")
    assert row.dots.count("M") == 5
    assert row.dots.startswith("M0.00 100.00h0 M10.00 50.00h0 ")
    assert (row.segments, row.coarse) == (((10.0, 15.0),), ())
    assert row.seen == ((0.0, 20.0), (80.0, 10.0))


def test_frames_that_do_not_count_break_the_line() -> None:
    scores = [0.9, 0.9, None, None, 0.9, 0.9]
    frames = [
        {"time_seconds": time, "box_xyxy_px": [0, 0, 1, 1], "score": score}
        for time, score in enumerate(scores)
    ]
    seen = ((0.0, 5.0),)
    person = Person(1, "weak_evidence", 0.4, 6, 80.0, (), tuple(frames), seen_ranges_seconds=seen)
    row = track(person, 10.0)
    assert row.lines == ("M0.00 10.00 L10.00 10.00", "M40.00 10.00 L50.00 10.00")
    assert (row.dots.count("M"), row.left_out) == (4, "M20.00 0v6 M30.00 0v6")


def test_frames_far_apart_are_no_stretch_that_was_seen() -> None:
    person = Person(
        1, "weak_evidence", 0.4, 5, 80.0,
        (Segment(10.0, 30.0, 0.9, 3, 9.0), Segment(50.0, 51.0, 0.9, 3, 0.5)),
    )  # fmt: skip
    row = track(person, 100.0)
    assert (row.segments, row.coarse) == (((50.0, 1.0),), ((10.0, 20.0),))


def test_a_moment_in_a_long_video_can_still_be_seen_and_none_lies_beyond_the_axis() -> None:
    short = (Segment(10.0, 10.5, 0.9, 2, 0.5), Segment(7100.0, 7300.0, 0.9, 9, 0.5))
    person = Person(1, "weak_evidence", 0.4, 11, 80.0, short)
    (x, width), (start, wide) = track(person, 7200.0).segments
    assert width > 0.1
    assert x == pytest.approx(0.139)
    assert start + wide == pytest.approx(100.0)


def test_the_axis_ends_with_the_last_thing_known() -> None:
    verdict = Verdict(
        "completed", {"duration_seconds": 3.0}, "not_applicable", None, "",
        coverage={"analysed_ranges_seconds": [[0.0, 4.5]]},
    )  # fmt: skip
    assert span_seconds(verdict) == 4.5
    late = ({"time_seconds": 5.5, "box_xyxy_px": [0, 0, 1, 1], "score": None},)
    person = Person(1, "inconclusive", None, 1, 80.0, frames_detail=late)
    assert span_seconds(replace(verdict, people=(person,))) == 5.5
