"""Measures over all thresholds: ROC, precision-recall, equal error rate, BPCER at a fixed APCER.

One sorted pass (`errors_by_threshold`) serves a single weighting of the rows and a thousand
bootstrap weightings alike: the rows' weights may have leading axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.metrics.rows import Floats, Ints, checked, defined, ratio


@dataclass(frozen=True)
class ErrorsByThreshold:
    """What lies at or above each threshold, from the highest score down.

    The first column stands for a threshold above every score, where nothing is called manipulated.
    """

    thresholds: Floats
    """``(K + 1,)`` infinity, then the distinct scores, descending."""
    hits: Floats
    """``(..., K + 1)`` weight of the manipulated rows at or above the threshold."""
    false_alarms: Floats
    """``(..., K + 1)`` weight of the authentic rows at or above the threshold."""

    @property
    def apcer(self) -> Floats:
        """``(..., K + 1)`` share of the manipulated rows below the threshold."""
        total = self.hits[..., -1:]
        return ratio(total - self.hits, total)

    @property
    def bpcer(self) -> Floats:
        """``(..., K + 1)`` share of the authentic rows at or above the threshold."""
        return ratio(self.false_alarms, self.false_alarms[..., -1:])


def errors_by_threshold(
    labels: Ints, scores: Floats, weights: NDArray[Any] | None = None
) -> ErrorsByThreshold:
    """Cumulate the rows from the highest score down; equal scores share one threshold.

    Args:
        labels: ``(N,)`` 0 or 1.
        scores: ``(N,)`` finite.
        weights: ``(..., N)`` how often each row counts, >= 0; once each by default.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else order
    counts = np.ones(len(scores), np.int64) if weights is None else weights
    counts = np.take(counts, order, axis=-1)
    positive = labels[order].astype(counts.dtype)
    every = np.cumsum(counts, axis=-1)[..., ends]
    hits = np.cumsum(counts * positive, axis=-1)[..., ends]
    return ErrorsByThreshold(
        np.append(np.inf, ranked[ends]), _from_zero(hits), _from_zero(every - hits)
    )


def _from_zero(cumulated: NDArray[Any]) -> Floats:
    first = np.zeros((*cumulated.shape[:-1], 1))
    return np.concatenate([first, cumulated], axis=-1, dtype=np.float64)


def auc_of(errors: ErrorsByThreshold) -> Floats:
    """Area under the ROC curve by trapezoids, which gives ties half a point each."""
    found, alarmed = 1 - errors.apcer, errors.bpcer
    heights = (found[..., 1:] + found[..., :-1]) / 2
    area = np.sum(heights * np.diff(alarmed, axis=-1), axis=-1)
    return np.where(np.isnan(found[..., -1] + alarmed[..., -1]), np.nan, area)


def average_precision_of(errors: ErrorsByThreshold) -> Floats:
    """Sum of precision times the step in recall, without interpolation."""
    recall = 1 - errors.apcer
    precision = np.nan_to_num(ratio(errors.hits, errors.hits + errors.false_alarms))
    area = np.sum(np.diff(recall, axis=-1) * precision[..., 1:], axis=-1)
    return np.where(np.isnan(recall[..., -1]), np.nan, area)


def eer_of(errors: ErrorsByThreshold) -> Floats:
    """Where APCER and BPCER cross, on straight lines between neighbouring thresholds."""
    missed, alarmed = errors.apcer, errors.bpcer
    gap = missed - alarmed  # falls from 1 to -1; the crossing is never at the first column
    after = np.argmax(gap <= 0, axis=-1)[..., None]
    gap_before, gap_after = _at(gap, after - 1), _at(gap, after)
    share = ratio(gap_before, gap_before - gap_after)
    before = _at(alarmed, after - 1)
    return before + share * (_at(alarmed, after) - before)


def bpcer_at_apcer_of(errors: ErrorsByThreshold, target: float) -> Floats:
    """BPCER at the highest threshold whose APCER is at most ``target``."""
    missed = errors.apcer
    first = np.argmax(missed <= target, axis=-1)[..., None]
    return np.where(np.isnan(missed[..., -1]), np.nan, _at(errors.bpcer, first))


def _at(values: Floats, index: NDArray[np.intp]) -> Floats:
    return np.asarray(np.take_along_axis(values, index, axis=-1)[..., 0])


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, Floats] | None:
    """``(bpcer, recall, thresholds)`` from the strictest threshold on; None with one class only.

    In other fields' words the false positive rate and the true positive rate. The first point is
    (0, 0) at a threshold of infinity.
    """
    truth, values = checked(labels, scores)
    if not 0 < truth.sum() < len(truth):
        return None
    errors = errors_by_threshold(truth, values)
    return errors.bpcer, 1 - errors.apcer, errors.thresholds


def pr_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, Floats] | None:
    """``(precision, recall, thresholds)`` from the strictest threshold on.

    None without a manipulated row. There is no point at recall 0: precision is undefined there.
    """
    truth, values = checked(labels, scores)
    if not truth.any():
        return None
    errors = errors_by_threshold(truth, values)
    precision = ratio(errors.hits, errors.hits + errors.false_alarms)
    return precision[1:], 1 - errors.apcer[1:], errors.thresholds[1:]


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Chance that a manipulated row scores above an authentic one; ties count half (AUC-ROC)."""
    return defined(auc_of(errors_by_threshold(*checked(labels, scores))))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Area under the precision-recall curve as a step function (AUC-PR)."""
    return defined(average_precision_of(errors_by_threshold(*checked(labels, scores))))


def eer(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Equal error rate: the common value of APCER and BPCER where they are the same."""
    return defined(eer_of(errors_by_threshold(*checked(labels, scores))))


def bpcer_at_apcer(labels: ArrayLike, scores: ArrayLike, target: float = 0.05) -> float | None:
    """The price in false alarms of missing at most ``target`` of the manipulated rows.

    ISO/IEC 30107-3 calls it BPCER20 for a target of 5 %. The threshold is chosen on these very
    rows, so it measures ranking, not an operating point.
    """
    if not 0 <= target <= 1:
        raise ValueError(f"target must be within 0-1, got {target}")
    return defined(bpcer_at_apcer_of(errors_by_threshold(*checked(labels, scores)), target))
