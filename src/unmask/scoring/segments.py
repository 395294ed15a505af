"""The stretches of time in which one person looks manipulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from unmask.types import STRETCH_STEP_SECONDS, Segment

MAX_GAP_STEPS = 2.5
"""In a long video, looked at more seldom, one frame without the face does not end a stretch."""


@dataclass(frozen=True)
class SegmentRule:
    """Two thresholds and a minimum duration, so that single frames do not flicker."""

    start_score: float
    """A segment needs a frame at or above this."""
    keep_score: float
    """Neighbouring frames belong to it while they stay at or above this."""
    min_seconds: float = 0.4
    min_frames: int = 2
    max_gap_seconds: float = STRETCH_STEP_SECONDS
    """Two frames further apart than this are not joined; see `longest_gap_seconds`."""

    def __post_init__(self) -> None:
        if self.keep_score > self.start_score:
            raise ValueError(
                f"keep_score {self.keep_score} must not lie above start_score {self.start_score}"
            )


def find_segments(
    times_seconds: Sequence[float], scores: Sequence[float], rule: SegmentRule
) -> tuple[Segment, ...]:
    """Hysteresis over one track's frames.

    Args:
        times_seconds: ``(n,)`` rising presentation times.
        scores: ``(n,)`` calibrated frame scores, 0-1.
        rule: the thresholds.

    Returns:
        Segments in time order. Each frame stands for the time half-way to its neighbours in the
        same run, but at a segment's ends never for more than a second: nobody looked there. Within,
        frames may lie further apart, and the segment says how far. Its score is the mean over its
        frames.
    """
    times, values = np.asarray(times_seconds, float), np.asarray(scores, float)
    if times.shape != values.shape or times.ndim != 1:
        raise ValueError(f"times and scores must be (n,), got {times.shape} and {values.shape}")
    if (np.diff(times) < 0).any():
        raise ValueError("times_seconds must not fall")
    found = []
    for run in _runs(times, rule.max_gap_seconds):
        for first, last in _above(values[run], rule):
            start, end = _span(times[run], first, last)
            if last - first + 1 >= rule.min_frames and end - start >= rule.min_seconds:
                score = float(values[run][first : last + 1].mean())
                longest = float(np.diff(times[run][first : last + 1]).max(initial=0.0))
                found.append(Segment(start, end, score, last - first + 1, longest))
    return tuple(found)


def seen_ranges(
    times_seconds: Sequence[float], max_gap_seconds: float = STRETCH_STEP_SECONDS
) -> tuple[tuple[float, float], ...]:
    """First and last time of every stretch in which the face was never away for longer."""
    times = np.asarray(times_seconds, float)
    stretches = (times[run] for run in _runs(times, max_gap_seconds))
    return tuple((float(stretch[0]), float(stretch[-1])) for stretch in stretches)


def longest_gap_seconds(step_seconds: float) -> float:
    """How far apart frames of one stretch may lie in a video that was looked at in such steps.

    It goes by the video's step, not by the track's: of a face that showed in four moments of ten
    minutes nothing is known in between, however evenly they lie.
    """
    return max(STRETCH_STEP_SECONDS, MAX_GAP_STEPS * step_seconds)


def _runs(times: np.ndarray, max_gap_seconds: float) -> list[slice]:
    """Stretches without a wider gap; the face may be missing in frames within."""
    if not len(times):
        return []
    wide = np.flatnonzero(np.diff(times) > max_gap_seconds) + 1
    return [slice(a, b) for a, b in pairwise([0, *wide.tolist(), len(times)])]


def _above(scores: np.ndarray, rule: SegmentRule) -> list[tuple[int, int]]:
    """First and last index of every stretch above ``keep_score`` that touches ``start_score``."""
    inside = np.concatenate([[0], scores >= rule.keep_score, [0]]).astype(int)
    edges = np.diff(inside)
    pairs = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1, strict=True)
    return [(int(a), int(b)) for a, b in pairs if (scores[a : b + 1] >= rule.start_score).any()]


def _span(times: np.ndarray, first: int, last: int) -> tuple[float, float]:
    start, end = times[first], times[last]
    reach = STRETCH_STEP_SECONDS / 2
    if first > 0:
        start = max((times[first - 1] + start) / 2, start - reach)
    if last < len(times) - 1:
        end = min((end + times[last + 1]) / 2, end + reach)
    return float(start), float(end)
