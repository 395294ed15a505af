"""The robustness table in its three forms."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest

from unmask.evaluation.predictions import Prediction
from unmask.evaluation.robustness import (
    COLUMNS,
    robustness_csv,
    robustness_markdown,
    robustness_row,
    robustness_text,
    robustness_tree,
)
from unmask.scoring import Calibration
from unmask.types import VideoRecord

FITTED = Calibration(threshold=0.5, authentic=9, manipulated=9)


def rows(shift: float) -> list[Prediction]:
    made = []
    for label in (0, 1):
        for k in range(10):
            record = VideoRecord(f"v{label}{k}.mp4", label, "test", f"g{k}")
            logit = (2 * label - 1) * (1.0 - 0.3 * k * (k > 7)) + shift
            made.append(Prediction.judged(record, FITTED, logit, [logit]))
    return made


def test_errors_are_those_at_the_shipped_threshold() -> None:
    plain = robustness_row("none", "as it is", rows(0.0), FITTED, 0.0)
    assert (plain.bpcer.value, plain.apcer.value) == (0.2, 0.2)
    assert (plain.authentic, plain.manipulated) == (10, 10)
    bright = robustness_row("brighter", "brighter", rows(2.5), FITTED, 0.25)
    assert bright.auc_roc == plain.auc_roc  # a shift ranks alike, and costs at the threshold
    assert (bright.bpcer.value, bright.apcer.value) == (1.0, 0.0)
    assert bright.bpcer.low is not None


def test_videos_without_a_score_are_left_out() -> None:
    record = VideoRecord("x.mp4", 1, "test", "x")
    with_gap = [*rows(0.0), Prediction.abstained(record, "no_face")]
    plain = robustness_row("none", "as it is", rows(0.0), FITTED, 0.0)
    assert robustness_row("none", "as it is", with_gap, FITTED, 0.0) == plain


def test_the_forms_tell_the_same() -> None:
    table = [
        robustness_row("none", "as it is", rows(0.0), FITTED, 0.0),
        robustness_row("blur", "blur, 1.5% of the side", rows(0.5), FITTED, 0.125),
    ]
    read = list(csv.DictReader(io.StringIO(robustness_csv(table))))
    assert tuple(read[0]) == COLUMNS
    assert [row["condition"] for row in read] == ["none", "blur"]
    assert float(read[1]["left_out_share"]) == 0.125
    assert float(read[0]["auc_roc"]) == table[0].auc_roc.value
    text = robustness_markdown(table)
    assert text.startswith("| condition | AUC | BPCER | APCER | left out by the guard |\n|---|")
    assert "| blur, 1.5% of the side | 0." in text
    assert "10 authentic and 10 manipulated videos" in text
    shown = robustness_text(robustness_tree(table, {"seed": 0}))
    assert shown.splitlines()[0].split() == ["AUC", "BPCER", "APCER", "left", "out"]
    assert f"{table[1].auc_roc.value:.3f}" in shown.splitlines()[2]


def test_no_form_mistakes_one_error_or_class_for_the_other() -> None:
    """Ten authentic videos with two false alarms, nine fakes of which one is missed."""
    part = [row for row in rows(0.0) if row.path != "v19.mp4"]
    row = robustness_row("none", "as it is", part, FITTED, 0.125, resamples=200)
    assert (row.bpcer.value, row.apcer.value) == (0.2, 1 / 9)
    cells = next(csv.DictReader(io.StringIO(robustness_csv([row]))))
    assert (cells["authentic"], cells["manipulated"]) == ("10", "9")
    for name in ("auc_roc", "bpcer", "apcer"):
        estimate = getattr(row, name)
        assert estimate.low < estimate.high
        assert float(cells[name]) == estimate.value
        assert float(cells[f"{name}_low"]) == estimate.low
        assert float(cells[f"{name}_high"]) == estimate.high
    bpcer, apcer = (
        f"{value} % [{100 * one.low:.1f}, {100 * one.high:.1f}]"
        for value, one in (("20.0", row.bpcer), ("11.1", row.apcer))
        if one.low is not None and one.high is not None
    )
    text = robustness_markdown([row])
    assert f"| as it is | {row.auc_roc.text} | {bpcer} | {apcer} | 12% |" in text
    assert "10 authentic and 9 manipulated videos" in text
    shown = robustness_text(robustness_tree([row], {})).splitlines()[1]
    assert re.split(r"\s{2,}", shown) == ["as it is", row.auc_roc.text, bpcer, apcer, "12%"]
    bare = robustness_row("none", "as it is", part, FITTED, 0.125, resamples=0)
    assert "| 20.0 % | 11.1 % | 12% |" in robustness_markdown([bare])


def test_what_one_class_does_not_define_is_said() -> None:
    alone = [row for row in rows(0.0) if row.label == 0]
    row = robustness_row("none", "as it is", alone, FITTED, 0.0)
    assert "| not defined |" in robustness_markdown([row])
    assert float(next(csv.DictReader(io.StringIO(robustness_csv([row]))))["bpcer"]) == 0.2
    with pytest.raises(StopIteration):
        next(csv.DictReader(io.StringIO(robustness_csv([]))))


def test_people_of_many_videos_are_drawn_as_one() -> None:
    """Two mistakes of ten videos, of two people or of one."""
    alone = robustness_row("none", "as it is", rows(0.0), FITTED, 0.0).bpcer
    pairs = [replace(row, group=str(int(row.group[1:]) // 2)) for row in rows(0.0)]
    together = robustness_row("none", "as it is", pairs, FITTED, 0.0).bpcer
    assert together.value == alone.value == 0.2
    assert together.high is not None
    assert alone.high is not None
    assert together.high > alone.high
