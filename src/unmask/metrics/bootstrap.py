"""Every measure at once, with 95 % intervals from resampling whole groups.

Videos of one source or identity stand or fall together, so rows are not resampled one by one:
groups are (the cluster bootstrap, Davison & Hinkley 1997, 3.8). A resample is a number of times
that each group counts; rows are sorted once and only their weights change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.metrics import curves
from unmask.metrics.calibration import ECE_BINS, bin_index
from unmask.metrics.decisions import Confusion, confusion_cells
from unmask.metrics.rows import Floats, Ints, checked_probabilities, defined, ratio

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "auc_roc",
    "auc_pr",
    "eer",
    "hter",
    "apcer",
    "bpcer",
    "bpcer_at_apcer_5",
    "ece",
    "brier",
)

_OF_DECISIONS = (
    "accuracy", "balanced_accuracy", "precision", "recall", "f1", "hter", "apcer", "bpcer",
)  # fmt: skip
_CELLS_AT_ONCE = 1 << 21  # rows times resamples held in memory


@dataclass(frozen=True)
class Estimate:
    """One measure: its value on the rows, and the 95 % interval around it."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def text(self) -> str:
        """``0.927 [0.902, 0.946]``."""
        if self.value is None:
            return "not defined"
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def summarize(
    labels: ArrayLike,
    scores: ArrayLike,
    threshold: float,
    groups: Sequence[str] | Sequence[int] | NDArray[np.generic] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """All of `METRICS` with percentile intervals over resampled groups.

    Args:
        labels: ``(N,)`` 1 = manipulated.
        scores: ``(N,)`` P(manipulated), 0-1.
        threshold: decision threshold, chosen on other data.
        groups: ``(N,)`` who belongs together; every row by itself by default.
        resamples: 0 leaves the intervals out.
        seed: of the resampling; equal input and seed give equal intervals.

    Returns:
        An `Estimate` for each name. A value is None where the rows do not define it; an interval
        is None with fewer than two groups, or where most resamples do not define the measure.
    """
    truth, values = checked_probabilities(labels, scores)
    names = np.arange(len(values)) if groups is None else np.asarray(groups)
    if names.shape != values.shape:
        raise ValueError(f"groups must be (N,) like scores, got {names.shape} and {values.shape}")
    kinds, member = np.unique(names, return_inverse=True)
    rows = _Rows(truth, values, threshold, member, len(kinds))
    point = rows.measure(np.ones((1, len(kinds)), np.int32))
    drawn: dict[str, list[Floats]] = {name: [] for name in METRICS}
    if resamples and len(kinds) > 1:
        rng = np.random.default_rng(seed)
        step = max(1, _CELLS_AT_ONCE // len(values))
        for start in range(0, resamples, step):
            size = min(step, resamples - start)
            counts = rng.multinomial(len(kinds), np.full(len(kinds), 1 / len(kinds)), size=size)
            for name, found in rows.measure(counts.astype(np.int32)).items():
                drawn[name].append(found)
    return {name: Estimate(defined(point[name][0]), *_interval(drawn[name])) for name in METRICS}


class _Rows:
    """The rows, reduced to sums by group wherever the order of the scores does not matter."""

    def __init__(
        self, labels: Ints, scores: Floats, threshold: float, member: Ints, groups: int
    ) -> None:
        self.labels, self.scores, self.member = labels, scores, member

        def by_group(columns: NDArray[np.generic]) -> Floats:
            sums = np.zeros((groups, columns.shape[1]))
            np.add.at(sums, member, columns)
            return sums

        self.cells = by_group(confusion_cells(labels == 1, scores >= threshold))
        self.squares = by_group(((scores - labels) ** 2)[:, None])
        gaps = np.zeros(groups * ECE_BINS)
        np.add.at(gaps, member * ECE_BINS + bin_index(scores, ECE_BINS), labels - scores)
        self.gaps = gaps.reshape(groups, ECE_BINS)

    def measure(self, counts: NDArray[np.int32]) -> dict[str, Floats]:
        """``(R,)`` values of every measure for ``(R, groups)`` counts; NaN where undefined."""
        table = Confusion(*(counts @ self.cells).T)
        total = table.hits + table.misses + table.false_alarms + table.passes
        errors = curves.errors_by_threshold(self.labels, self.scores, counts[:, self.member])
        found = {name: getattr(table, name) for name in _OF_DECISIONS}
        found["auc_roc"] = curves.auc_of(errors)
        found["auc_pr"] = curves.average_precision_of(errors)
        found["eer"] = curves.eer_of(errors)
        found["bpcer_at_apcer_5"] = curves.bpcer_at_apcer_of(errors, 0.05)
        found["ece"] = ratio(np.abs(counts @ self.gaps).sum(axis=1), total)
        found["brier"] = ratio((counts @ self.squares)[:, 0], total)
        return found


def _interval(drawn: list[Floats]) -> tuple[float | None, float | None]:
    values = np.concatenate(drawn) if drawn else np.empty(0)
    exist = values[~np.isnan(values)]
    if not len(exist) or len(exist) < len(values) / 2:
        return None, None
    low, high = np.percentile(exist, [2.5, 97.5])
    return float(low), float(high)
