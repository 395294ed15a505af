"""The robustness table: what compression, scaling, blur, noise and light leave of a detector."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unmask.evaluation.predictions import JUDGED, Prediction
from unmask.evaluation.protocol import table
from unmask.metrics import Estimate, summarize
from unmask.scoring import Calibration

COLUMNS = (
    "condition", "auc_roc", "auc_roc_low", "auc_roc_high", "bpcer", "bpcer_low", "bpcer_high",
    "apcer", "apcer_low", "apcer_high", "left_out_share", "authentic", "manipulated",
)  # fmt: skip
_MEASURES = ("auc_roc", "bpcer", "apcer")


@dataclass(frozen=True)
class RobustnessRow:
    """One condition, video level, every video judged."""

    condition: str
    """Stable key of the condition."""
    name: str
    auc_roc: Estimate
    bpcer: Estimate
    """At the threshold that the model ships with, as is ``apcer``."""
    apcer: Estimate
    left_out_share: float
    """Share of the crops that the guard of `detect` leaves out under this condition."""
    authentic: int
    manipulated: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def robustness_row(
    condition: str,
    name: str,
    predictions: Sequence[Prediction],
    calibration: Calibration,
    left_out_share: float,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> RobustnessRow:
    """Measure one condition's predictions; videos that have no score are left out."""
    judged = [row for row in predictions if row.status == JUDGED]
    labels, scores, groups = table(judged, calibration, frames=False)
    found = summarize(labels, scores, calibration.threshold, groups, resamples=resamples, seed=seed)
    return RobustnessRow(
        condition,
        name,
        auc_roc=found["auc_roc"],
        bpcer=found["bpcer"],
        apcer=found["apcer"],
        left_out_share=left_out_share,
        authentic=int((labels == 0).sum()),
        manipulated=int((labels == 1).sum()),
    )


def robustness_csv(rows: Sequence[RobustnessRow]) -> str:
    """`COLUMNS`, one line a condition; what is not defined is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cells: list[Any] = [row.condition]
        for measure in _MEASURES:
            estimate: Estimate = getattr(row, measure)
            cells += [estimate.value, estimate.low, estimate.high]
        writer.writerow([*cells, row.left_out_share, row.authentic, row.manipulated])
    return text.getvalue()


def robustness_markdown(rows: Sequence[RobustnessRow]) -> str:
    """A table for people, with what it was measured on under it."""
    lines = ["| condition | AUC | BPCER | APCER | left out by the guard |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.name} | {row.auc_roc.text} | {_percent(row.bpcer)} | {_percent(row.apcer)} | "
        f"{row.left_out_share:.0%} |"
        for row in rows
    ]
    if rows:
        lines += [
            "",
            f"{rows[0].authentic} authentic and {rows[0].manipulated} manipulated videos, video "
            "level, all of them judged; BPCER and APCER at the threshold that ships; 95 % "
            "bootstrap intervals by group. The last column is the share of crops about which "
            "`detect` would not have asked the model.",
        ]
    return "\n".join(lines) + "\n"


def robustness_tree(rows: Sequence[RobustnessRow], about: Mapping[str, Any]) -> dict[str, Any]:
    """``robustness.json``: ``about`` and the rows."""
    return {**about, "conditions": [row.to_dict() for row in rows]}


def robustness_text(tree: Mapping[str, Any]) -> str:
    """The table of ``robustness.json`` for a terminal."""
    head = ("", "AUC", "BPCER", "APCER", "left out")
    rows = [head]
    for row in tree["conditions"]:
        auc, bpcer, apcer = (Estimate(**row[measure]) for measure in _MEASURES)
        share = f"{row['left_out_share']:.0%}"
        rows.append((row["name"], auc.text, _percent(bpcer), _percent(apcer), share))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _percent(estimate: Estimate) -> str:
    if estimate.value is None:
        return "not defined"
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.value:.1f} %"
    return f"{100 * estimate.value:.1f} % [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
