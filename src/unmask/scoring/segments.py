"""The stretches of time in which one person looks manipulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from unmask.types import Segment

MAX_GAP_SECONDS = 2.0


@dataclass(frozen=True)
class SegmentRule:
    """Two thresholds and a minimum duration, so that single frames do not flicker."""

    start_score: float
    """A segment needs a frame at or above this."""
    keep_score: float
    """Neighbouring frames belong to it while they stay at or above this."""
    min_seconds: float = 0.4
    min_frames: int = 2
    max_gap_seconds: float = MAX_GAP_SECONDS
    """Two frames further apart than this, and than three times the usual step, are not joined."""

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
        same run; a segment's score is the mean over its frames.
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
                found.append(Segment(start, end, score))
    return tuple(found)


def seen_ranges(
    times_seconds: Sequence[float], max_gap_seconds: float = MAX_GAP_SECONDS
) -> tuple[tuple[float, float], ...]:
    """First and last time of every stretch in which the face was seen without a gap."""
    times = np.asarray(times_seconds, float)
    stretches = (times[run] for run in _runs(times, max_gap_seconds))
    return tuple((float(stretch[0]), float(stretch[-1])) for stretch in stretches)


def _runs(times: np.ndarray, max_gap_seconds: float) -> list[slice]:
    """Stretches without a gap: the face was seen all along, as far as was looked."""
    if not len(times):
        return []
    steps = np.diff(times)
    limit = max(max_gap_seconds, 3 * float(np.median(steps))) if len(steps) else 0.0
    cuts = [0, *(np.flatnonzero(steps > limit) + 1).tolist(), len(times)]
    return [slice(a, b) for a, b in pairwise(cuts)]


def _above(scores: np.ndarray, rule: SegmentRule) -> list[tuple[int, int]]:
    """First and last index of every stretch above ``keep_score`` that touches ``start_score``."""
    inside = np.concatenate([[0], scores >= rule.keep_score, [0]]).astype(int)
    edges = np.diff(inside)
    pairs = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1, strict=True)
    return [(int(a), int(b)) for a, b in pairs if (scores[a : b + 1] >= rule.start_score).any()]


def _span(times: np.ndarray, first: int, last: int) -> tuple[float, float]:
    start = times[first] if first == 0 else (times[first - 1] + times[first]) / 2
    end = times[last] if last == len(times) - 1 else (times[last] + times[last + 1]) / 2
    return float(start), float(end)
