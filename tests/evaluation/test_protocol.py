"""Predictions on disk and the results tree; everything recomputed by scikit-learn."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

from unmask.errors import InputError
from unmask.evaluation import (
    Prediction,
    card_metrics,
    read_predictions,
    results_of,
    write_predictions,
)
from unmask.metrics import METRICS
from unmask.scoring import Calibration, fit
from unmask.types import VideoRecord


def make_predictions(
    videos: int = 120, classes: tuple[int, ...] = (0, 1), abstained: int = 3
) -> tuple[list[Prediction], Calibration]:
    rng = np.random.default_rng(0)
    labels = rng.choice(classes, videos)
    logits = 2 * rng.normal(size=videos) + 3 * labels - 1
    calibration = fit(logits + 0.3 * rng.normal(size=videos), labels)
    rows = []
    for k, (label, logit) in enumerate(zip(labels.tolist(), logits.tolist(), strict=True)):
        method = ("deepfakes", "face2face")[k % 2] if label else ""
        record = VideoRecord(f"clips/{k}, a.mp4", label, "test", f"source{k // 3}", method)
        frames = logit + rng.normal(size=int(rng.integers(1, 9)))
        rows.append(
            Prediction.judged(record, calibration, logit, frames.tolist(), float(20 + 2 * k))
        )
    rows += [
        Prediction.abstained(VideoRecord(f"x{k}.mp4", 0, "test", "other"), "no_face")
        for k in range(abstained)
    ]
    return rows, calibration


def by_scikit_learn(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    called = scores >= threshold
    tn, fp, fn, tp = sk.confusion_matrix(labels, called).ravel()
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    grid = np.linspace(0, 1, 200_001)
    rise = np.interp(grid, fpr, tpr)
    bins = np.minimum((scores * 15).astype(int), 14)
    return {
        "accuracy": sk.accuracy_score(labels, called),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, called),
        "precision": sk.precision_score(labels, called),
        "recall": sk.recall_score(labels, called),
        "f1": sk.f1_score(labels, called),
        "auc_roc": sk.roc_auc_score(labels, scores),
        "auc_pr": sk.average_precision_score(labels, scores),
        "apcer": fn / (fn + tp),
        "bpcer": fp / (fp + tn),
        "hter": (fn / (fn + tp) + fp / (fp + tn)) / 2,
        "eer": grid[np.argmin(np.abs(1 - rise - grid))],
        "bpcer_at_apcer_5": fpr[(1 - tpr) <= 0.05 + 1e-12].min(),
        "brier": sk.brier_score_loss(labels, scores),
        "ece": sum(
            abs((labels[bins == k] - scores[bins == k]).sum()) for k in range(15)
        ) / len(scores),
    }  # fmt: skip


def test_every_number_can_be_recomputed_from_the_csv(tmp_path: Path) -> None:
    rows, calibration = make_predictions()
    tree = json.loads(json.dumps(results_of(rows, calibration, resamples=20), allow_nan=False))
    write_predictions(tmp_path / "test_predictions.csv", rows)

    with (tmp_path / "test_predictions.csv").open(newline="") as file:
        table = [row for row in csv.DictReader(file) if row["status"] == "ok"]
    threshold = tree["calibration"]["threshold"]
    labels = np.array([int(row["label"]) for row in table])
    scores = np.array([float(row["score"]) for row in table])
    assert [int(row["decision"]) for row in table] == (scores >= threshold).astype(int).tolist()
    expected = by_scikit_learn(labels, scores, threshold)
    assert set(expected) == set(METRICS) == set(tree["video"])
    for name, value in expected.items():
        tolerance = 1e-5 if name == "eer" else 1e-6  # the grid's step
        assert tree["video"][name]["value"] == pytest.approx(value, abs=tolerance), name

    frames = [[float(x) for x in row["frame_logits"].split(";")] for row in table]
    assert [len(part) for part in frames] == [int(row["frames_used"]) for row in table]
    z = np.concatenate(frames) - tree["calibration"]["offset"]
    frame_scores = 1 / (1 + np.exp(-z / tree["calibration"]["temperature"]))
    frame_labels = np.repeat(labels, [len(part) for part in frames])
    for name, value in by_scikit_learn(frame_labels, frame_scores, threshold).items():
        tolerance = 1e-5 if name == "eer" else 1e-6
        assert tree["frame"][name]["value"] == pytest.approx(value, abs=tolerance), name


def test_predictions_come_back_as_they_were(tmp_path: Path) -> None:
    rows, _ = make_predictions(20)
    write_predictions(tmp_path / "p.csv", rows)
    assert read_predictions(tmp_path / "p.csv") == tuple(rows)


def test_videos_without_a_score_are_counted_and_left_out() -> None:
    rows, calibration = make_predictions(60, abstained=5)
    tree = results_of(rows, calibration, resamples=20)
    without = results_of([row for row in rows if row.status == "ok"], calibration, resamples=20)
    assert tree["video"] == without["video"]
    assert tree["counts"]["videos"] == 65
    assert tree["counts"]["judged"] == 60
    assert tree["counts"]["judged_share"] == pytest.approx(60 / 65)
    assert tree["counts"]["not_judged"] == {"no_face": 5}
    assert "left out" in tree["convention"]


def test_intervals_hold_the_value_and_repeat_with_the_seed() -> None:
    rows, calibration = make_predictions()
    tree = results_of(rows, calibration, resamples=200)
    for level in ("video", "frame"):
        for name in ("auc_roc", "accuracy", "apcer", "brier"):
            part = tree[level][name]
            assert part["low"] < part["value"] < part["high"]
    assert tree == results_of(rows, calibration, resamples=200)


def test_people_of_many_videos_are_drawn_as_one() -> None:
    """Twenty videos that err together say little more than one: the interval knows it."""

    def width(group_size: int) -> float:
        rows = []
        for k in range(400):
            record = VideoRecord(f"{k}.mp4", k % 2, "test", f"g{k // group_size}")
            wrong = k // 20 % 4 == 0  # all of a twenty, whatever its groups
            logit = 1.0 if (k % 2 == 1) != wrong else -1.0
            rows.append(Prediction.judged(record, Calibration(), logit, [logit], 100.0))
        part = results_of(rows, Calibration(), resamples=200)["video"]["bpcer"]
        assert part["value"] == 0.25
        return float(part["high"] - part["low"])

    assert width(20) > 2 * width(1)


def test_methods_stand_against_all_authentic_videos() -> None:
    rows, calibration = make_predictions()
    parts = results_of(rows, calibration, resamples=0)["by_method"]
    assert set(parts) == {"deepfakes", "face2face"}
    some = [row for row in rows if row.score is not None and row.method != "face2face"]
    expected = sk.roc_auc_score([row.label for row in some], [row.score for row in some])
    assert parts["deepfakes"]["auc_roc"]["value"] == pytest.approx(expected)
    assert sum(part["manipulated"] for part in parts.values()) == sum(r.label for r in rows)


def test_face_sizes_fall_into_bands() -> None:
    rows, calibration = make_predictions()
    parts = results_of(rows, calibration, resamples=0)["by_face_size"]
    assert list(parts) == ["0-47_px", "48-95_px", "96-191_px", "192_px_and_more"]
    assert sum(part["authentic"] + part["manipulated"] for part in parts.values()) == 120
    assert parts["0-47_px"]["authentic"] + parts["0-47_px"]["manipulated"] == 14


@pytest.mark.parametrize("case", ["one_class", "none_judged", "no_rows"])
def test_degenerate_sets_give_strict_json_with_null(case: str) -> None:
    rows, calibration = make_predictions(8, classes=(1,))
    if case == "none_judged":
        rows = rows[8:]
    elif case == "no_rows":
        rows = []
    tree = json.loads(json.dumps(results_of(rows, calibration, resamples=20), allow_nan=False))
    assert tree["video"]["auc_roc"] == {"value": None, "low": None, "high": None}
    assert (tree["video"]["apcer"]["value"] is None) == (case != "one_class")


def test_what_the_caller_measured_is_kept() -> None:
    rows, calibration = make_predictions(10)
    tree = results_of(
        rows, calibration, timings={"score_seconds": 2.5}, versions={"numpy": "2"}, resamples=0
    )
    assert tree["timings"] == {"score_seconds": 2.5}
    assert tree["versions"] == {"numpy": "2"}


def test_a_row_may_not_have_a_number_without_being_judged() -> None:
    with pytest.raises(ValueError, match="exactly when"):
        Prediction("a.mp4", "g", 1, status="no_face", score=0.5)
    with pytest.raises(ValueError, match="exactly when"):
        Prediction("a.mp4", "g", 1)


@pytest.mark.parametrize("text", ["path,label\na.mp4,1\n", "", None])
def test_a_foreign_table_is_refused(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "p.csv"
    if text:
        file.write_text(text)
    elif text is None:
        file = tmp_path / "absent.csv"
    else:
        file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError) as caught:
        read_predictions(file)
    assert caught.value.code == "predictions_unreadable"


def test_sources_stand_by_themselves_and_the_card_names_every_part() -> None:
    rows, calibration = [], Calibration(threshold=0.5, authentic=9, manipulated=9)
    for k in range(24):
        label, source = k % 2, ("here", "there")[k // 12]
        record = VideoRecord(f"{k}.mp4", label, "test", f"g{k // 2}", "swap" * label, source)
        right = source == "here" or k % 4 < 2
        logit = (1.0 if label == right else -1.0) + 0.01 * k
        rows.append(Prediction.judged(record, calibration, logit, [logit], 40.0 + 10 * k))
    tree = results_of(rows, calibration, resamples=50)
    assert set(tree["by_source"]) == {"here", "there"}
    assert tree["by_source"]["here"]["auc_roc"]["value"] == 1.0
    assert tree["by_source"]["there"]["auc_roc"]["value"] < 0.9
    assert tree["by_source"]["there"]["auc_roc"]["low"] is not None
    table = card_metrics(tree)
    for name in ("all", "source here", "source there", "method swap", "face 48-95 px"):
        assert f"| {name} | " in table
    assert "| source here | 6 | 6 | 1.000 [1.000, 1.000] |" in table
    assert "Split test, 12 groups, 0 videos not judged" in table
    without = results_of([replace(row, dataset="") for row in rows], calibration, resamples=0)
    assert without["by_source"] == {}


def test_a_table_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "test_predictions.csv"
    write_predictions(path, make_predictions()[0])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1][:12]]))
    with pytest.raises(InputError) as caught:
        read_predictions(path)
    assert caught.value.code == "predictions_unreadable"
