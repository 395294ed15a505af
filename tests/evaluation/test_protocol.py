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
    rows.append(Prediction.abstained(VideoRecord("y.mp4", 1, "test", "another"), "media_format"))
    tree = results_of(rows, calibration, resamples=20)
    judged = [row for row in rows if row.status == "ok"]
    assert tree["video"] == results_of(judged, calibration, resamples=20)["video"]
    fakes = sum(row.label for row in judged)
    assert tree["counts"] == {
        "videos": 66,
        "judged": 60,
        "judged_share": pytest.approx(60 / 66),
        "authentic": 60 - fakes,
        "manipulated": fakes,
        "groups": 20,
        "frames": sum(len(row.frame_logits) for row in judged),
        "not_judged": {"media_format": 1, "no_face": 5},
    }
    assert fakes != 30
    assert "left out" in tree["convention"]


def test_intervals_hold_the_value_and_repeat_with_the_seed() -> None:
    rows, calibration = make_predictions()
    tree = results_of(rows, calibration, resamples=200)
    for level in ("video", "frame"):
        for name in ("auc_roc", "accuracy", "apcer", "brier"):
            part = tree[level][name]
            assert part["low"] < part["value"] < part["high"]
    for part in (*tree["by_method"].values(), tree["by_face_size"]["96-191_px"]):
        assert part["auc_roc"]["low"] < part["auc_roc"]["high"]
    assert tree == results_of(rows, calibration, resamples=200)
    other = results_of(rows, calibration, resamples=200, seed=1)
    for level in ("video", "frame", "by_method", "by_face_size"):
        assert tree[level] != other[level]


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


def test_frames_of_one_video_are_drawn_as_one() -> None:
    """Frames that all say what their video says narrow no interval, however many they are."""
    rows, calibration = make_predictions(60)
    alike = [replace(row, frame_logits=(row.logit,) * 5) for row in rows if row.logit is not None]
    tree = results_of(alike, calibration, resamples=100)
    for name, part in tree["frame"].items():
        assert part == pytest.approx(tree["video"][name]), name


def test_methods_stand_against_all_authentic_videos() -> None:
    rows, calibration = make_predictions()
    parts = results_of(rows, calibration, resamples=0)["by_method"]
    assert set(parts) == {"deepfakes", "face2face"}
    some = [row for row in rows if row.score is not None and row.method != "face2face"]
    expected = sk.roc_auc_score([row.label for row in some], [row.score for row in some])
    assert parts["deepfakes"]["auc_roc"]["value"] == pytest.approx(expected)
    assert sum(part["manipulated"] for part in parts.values()) == sum(r.label for r in rows)
    judged = [row for row in rows if row.status == "ok"]
    assert {part["authentic"] for part in parts.values()} == {sum(not r.label for r in judged)}


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


def test_a_row_says_whose_video_it_is_whether_it_was_judged_or_not(tmp_path: Path) -> None:
    record = VideoRecord("a.mp4", 1, "val", "person", "swap", "studio")
    at_threshold = Prediction.judged(record, Calibration(threshold=0.5), 0.0, [0.25, -0.25], 80.0)
    mine = ("a.mp4", "person", 1, "val", "swap")
    assert at_threshold == Prediction(
        *mine, "ok", 0.0, 0.5, 1, (0.25, -0.25), face_px=80.0, dataset="studio"
    )
    gone = Prediction.abstained(record, "no_face")
    assert gone == Prediction(*mine, "no_face", dataset="studio")
    write_predictions(tmp_path / "p.csv", [at_threshold, gone])
    assert read_predictions(tmp_path / "p.csv") == (at_threshold, gone)


def test_a_table_of_an_earlier_version_without_datasets_is_read(tmp_path: Path) -> None:
    rows, _ = make_predictions(9)
    write_predictions(tmp_path / "p.csv", rows)
    with (tmp_path / "p.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    with (tmp_path / "old.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [name for name in table[0] if name != "dataset"])
        writer.writeheader()
        writer.writerows({k: v for k, v in row.items() if k != "dataset"} for row in table)
    assert read_predictions(tmp_path / "old.csv") == tuple(rows)


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


def test_the_card_tells_false_alarms_from_misses_and_one_class_from_the_other() -> None:
    """Four authentic videos with one false alarm, three fakes that are all found, one not seen."""
    rows = []
    for k, logit in enumerate((-1.0, -1.5, -2.0, 1.0, 2.0, 3.0, 4.0)):
        record = VideoRecord(f"{k}.mp4", int(k > 3), "test", f"g{k}", "swap" * (k > 3))
        rows.append(Prediction.judged(record, Calibration(), logit, [logit]))
    rows.append(Prediction.abstained(VideoRecord("x.mp4", 0, "test", "x"), "no_face"))
    card = card_metrics(results_of(rows, Calibration(), resamples=0))
    assert "| videos | authentic | manipulated | AUC | BPCER | APCER |" in card
    assert "| all | 4 | 3 | 1.000 | 0.250 | 0.000 |" in card
    assert "| method swap | 4 | 3 | 1.000 | 0.250 | 0.000 |" in card
    assert "Split test, 7 groups, 1 videos not judged" in card


def test_a_table_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "test_predictions.csv"
    write_predictions(path, make_predictions()[0])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1][:12]]))
    with pytest.raises(InputError) as caught:
        read_predictions(path)
    assert caught.value.code == "predictions_unreadable"
