"""The geometry of a person's timeline: what lies where, in hundredths of the width and height.

The page draws the shapes as inline SVG that stretches with the page, and writes the words around it
as text, so that they stay legible on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unmask.types import Person, Verdict

_TICK_STEPS_SECONDS = (
    0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
)  # fmt: skip
_MOST_TICKS = 8


@dataclass(frozen=True)
class Tick:
    """A time on the axis."""

    x: float
    """0-100."""
    words: str
    minor: bool
    """Left out where there is little room."""


@dataclass(frozen=True)
class Track:
    """One person's row; coordinates are 0-100, y = 0 at the top (score 1)."""

    person_id: int
    lines: tuple[str, ...]
    """SVG paths that join the scores of each stretch in which the face was followed and counted."""
    dots: str
    """One SVG path with a point a frame that counts."""
    left_out: str
    """One SVG path with a tick a frame that was looked at and does not count."""
    segments: tuple[tuple[float, float], ...]
    """x and width of the suspicious stretches."""
    coarse: tuple[tuple[float, float], ...]
    """The same of those whose frames lie far apart."""
    seen: tuple[tuple[float, float], ...]
    """x and width of the stretches in which the face was followed."""


def span_seconds(verdict: Verdict) -> float:
    """Where the axis ends: the video's length, or the last thing known of it."""
    short = any(warning.code == "shorter_than_header" for warning in verdict.warnings)
    ends = [0.0 if short else float(verdict.input.get("duration_seconds") or 0.0)]
    ends += [end for _, end in verdict.coverage.get("analysed_ranges_seconds", ())]
    ends += [frame["time_seconds"] for person in verdict.people for frame in person.frames_detail]
    return max(ends)


def track(person: Person, end_seconds: float) -> Track:
    """Lay one person's frames out on an axis from 0 to ``end_seconds``."""
    points: list[str] = []
    ticks: list[str] = []
    lines: list[list[str]] = [[]]
    stretches = iter([*person.seen_ranges_seconds, (float("inf"), float("inf"))])
    _, end = next(stretches)
    for frame in person.frames_detail:
        at = _x(frame["time_seconds"], end_seconds)
        while frame["time_seconds"] > end:
            _, end = next(stretches)
            lines.append([])
        if frame["score"] is None:  # it has no place on the line, and breaks it
            ticks.append(f"M{at:.2f} 0v6")
            lines.append([])
        else:
            point = f"{at:.2f} {100 - 100 * frame['score']:.2f}"
            points.append(f"M{point}h0")
            lines[-1].append(point)
    return Track(
        person_id=person.person_id,
        lines=tuple("M" + " L".join(line) for line in lines if len(line) > 1),
        dots=" ".join(points),
        left_out=" ".join(ticks),
        segments=_bars(_spans(person, coarse=False), end_seconds),
        coarse=_bars(_spans(person, coarse=True), end_seconds),
        seen=_bars(person.seen_ranges_seconds, end_seconds),
    )


def ticks(end_seconds: float) -> tuple[Tick, ...]:
    """Round times along the axis, from 0 on; every second one is minor."""
    if end_seconds <= 0:
        return (Tick(0.0, clock(0), False),)
    most = max(_TICK_STEPS_SECONDS[-1], end_seconds / _MOST_TICKS)
    step = next((step for step in _TICK_STEPS_SECONDS if end_seconds / step <= _MOST_TICKS), most)
    digits = 1 if step < 1 else 0
    return tuple(
        Tick(_x(number * step, end_seconds), clock(number * step, digits), number % 2 == 1)
        for number in range(int(end_seconds / step + 1e-6) + 1)
    )


def clock(seconds: float, digits: int = 0) -> str:
    """``m:ss`` or ``h:mm:ss``, with tenths where ``digits`` asks or the time is not whole."""
    digits = digits or (0 if abs(seconds - round(seconds)) < 1e-6 else 1)
    whole = round(seconds, digits)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    width = 2 + (digits + 1 if digits else 0)
    tail = f"{left:0{width}.{digits}f}"
    return f"{int(hours)}:{int(minutes):02}:{tail}" if hours else f"{int(minutes)}:{tail}"


def _spans(person: Person, *, coarse: bool) -> list[tuple[float, float]]:
    return [(s.start_seconds, s.end_seconds) for s in person.segments if s.coarse == coarse]


def _bars(
    stretches: Sequence[tuple[float, float]], end_seconds: float
) -> tuple[tuple[float, float], ...]:
    return tuple(
        (_x(start, end_seconds), max(_x(end, end_seconds) - _x(start, end_seconds), 0.3))
        for start, end in stretches
    )


def _x(seconds: float, end_seconds: float) -> float:
    return round(100 * min(1.0, seconds / end_seconds), 3) if end_seconds > 0 else 50.0
