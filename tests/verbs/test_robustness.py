"""The robustness table from one command, of a model whose answer is known."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml
from stores import SPEC, make_store

from make_model import write_blueness
from unmask import weights
from unmask.augment.conditions import CONDITIONS
from unmask.cli import app
from unmask.clips import ClipStore
from unmask.errors import ModelError
from unmask.verbs.robustness import robustness, sample
from unmask.verbs.scorer import items_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "blue.onnx"
    return write_blueness(path, size_px=SPEC.size_px, frames=SPEC.frames)


def test_every_condition_has_a_row_and_the_files_agree(
    store: Path, model: Path, tmp_path: Path
) -> None:
    tree = robustness(model, store, out=tmp_path, videos=8)
    keys = ["none", *(condition.key for condition in CONDITIONS)]
    assert [row["condition"] for row in tree["conditions"]] == keys
    assert all((row["authentic"], row["manipulated"]) == (4, 4) for row in tree["conditions"])
    as_it_is, *harmed = (
        [row[measure]["value"] for measure in ("auc_roc", "apcer")] for row in tree["conditions"]
    )
    assert sum(figures != as_it_is for figures in harmed) >= 5
    assert harmed[keys.index("h264_crf_40") - 1][0] != as_it_is[0]
    assert json.loads((tmp_path / "robustness.json").read_text()) == tree
    with (tmp_path / "robustness.csv").open(newline="") as file:
        read = {row["condition"]: row for row in csv.DictReader(file)}
    assert list(read) == keys
    assert read["none"]["auc_roc"] == str(tree["conditions"][0]["auc_roc"]["value"])
    assert "| scale 1/4 |" in (tmp_path / "robustness.md").read_text()
    again = robustness(model, store, out=tmp_path / "again", videos=8)
    assert again == tree


def test_crops_that_detect_would_leave_out_are_counted(model: Path, tmp_path: Path) -> None:
    tree = robustness(model, make_store(tmp_path / "store", face_px=20), out=tmp_path, videos=2)
    assert {row["left_out_share"] for row in tree["conditions"]} == {1.0}


def test_the_sample_is_half_of_each_class_and_follows_the_seed(store: Path) -> None:
    items = items_of(ClipStore.open(store), "train")
    few = sample(items, 6, seed=0)
    assert sorted(item.record.label for item in few) == [0, 0, 0, 1, 1, 1]
    assert few == sample(items, 6, seed=0)
    assert few != sample(items, 6, seed=1)
    assert len(sample(items, 1000, seed=0)) == len(items)


def test_the_command_fills_a_card(
    store: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "unmask-base.yaml"
    shutil.copy(weights.FOLDER / card.name, card)
    before = yaml.safe_load(card.read_text())
    words = ["evaluate", str(model), "--data", str(store), "--robustness", "--sample", "4"]
    app([*words, "--out", str(tmp_path / "out"), "--card", str(card)], standalone_mode=False)
    assert "H.264 CRF 40" in capsys.readouterr().out
    after = weights.read_card("unmask-base", tmp_path)
    assert after.robustness == (tmp_path / "out" / "robustness.md").read_text().strip()
    kept = yaml.safe_load(card.read_text())
    assert {k: v for k, v in kept.items() if k != "robustness"} == {
        k: v for k, v in before.items() if k != "robustness"
    }


def test_mistakes_are_told(store: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        robustness(model, store, videos=1)
    with pytest.raises(ModelError):
        robustness(tmp_path / "no.onnx", store)
    with pytest.raises(ModelError) as caught:
        robustness(model, store, out=tmp_path, videos=2, card=tmp_path / "no.yaml")
    assert caught.value.code == "model_card"
