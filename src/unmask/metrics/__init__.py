"""How good a detector is, in NumPy: ranking, decisions, calibration, and how sure we are of it.

Throughout, ``labels`` are 1 for manipulated and 0 for authentic, ``scores`` grow with suspicion,
and a row is called manipulated where its score is at or above the threshold. A measure that does
not exist for the rows at hand (say AUC with one class) is None, never NaN and never a made-up
number.
"""

from unmask.metrics.bootstrap import METRICS, Estimate, summarize
from unmask.metrics.calibration import ECE_BINS, ReliabilityBin, brier, ece, reliability
from unmask.metrics.curves import (
    average_precision,
    bpcer_at_apcer,
    eer,
    pr_curve,
    roc_auc,
    roc_curve,
)
from unmask.metrics.decisions import (
    Confusion,
    accuracy,
    apcer,
    balanced_accuracy,
    bpcer,
    confusion,
    f1,
    hter,
    precision,
    recall,
)

__all__ = [
    "ECE_BINS",
    "METRICS",
    "Confusion",
    "Estimate",
    "ReliabilityBin",
    "accuracy",
    "apcer",
    "average_precision",
    "balanced_accuracy",
    "bpcer",
    "bpcer_at_apcer",
    "brier",
    "confusion",
    "ece",
    "eer",
    "f1",
    "hter",
    "pr_curve",
    "precision",
    "recall",
    "reliability",
    "roc_auc",
    "roc_curve",
    "summarize",
]
