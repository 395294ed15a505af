"""The pictures are written, of every kind of set, without a display and without warnings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from unmask.evaluation import Prediction
from unmask.evaluation.history import _best, _column, write_history
from unmask.evaluation.plots import plot_evaluation, plot_history
from unmask.scoring import Calibration, fit
from unmask.types import VideoRecord

NAMES = ("confusion_matrix", "roc_pr_curves", "score_distribution", "reliability_diagram")


def make_predictions(videos: int, classes: tuple[int, ...]) -> tuple[list[Prediction], Calibration]:
    rng = np.random.default_rng(videos)
    labels = rng.choice(classes, videos)
    logits = rng.normal(size=videos) + 2 * labels
    calibration = fit(logits, labels)
    rows = [
        Prediction.judged(
            VideoRecord(f"{k}.mp4", int(labels[k]), "test", f"g{k}"), calibration, logits[k], [1.0]
        )
        for k in range(videos)
    ]
    return [
        *rows,
        Prediction.abstained(VideoRecord("x.mp4", 0, "test", "x"), "no_face"),
    ], calibration


def ink(path: Path) -> float:
    image = cv2.imread(str(path))
    assert image is not None
    assert min(image.shape[:2]) > 500
    return float((image < 128).any(axis=2).mean())


def panels(folder: Path) -> dict[str, float]:
    """Share of each panel of the four pictures that is not nearly white."""
    shares = {}
    for name in NAMES:
        image = cv2.imread(str(folder / f"{name}.png"))
        assert image is not None
        assert min(image.shape[:2]) > 500
        parts = [image]
        if name == "roc_pr_curves":
            parts = np.array_split(image, 2, axis=1)
        elif name == "reliability_diagram":
            parts = np.split(image, [int(0.7 * len(image))])
        for number, part in enumerate(parts):
            shares[f"{name} {number}"] = float((part < 190).any(axis=2).mean())
    return shares


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Of pictures that show no video: titles, axes and words that say so."""
    folder = tmp_path_factory.mktemp("empty")
    plot_evaluation(*make_predictions(0, (0,)), folder)
    return panels(folder)


@pytest.mark.parametrize(("videos", "classes"), [(200, (0, 1)), (4, (0, 1)), (5, (1,))])
def test_the_four_pictures(
    tmp_path: Path, empty: dict[str, float], videos: int, classes: tuple[int, ...]
) -> None:
    """Each panel shows what there is; few videos or one class have no ROC curve, which is said."""
    plot_evaluation(*make_predictions(videos, classes), tmp_path / "evaluation")
    assert sorted(path.stem for path in (tmp_path / "evaluation").iterdir()) == sorted(NAMES)
    found = panels(tmp_path / "evaluation")
    more = {name for name in found if found[name] > 1.5 * empty[name]}
    assert len(empty) == 6
    assert min(found["roc_pr_curves 0"], *empty.values()) > 0.01
    assert more >= {name for name in empty if videos == 200 or "curves" not in name}


def rows(epochs: int) -> list[dict[str, object]]:
    return [
        {
            "epoch": k + 1, "train_loss": 0.7 * 0.8**k, "val_loss": 0.6 * 0.9**k,
            "val_auc_video": None if k == 1 else 0.9 - 0.3 * 0.7**k, "lr": 1e-4,
            "images_per_second": 180.0, "data_wait_share": 0.04, "best": True,
        }
        for k in range(epochs)
    ]  # fmt: skip


@pytest.mark.parametrize("epochs", [0, 1, 9])
def test_the_history(tmp_path: Path, epochs: int) -> None:
    plot_history(rows(epochs), tmp_path / "training_history.png")
    assert ink(tmp_path / "training_history.png") > 0.001 * (1 + epochs)


STAGES_MS = {"wait_ms": 4.0, "augment_ms": 10.0, "forward_ms": 40.0, "backward_ms": 80.0}


@pytest.mark.parametrize("epochs", [1, 9])
def test_the_history_with_stages_and_the_machine(tmp_path: Path, epochs: int) -> None:
    """Two panels more, each with something in it."""
    full = [row | STAGES_MS for row in rows(epochs)]
    course = [
        {"seconds": 40.0 * i, "cpu_utilisation": 0.5, "images_per_second": 100.0 + i}
        for i in range(1, 1 + epochs)
    ]
    plot_history(rows(epochs), tmp_path / "plain.png")
    plot_history(full, tmp_path / "stages.png")
    plot_history(full, tmp_path / "both.png", course)
    plain, stages, both = (
        cv2.imread(str(tmp_path / f"{name}.png")) for name in ("plain", "stages", "both")
    )
    assert stages.shape[0] > 1.3 * plain.shape[0]
    lower = slice(int(0.72 * stages.shape[0]), None)
    middle = stages.shape[1] // 2
    assert (stages[lower, :middle] < 200).any(-1).mean() > 0.2  # the areas
    assert (stages[lower, middle:] < 128).any(-1).mean() < 0.001
    assert (both[lower, middle:] < 128).any(-1).mean() > 0.005


def test_the_history_as_csv_draws_the_same_picture(tmp_path: Path) -> None:
    import csv

    write_history(rows(3), tmp_path / "h.csv")
    with (tmp_path / "h.csv").open(newline="") as file:
        again = list(csv.DictReader(file))
    assert [row["val_auc_video"] for row in again][1] == ""
    assert float(again[2]["train_loss"]) == rows(3)[2]["train_loss"]
    plot_history(rows(3), tmp_path / "a.png")
    plot_history(again, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_what_only_later_epochs_have_is_kept(tmp_path: Path) -> None:
    history = [{"epoch": 1, "lr": 0.1}, {"epoch": 2, "lr": 0.1, "val_loss": 0.5}]
    write_history(history, tmp_path / "h.csv")
    lines = (tmp_path / "h.csv").read_text().splitlines()
    assert lines == ["epoch,lr,val_loss", "1,0.1,", "2,0.1,0.5"]


def test_values_stand_at_their_epochs() -> None:
    """As the row says, or else by its place from 1 on; a value that is missing moves no other."""
    history = [{"lr": "0.1"}, {"lr": ""}, {"lr": "0.2"}, {"epoch": "7", "lr": 0.3}]
    assert _column(history, "lr") == ([1.0, 3.0, 7.0], [0.1, 0.2, 0.3])


def test_the_circle_marks_the_epoch_that_was_kept() -> None:
    """Of equal AUCs the later one, since its loss is lower; also when read back from the CSV."""
    epochs, aucs = [1.0, 2.0, 3.0], [0.9, 1.0, 1.0]
    history = [{"epoch": e, "best": True} for e in (1, 2, 3)]
    assert _best(history, epochs, aucs) == 2
    assert _best([{"epoch": str(e), "best": str(e != 3)} for e in (1, 2, 3)], epochs, aucs) == 1
    assert _best([{"epoch": e} for e in (1, 2, 3)], epochs, aucs) == 1


def test_results_can_be_had_without_matplotlib() -> None:
    code = "import sys, unmask.evaluation; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
