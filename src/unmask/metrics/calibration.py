"""Whether a score of 0.8 is right eight times in ten: ECE, Brier score, reliability bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from unmask.metrics.rows import Floats, Ints, checked_probabilities

ECE_BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram; the means are None where it is empty."""

    low: float
    high: float
    rows: int
    mean_score: float | None
    share_manipulated: float | None


def bin_index(scores: Floats, bins: int) -> Ints:
    """``(N,)`` which of the equal-width bins each score falls into; the last one includes 1."""
    return np.minimum((scores * bins).astype(np.int64), bins - 1)


def reliability(
    labels: ArrayLike, scores: ArrayLike, bins: int = ECE_BINS
) -> tuple[ReliabilityBin, ...]:
    """Equal-width bins over P(manipulated), with what was promised and what came true in each."""
    truth, values = checked_probabilities(labels, scores)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    index = bin_index(values, bins)
    rows = np.bincount(index, minlength=bins)
    promised = np.bincount(index, values, bins)
    true = np.bincount(index, truth, bins)
    return tuple(
        ReliabilityBin(
            low=k / bins,
            high=(k + 1) / bins,
            rows=int(rows[k]),
            mean_score=float(promised[k] / rows[k]) if rows[k] else None,
            share_manipulated=float(true[k] / rows[k]) if rows[k] else None,
        )
        for k in range(bins)
    )


def ece(labels: ArrayLike, scores: ArrayLike, bins: int = ECE_BINS) -> float | None:
    """Expected calibration error over equal-width bins of P(manipulated).

    The mean over the rows of |share manipulated - mean score| of their bin: the two-class form of
    Naeini et al. 2015 on the score itself rather than on the winning class's confidence.
    """
    truth, values = checked_probabilities(labels, scores)
    if not len(values):
        return None
    gaps = np.bincount(bin_index(values, bins), truth - values, bins)
    return float(np.abs(gaps).sum() / len(values))


def brier(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Mean squared difference of score and label (Brier 1950): 0 is perfect, 0.25 is a coin."""
    truth, values = checked_probabilities(labels, scores)
    return float(np.mean((values - truth) ** 2)) if len(values) else None
