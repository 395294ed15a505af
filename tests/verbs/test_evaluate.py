"""A model of either runtime on a split: the same figures."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from datasets import make_dataset

from make_model import write_blueness
from unmask import weights
from unmask.clips import StoreEntry, StoreWriter, read_records
from unmask.config import ClipSpec
from unmask.errors import DatasetError, ModelError, StoreError
from unmask.types import Clip, VideoRecord
from unmask.verbs.evaluate import evaluate, score_split
from unmask.verbs.prepare import prepare
from unmask.verbs.train import TrainReport

pytestmark = pytest.mark.slow


def scores(folder: Path) -> dict[str, float]:
    with (folder / "test_predictions.csv").open(newline="") as file:
        return {r["path"]: float(r["score"]) for r in csv.DictReader(file) if r["score"]}


@pytest.mark.parametrize("name", ["best_model.pth", "best_model.onnx", "best_model.safetensors"])
def test_every_form_of_a_model_gives_the_runs_figures(
    trained: TrainReport, tmp_path: Path, name: str
) -> None:
    (store,) = (trained.run.parent / "stores").iterdir()
    tree = evaluate(str(trained.run / "models" / name), str(store), out=str(tmp_path))
    assert tree["model"]["file"] == name
    expected = scores(trained.run / "results")
    assert scores(tmp_path) == pytest.approx(expected, abs=1e-3)
    for measure in ("auc_roc", "apcer", "bpcer"):
        assert tree["video"][measure] == trained.results["video"][measure]
    assert {path.name for path in tmp_path.iterdir()} == {
        "experiment_results.json", "experiment_report.txt", "test_predictions.csv", "evaluation",
    }  # fmt: skip


def test_a_folder_of_videos_is_prepared_and_what_fails_is_counted(
    trained: TrainReport, tmp_path: Path
) -> None:
    data = make_dataset(tmp_path / "data", {"test": 2}, first_seed=60)
    (data / "test" / "real" / "broken.mp4").write_text("no video")
    tree = evaluate(trained.run, data, out=tmp_path / "out")
    assert tree["counts"]["videos"] == 5
    assert tree["counts"]["judged"] == 4
    assert tree["counts"]["not_judged"] == {"media_format": 1}
    with (tmp_path / "out" / "test_predictions.csv").open(newline="") as file:
        (broken,) = [row for row in csv.DictReader(file) if "broken" in row["path"]]
    assert (broken["status"], broken["score"], broken["decision"]) == ("media_format", "", "")


def clip_of(crops: int, frames: int) -> Clip:
    """A clip with so many crops."""
    return Clip(
        frames=np.zeros((frames, 32, 32, 3), np.uint8),
        mask=np.arange(frames) < crops,
        pts_seconds=np.arange(frames, dtype=np.float32),
        boxes_xyxy_px=np.tile(np.float32([0, 0, 64, 64]), (frames, 1)),
        keypoints_px=np.zeros((frames, 5, 2), np.float32),
        track_id=0,
    )


@pytest.mark.parametrize(("frames", "three"), [(16, "too_few_frames"), (15, "ok")])
def test_who_shows_too_seldom_for_detect_is_not_judged(
    tmp_path: Path, frames: int, three: str
) -> None:
    """A still, or a store of few frames a video, is judged by what there is."""
    spec = ClipSpec(frames=frames, size_px=32)
    crops = {"three.mp4": 3, "four.mp4": 4, "still.png": 1}
    with StoreWriter(tmp_path / "store", spec) as writer:
        for path, count in crops.items():
            record = VideoRecord(path, label=0, split="test", group=path)
            writer.append(StoreEntry(record, "ok"), [clip_of(count, frames)])
    model = write_blueness(tmp_path / "blue.onnx", size_px=32, frames=frames)
    rows = score_split(model, tmp_path / "store", "test").predictions
    found = {row.path: row.status for row in rows}
    assert found == {"three.mp4": three, "four.mp4": "ok", "still.png": "ok"}


def test_results_go_to_a_folder_of_their_own(trained: TrainReport) -> None:
    """Those of the training, with its curves and its times, stay as they are."""
    (store,) = (trained.run.parent / "stores").iterdir()
    before = (trained.run / "results" / "experiment_results.json").read_bytes()
    model = trained.run / "models" / "best_model.onnx"
    for named, split in ((trained.run, "val"), (trained.run, "test"), (model, "val")):
        tree = evaluate(named, store, split=split)
        assert tree["split"] == [split]
        out = trained.run / f"results-{store.name}-{split}"
        assert (out / "experiment_results.json").exists()
    assert (trained.run / "results" / "experiment_results.json").read_bytes() == before


def test_a_bundled_model_is_evaluated_by_name_and_nothing_is_written_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_dataset(tmp_path / "data", {"test": 2}, first_seed=60)
    before = sorted(weights.FOLDER.iterdir())
    monkeypatch.chdir(tmp_path)
    tree = evaluate(weights.DEFAULT_DETECTOR, data)
    assert tree["model"]["file"] == f"{weights.DEFAULT_DETECTOR}.json"
    assert (tmp_path / "results-data-test" / "experiment_results.json").exists()
    score_split(weights.locate(weights.DEFAULT_DETECTOR), data, "test")  # as `calibrate` does
    assert sorted(weights.FOLDER.iterdir()) == before


@pytest.mark.parametrize("name", ["best_model.pth", "best_model.onnx"])
def test_splits_that_the_data_does_not_give_are_the_trainings(
    trained: TrainReport, tmp_path: Path, name: str
) -> None:
    """Else videos that a model was trained on would stand in its test."""
    from unmask.verbs import evaluate as verb

    config = verb.open_scorer(trained.run / "models" / name).config
    data = make_dataset(tmp_path / "data", {"": 8}, first_seed=40)
    prepare(data, tmp_path / "store", clip=config.clip, data_config=config.data,
            seed=config.loop.seed, workers=0)  # fmt: skip
    evaluate(trained.run / "models" / name, data, out=tmp_path / "out")
    expected = {r.path: r.split for r in read_records(tmp_path / "store" / "manifest.csv")}
    records = read_records(tmp_path / "out" / "clips" / "manifest.csv")
    assert {r.path: r.split for r in records} == expected
    assert config.data.allow_leaks == ("near_duplicate", "group")


def test_mistakes_are_told(trained: TrainReport, tmp_path: Path) -> None:
    (store,) = (trained.run.parent / "stores").iterdir()
    with pytest.raises(ValueError, match="train, val, test"):
        evaluate(trained.run, store, split="all")
    with pytest.raises(ModelError) as caught:
        evaluate(tmp_path, store)
    assert caught.value.code == "model_missing"
    with pytest.raises(DatasetError):
        evaluate(trained.run, tmp_path / "nothing", out=tmp_path / "out")
    data = make_dataset(tmp_path / "data", {"test": 1}, first_seed=70)
    with pytest.raises(DatasetError) as empty:
        evaluate(trained.run, data, split="val", out=tmp_path / "out")
    assert empty.value.code == "dataset_empty_split"
    other = json.loads((store / "store.json").read_text())
    other["clip"]["margin"] = 2.0
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "store.json").write_text(json.dumps(other))
    with pytest.raises(StoreError, match=r"clip\.margin=2\.0") as caught_store:
        evaluate(trained.run, copy)
    assert caught_store.value.code == "store_spec"
