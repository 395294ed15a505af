"""Measures of the decisions at one threshold, from the four counts of a confusion matrix.

APCER and BPCER are those of ISO/IEC 30107-3, with manipulation in the place of the attack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.metrics.rows import Floats, checked, defined, ratio


@dataclass(frozen=True)
class Confusion:
    """Counts of rows; each may be an array over bootstrap resamples."""

    hits: Floats
    """Manipulated, called manipulated (true positives)."""
    misses: Floats
    """Manipulated, called authentic (false negatives)."""
    false_alarms: Floats
    """Authentic, called manipulated (false positives)."""
    passes: Floats
    """Authentic, called authentic (true negatives)."""

    @property
    def accuracy(self) -> Floats:
        """Share of right decisions."""
        right = self.hits + self.passes
        return ratio(right, right + self.misses + self.false_alarms)

    @property
    def balanced_accuracy(self) -> Floats:
        """Mean of the shares of right decisions in the two classes."""
        return 1 - self.hter

    @property
    def precision(self) -> Floats:
        """Share of the rows called manipulated that are."""
        return ratio(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> Floats:
        """Share of the manipulated rows that are called so."""
        return ratio(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> Floats:
        """Harmonic mean of precision and recall."""
        return ratio(2 * self.hits, 2 * self.hits + self.misses + self.false_alarms)

    @property
    def apcer(self) -> Floats:
        """Share of the manipulated rows called authentic."""
        return ratio(self.misses, self.hits + self.misses)

    @property
    def bpcer(self) -> Floats:
        """Share of the authentic rows called manipulated."""
        return ratio(self.false_alarms, self.false_alarms + self.passes)

    @property
    def hter(self) -> Floats:
        """Half total error rate: the mean of APCER and BPCER."""
        return (self.apcer + self.bpcer) / 2


def confusion(labels: ArrayLike, scores: ArrayLike, threshold: float) -> Confusion:
    """The four counts where a score at or above ``threshold`` is called manipulated."""
    truth, values = checked(labels, scores)
    cells = confusion_cells(truth == 1, values >= threshold).sum(axis=0)
    return Confusion(*cells.astype(np.float64))


def confusion_cells(fake: NDArray[np.bool_], called: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``(N, 4)``: which of the cells hits, misses, false alarms, passes a row falls into."""
    return np.stack([fake & called, fake & ~called, ~fake & called, ~fake & ~called], axis=-1)


def accuracy(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float | None:
    """Share of right decisions."""
    return defined(confusion(labels, scores, threshold).accuracy)


def balanced_accuracy(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float | None:
    """Mean of the shares of right decisions in the two classes; None with one class only."""
    return defined(confusion(labels, scores, threshold).balanced_accuracy)


def precision(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float | None:
    """Share of the rows called manipulated that are; None where none is called so."""
    return defined(confusion(labels, scores, threshold).precision)


def recall(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float | None:
    """Share of the manipulated rows that are called so."""
    return defined(confusion(labels, scores, threshold).recall)


def f1(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float | None:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
    return defined(confusion(labels, scores, threshold).f1)


def apcer(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float | None:
    """Attack presentation classification error rate: manipulated rows called authentic."""
    return defined(confusion(labels, scores, threshold).apcer)


def bpcer(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float | None:
    """Bona fide presentation classification error rate: authentic rows called manipulated."""
    return defined(confusion(labels, scores, threshold).bpcer)


def hter(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float | None:
    """Half total error rate at a threshold that was chosen elsewhere."""
    return defined(confusion(labels, scores, threshold).hter)
