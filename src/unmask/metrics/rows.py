"""The rows that every measure starts from, checked once."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[Ints, Floats]:
    """``labels`` as (N,) int64 of 0 and 1, ``scores`` as (N,) finite float64.

    Raises:
        ValueError: another shape, unequal lengths, other labels, or a score that is not finite.
    """
    values = np.asarray(scores, dtype=np.float64)
    truth = np.asarray(labels)
    if values.ndim != 1 or truth.shape != values.shape:
        raise ValueError(
            f"labels and scores must be (N,) and equally long, got {truth.shape} and {values.shape}"
        )
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("labels must be 0 (authentic) or 1 (manipulated)")
    if not np.isfinite(values).all():
        raise ValueError("scores must be finite")
    return truth.astype(np.int64), values


def checked_probabilities(labels: ArrayLike, scores: ArrayLike) -> tuple[Ints, Floats]:
    """Like `checked`, for scores that are probabilities within 0-1."""
    truth, values = checked(labels, scores)
    if values.size and (values.min() < 0 or values.max() > 1):
        raise ValueError(
            f"scores must lie within 0-1, got {float(values.min())} to {float(values.max())}"
        )
    return truth, values


def ratio(part: Floats, whole: Floats) -> Floats:
    """``part / whole``, NaN where ``whole`` is 0 (NaN stays inside this room)."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    quotient: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return quotient


def defined(value: Floats | np.float64) -> float | None:
    """The plain number of a 0-d array, or None where it does not exist."""
    number = float(value)
    return None if math.isnan(number) else number
