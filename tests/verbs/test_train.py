"""One call from videos to every result file, and what stops it."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml
from datasets import SETTINGS, make_dataset

from unmask import detect, weights
from unmask.clips import read_records, write_records
from unmask.config import TrainConfig, from_dict, load
from unmask.data.stages import STAGES
from unmask.errors import DatasetError, LeakError, RunError, StoreError
from unmask.models import load_checkpoint
from unmask.verbs import train as verb
from unmask.verbs.prepare import prepare
from unmask.verbs.train import TrainReport, train

pytestmark = pytest.mark.slow

LEFT = [
    *("config.yaml", "environment.json", "models/last/LATEST"),
    *(f"models/best_model.{kind}" for kind in ("pth", "safetensors", "onnx")),
    *("results/experiment_results.json", "results/experiment_report.txt"),
    *("results/training_history.csv", "results/training_history.png"),
    "results/test_predictions.csv",
    *(
        f"results/evaluation/{name}.png"
        for name in (
            "confusion_matrix", "roc_pr_curves", "score_distribution", "reliability_diagram"
        )
    ),
]  # fmt: skip


def settings(*words: str) -> TrainConfig:
    return load(None, [*SETTINGS, *words])


def test_what_a_run_leaves(trained: TrainReport) -> None:
    for name in LEFT:
        assert (trained.run / name).stat().st_size > 0, name
    config = yaml.safe_load((trained.run / "config.yaml").read_text())
    assert from_dict(TrainConfig, config) == settings()
    environment = json.loads((trained.run / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__.partition("+")[0]
    results = json.loads((trained.run / "results" / "experiment_results.json").read_text())
    assert results == json.loads(json.dumps(trained.results))
    assert results["counts"]["videos"] == 6
    assert results["training"]["epochs"] == 2
    checkpoint = torch.load(trained.run / "models" / "best_model.pth", weights_only=True)
    assert 0 < checkpoint["calibration"]["threshold"] < 1
    onnx.checker.check_model(onnx.load(trained.run / "models" / "best_model.onnx"))


def test_the_tables_of_a_run(trained: TrainReport, videos: Path) -> None:
    with (trained.run / "results" / "test_predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["path"] for row in rows} == {
        path.relative_to(videos).as_posix() for path in (videos / "test").rglob("*.mp4")
    }
    for row in rows:
        assert row["label"] == ("1" if "/fake/" in row["path"] else "0")
        logits = np.array(row["frame_logits"].split(";"), float)
        assert len(logits) == int(row["frames_used"]) == 4
        assert float(row["logit"]) == pytest.approx(logits.mean(), abs=1e-4)
    with (trained.run / "results" / "training_history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["1", "2"]
    for row in history:
        assert float(row["images_per_second"]) > 0
        assert 0 <= float(row["data_wait_share"]) <= 1


def test_the_report_tells_where_the_time_went(trained: TrainReport) -> None:
    """The stages of a step add up to it, in the history, the tree and on the page."""
    with (trained.run / "results" / "training_history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    for row in history:
        parts = [float(row[f"{name}_ms"]) for name in (*STAGES, "other")]
        assert sum(parts) == pytest.approx(float(row["step_ms"]), abs=0.2)
        assert all(float(row[f"{name}_ms"]) > 0 for name in STAGES if name != "transfer")
    tree = trained.results["performance"]
    assert tree["steps"] == trained.state.step
    assert sum(tree["stages_ms"].values()) == pytest.approx(tree["step_ms"], abs=0.5)
    assert [row["epoch"] for row in tree["by_epoch"]] == [1, 2]
    assert tree["prepare"]["videos"] == 20
    assert tree["prepare"]["frames"] == 20 * 4
    assert tree["prepare"]["faces_ms"] > 0
    page = (trained.run / "results" / "experiment_report.txt").read_text()
    page = page.partition("Performance")[2].partition("How to read")[0]
    assert f"A step, {tree['step_ms']:.1f} ms:" in page
    assert len(page.splitlines()) < 50


def test_the_run_detects(trained: TrainReport, videos: Path) -> None:
    """The exported file and the evaluation agree on a video of the test split."""
    model = trained.run / "models" / "best_model.onnx"
    path = next((videos / "test" / "fake").iterdir())
    verdict = detect(path, model=model, frames=4)
    with (trained.run / "results" / "test_predictions.csv").open(newline="") as file:
        score = {row["path"]: float(row["score"]) for row in csv.DictReader(file)}
    assert verdict.score == pytest.approx(score[f"test/fake/{path.name}"], abs=1e-3)


def test_the_same_command_again_trains_nothing_more(trained: TrainReport, videos: Path) -> None:
    before = torch.load(trained.run / "models" / "best_model.pth", weights_only=True)
    again = train(str(videos), out=str(trained.run), overrides=SETTINGS)
    assert again.state.step == trained.state.step
    assert again.results["video"] == trained.results["video"]
    after = torch.load(trained.run / "models" / "best_model.pth", weights_only=True)
    assert after["calibration"] == before["calibration"]
    for name, value in before["state_dict"].items():
        assert torch.equal(after["state_dict"][name], value), name


def test_other_settings_in_the_same_folder_are_refused(trained: TrainReport, videos: Path) -> None:
    with pytest.raises(RunError, match="epochs: 2 -> 3") as caught:
        train(videos, out=trained.run, overrides=(*SETTINGS, "loop.epochs=3"))
    assert caught.value.code == "run_config"


def test_a_run_goes_on_with_other_devices_and_more_time(trained: TrainReport, videos: Path) -> None:
    words = ("loop.accelerator=auto", "data.workers=2", "loop.max_minutes=90")
    again = train(videos, out=trained.run, overrides=(*SETTINGS, *words))
    assert again.state.step == trained.state.step
    train(videos, out=trained.run, overrides=SETTINGS)  # as it was, for the other tests


def test_a_run_that_was_begun_on_other_data_is_not_taken_up(
    trained: TrainReport, videos: Path, tmp_path: Path
) -> None:
    environment = json.loads((trained.run / "environment.json").read_text())
    assert environment["data"]["name"] == videos.name
    others = make_dataset(tmp_path / "data", {"train": 2, "val": 1, "test": 1}, first_seed=70)
    store = tmp_path / "store"  # not beside the run, where later tests look
    prepare(others, store, clip=settings().clip, workers=0, show_progress=False)
    before = (trained.run / "models" / "best_model.pth").read_bytes()
    with pytest.raises(RunError, match="other data") as caught:
        train(store, out=trained.run, overrides=SETTINGS)
    assert caught.value.code == "run_data"
    assert (trained.run / "models" / "best_model.pth").read_bytes() == before


def test_a_store_is_taken_as_it_is(trained: TrainReport, tmp_path: Path) -> None:
    (store,) = (trained.run.parent / "stores").iterdir()
    with pytest.raises(StoreError) as caught:
        train(store, out=tmp_path / "run", overrides=(*SETTINGS, "clip.frames=5"))
    assert caught.value.code == "store_spec"
    assert not (tmp_path / "run" / "models").exists()


def test_a_leak_stops_before_anything_is_trained(trained: TrainReport, tmp_path: Path) -> None:
    (store,) = (trained.run.parent / "stores").iterdir()
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    records = read_records(copy / "manifest.csv")
    for_test = next(record for record in records if record.split == "test")
    group = next(record.group for record in records if record.split == "train")
    moved = [replace(r, group=group) if r == for_test else r for r in records]
    write_records(copy / "manifest.csv", moved)
    strict = (*SETTINGS, "data.allow_leaks=[near_duplicate]")
    with pytest.raises(LeakError, match=for_test.path) as caught:
        train(copy, out=tmp_path / "run", overrides=strict)
    assert caught.value.code == "leak_group"
    assert not (tmp_path / "run" / "models").exists()


def test_a_mistake_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError) as caught:
        train(tmp_path / "nothing", overrides=SETTINGS)
    assert caught.value.code == "dataset_missing"
    assert list(tmp_path.iterdir()) == []


def test_no_face_anywhere(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "data", {"": 6})
    for path in root.rglob("*.mp4"):
        path.write_bytes(b"no video")
    with pytest.raises(DatasetError, match=r"problems\.csv") as caught:
        train(root, out=tmp_path / "run", overrides=SETTINGS)
    assert caught.value.code == "dataset_empty_split"


KILLED = """
import os, signal, sys
sys.path[:0] = {path!r}
from pathlib import Path
from datasets import SETTINGS
from unmask.verbs import train as verb
from unmask.verbs.prepare import prepare
verb.export = lambda run: os.kill(os.getpid(), signal.SIGKILL)
verb.train(Path({store!r}), out=Path({run!r}), overrides=SETTINGS)
"""


def test_killed_after_training_the_same_command_ends_the_run(
    trained: TrainReport, tmp_path: Path
) -> None:
    (store,) = (trained.run.parent / "stores").iterdir()
    run, path = tmp_path / "run", [str(Path(__file__).parent), *sys.path]
    script = KILLED.format(path=path, store=str(store), run=str(run))
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    again = train(store, out=run, overrides=SETTINGS)
    losses = [(row["train_loss"], row["val_loss"]) for row in again.state.history]
    assert losses == [(row["train_loss"], row["val_loss"]) for row in trained.state.history]
    assert again.results["video"] == trained.results["video"]
    assert all((run / name).exists() for name in LEFT)


def test_two_runs_in_one_folder(
    trained: TrainReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one trains (stopped here inside fit), the command in another process is refused."""
    (store,) = (trained.run.parent / "stores").iterdir()
    run = tmp_path / "run"
    seen: list[subprocess.CompletedProcess[str]] = []

    def meanwhile(*args: object) -> None:
        words = ["train", str(store), "--out", str(run), *SETTINGS]
        code = "from unmask.cli import main; main()"
        seen.append(
            subprocess.run(
                [sys.executable, "-c", code, *words],
                capture_output=True, text=True, check=False, env={**os.environ},
            )
        )  # fmt: skip
        raise KeyboardInterrupt

    monkeypatch.setattr(verb, "fit", meanwhile)
    with pytest.raises(KeyboardInterrupt):
        train(store, out=run, overrides=SETTINGS)
    assert seen[0].returncode == 1
    assert "[run_locked]" in seen[0].stderr
    assert f"process {os.getpid()}" in seen[0].stderr
    assert "Traceback" not in seen[0].stderr


def test_the_bundled_detector_is_trained_further(videos: Path, tmp_path: Path) -> None:
    config = Path(__file__).parents[2] / "configs" / "finetune.yaml"
    words = (
        "clip.clips=1", "data={allow_leaks: [near_duplicate, group], workers: 1}",
        "optim.lr=0.0", "optim.head_lr=0.0",
        "loop.epochs=1", "loop.steps_per_epoch=1", "loop.batch_size=2", "loop.accelerator=cpu",
    )  # fmt: skip
    report = train(videos, config=config, out=tmp_path / "run", overrides=words)
    further, _ = load_checkpoint(report.run / "models" / "best_model.pth")
    bundled, _ = load_checkpoint(weights.locate("unmask-base", in_float=True))
    torch.testing.assert_close(further.state_dict(), bundled.state_dict())
