from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import make_media
from make_model import write_blueness
from unmask import notebook
from unmask.config import dump, load
from unmask.data import Leak
from unmask.errors import InputError, RunError
from unmask.evaluation import Prediction, write_predictions
from unmask.files import write_json
from unmask.metrics import Estimate
from unmask.models import build
from unmask.notebook.show import size_of
from unmask.report.table import Table
from unmask.scoring import Calibration
from unmask.training.overfit import Overfit
from unmask.types import VideoRecord


def test_outside_a_notebook_pictures_become_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[..., 0] = 200  # red
    notebook.show("words", Table("T", ("a",), (("b",),)), None)
    notebook.show(notebook.Picture.of(pixels, "Crops: a/b.mp4"))
    assert capsys.readouterr().out == "words\nT\n  a\n  b\npicture: pictures/crops-a-b-mp4.png\n"
    stored = cv2.imread("pictures/crops-a-b-mp4.png")
    assert stored.shape == (4, 6, 3)
    assert stored[0, 0].tolist() == [0, 0, 200]  # OpenCV reads BGR


def test_result_files_are_listed_and_those_to_resume_are_not(tmp_path: Path) -> None:
    made = ("best.onnx", "last/LATEST", "deep/.hidden")
    for name in (*(f"models/{name}" for name in made), "results/a & b.csv", "stray.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 2048)
    files = notebook.files_of(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in files.paths]
    assert names == ["models/best.onnx", "results/a & b.csv"]
    assert "2.0 KiB" in str(files)
    assert 'a &amp; b.csv" download>' in files._repr_html_()
    for size, words in ((1023, "1023 bytes"), (5 * 2**20, "5.0 MiB"), (3 * 2**30, "3.00 GiB")):
        with (tmp_path / "sparse").open("wb") as file:
            file.truncate(size)
        assert size_of(tmp_path / "sparse") == words


def test_what_is_not_there_yet_names_the_cell(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cell 12"):
        notebook.read_results(tmp_path)
    with pytest.raises(InputError, match="cell 12"):
        notebook.Picture.read(tmp_path / "x.png")


def test_the_hardest_videos_come_first(tmp_path: Path) -> None:
    made = {"a.mp4": (0, 3.0), "b.mp4": (1, 2.0), "c.mp4": (1, -1.0), "d.mp4": (0, -4.0)}
    rows = [
        Prediction.judged(VideoRecord(path, label, "test", path), Calibration(), logit, [logit])
        for path, (label, logit) in made.items()
    ]
    rows.append(Prediction.abstained(VideoRecord("e.mp4", 1, "test", "e"), "no_face"))
    write_predictions(tmp_path / "p.csv", rows)
    table = notebook.hardest_table(tmp_path / "p.csv", count=3)
    assert [row[0] for row in table.rows] == ["a.mp4", "c.mp4", "b.mp4"]
    assert [row[1] for row in table.rows] == ["authentic", "manipulated", "manipulated"]
    assert [row[2] for row in table.rows] == ["0.953", "0.269", "0.881"]
    assert [row[3] for row in table.rows] == ["WRONG", "WRONG", "right"]


def test_results_stand_under_their_level_and_name() -> None:
    names = ("auc_roc", "auc_pr", "eer", "accuracy", "apcer", "bpcer", "ece", "brier")
    video, frame = (
        {name: vars(Estimate((first + k) / 1000, None, None)) for k, name in enumerate(names)}
        for first in (100, 200)
    )
    counts = {"judged": 3, "videos": 5, "not_judged": {"no_face": 2}}
    tree = {"video": video, "frame": frame, "counts": counts, "convention": "1 is fake."}
    table = notebook.results_table(tree)
    assert table.head == ("", "video level", "frame level")
    assert table.rows == (
        ("AUC-ROC", "0.100", "0.200"), ("AUC-PR", "0.101", "0.201"), ("EER", "0.102", "0.202"),
        ("accuracy", "0.103", "0.203"), ("APCER (manipulated missed)", "0.104", "0.204"),
        ("BPCER (authentic accused)", "0.105", "0.205"), ("ECE", "0.106", "0.206"),
        ("Brier score", "0.107", "0.207"),
    )  # fmt: skip
    assert table.notes == ("3 of 5 test videos judged (not judged: no_face 2)", "1 is fake.")


def test_measures_of_a_batch_tell_the_two_errors_apart() -> None:
    labels, logits = [0, 0, 0, 1, 1, 1], [0.3, -1.0, -2.0, -0.2, -1.5, 2.0]
    values = [row[1] for row in notebook.measures_table(labels, logits, "T").rows]
    assert values == ["0.667", "0.500", "0.667", "0.333", "0.333"]
    assert notebook.measures_table([1], [0.5], "T").rows[0][1] == "not defined"


def test_a_batch_that_was_not_learned_says_where_to_look() -> None:
    labels = np.array([0, 1])
    poor = Overfit((0.9, 0.8, 0.7), np.array([1.0, 1.0]), labels, 2.5, "cpu")
    table = notebook.overfit_table(poor)
    assert [row[1] for row in table.rows] == [
        "NO", "1 of 2", "0.9000 -> 0.7000", "2 in 2.5 s on cpu",
    ]  # fmt: skip
    assert "optim.lr" in table.notes[0]
    good = notebook.overfit_table(replace(poor, losses=(0.9, 0.01), logits=np.array([-1.0, 1.0])))
    assert (good.rows[0], good.notes) == (("learned", "yes"), ())


def test_settings_say_what_happens_where_nothing_is_set() -> None:
    def rows(*words: str) -> dict[str, str]:
        return {row[0]: row[1] for row in notebook.settings_table(load(None, words)).rows}

    automatic = rows("data.videos_per_class=0", "loop.batch_size=0")
    assert automatic["data.videos_per_class"] == "all"
    assert automatic["loop.batch_size"] == "automatic"
    chosen = rows(
        "data.videos_per_class=7", "loop.batch_size=8", "clip.frames=9", "clip.size_px=96",
        "loop.epochs=11", "loop.devices=2",
    )  # fmt: skip
    assert [chosen[name] for name in chosen if chosen[name].isdigit()] == [
        "7", "9", "96", "11", "8", "2",
    ]  # fmt: skip


def test_the_model_and_its_rates_are_told() -> None:
    words = ["model.backbone=test_resnet", "model.weights=random", "clip.size_px=32"]
    settings = load(None, [*words, "optim.lr=0.0001", "optim.head_lr=0.002", "loop.devices=2"])
    detector = build(settings.model, 32)
    for parameter in detector.backbone.parameters():
        parameter.requires_grad = False
    parts = {row[0]: row[2:] for row in notebook.model_table(detector).rows}
    backbone = sum(parameter.numel() for parameter in detector.backbone.parameters())
    assert parts["backbone"] == (f"{backbone:,}", "0")
    learned = sum(p.numel() for p in detector.parameters() if p.requires_grad)
    assert parts["all"] == (f"{backbone + learned:,}", f"{learned:,}")
    setup = dict(notebook.devices_table(settings, build(settings.model, 32)).rows)
    assert setup["devices"].startswith("2 x ")
    assert "started apart" in setup["processes"]
    assert setup["learning rate, head"] == "0.002"
    falling = load(None, [*words, "optim.lr=0.0001", "optim.layer_decay=0.5"])
    rates = [
        group["lr"]
        for group in build(falling.model, 32).parameter_groups(falling.optim)
        if group["name"] == "backbone"
    ]
    assert min(rates) < max(rates)  # the highest is told
    fallen = dict(notebook.devices_table(falling, build(falling.model, 32)).rows)
    assert fallen["learning rate, backbone"] == f"{max(rates):g}"
    one = load(None, [*words, "loop.devices=1"])
    assert dict(notebook.devices_table(one, detector).rows)["processes"] == "this one"


def test_the_use_of_the_machine_stands_under_its_names() -> None:
    usage = {
        "images_per_second": 1.0, "data_wait_share": 0.2, "gpu_utilisation": None,
        "gpu_memory_gib": 3.0, "cpu_utilisation": 0.4, "ram_gib": 5.0,
    }  # fmt: skip
    assert notebook.usage_table(usage, "T").rows == (
        ("crops a second", "1.00"), ("share of the time spent waiting for data", "0.20"),
        ("GPU memory, GiB", "3.00"), ("processor in use, 0-1", "0.40"),
        ("memory of this process, GiB", "5.00"),
    )  # fmt: skip


def test_a_training_process_that_fails_is_told_with_its_last_lines(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = load(None, ["loop.devices=2"])
    with pytest.raises(RunError) as caught:
        notebook.train(tmp_path / "no-store", settings, tmp_path / "run")
    assert caught.value.code == "run_failed"
    assert "no-store" in caught.value.message
    assert "no-store" in capfd.readouterr().out


def test_the_data_is_counted_by_split_class_and_method() -> None:
    records = [
        VideoRecord("a", 0, "train", "g1"),
        VideoRecord("b", 1, "train", "g1", method="swap"),
        VideoRecord("c", 1, "train", "g2", method="swap"),
        VideoRecord("d", 1, "test", "g3", method="reenact"),
    ]
    table = notebook.data_table(records, "T")
    assert table.rows == (
        ("train", "authentic", "-", "1", "1"),
        ("train", "manipulated", "swap", "2", "2"),
        ("test", "manipulated", "reenact", "1", "1"),
    )
    assert table.notes == ("4 videos in 3 groups",)


def test_leaks_are_told_by_kind_and_whether_they_stop() -> None:
    leaks = [Leak("group", ("train", "test"), "a", "b"), Leak("sha256", ("train", "val"), "c", "d")]
    rows = {row[0]: row for row in notebook.leaks_table(leaks, ("group",)).rows}
    assert rows["group"][2:] == ("1", "let through", "a (train) = b (test)")
    assert rows["sha256"][3] == "STOPS TRAINING"
    assert rows["near_duplicate"][2:] == ("0", "none", "")


def test_other_settings_in_the_same_folder_say_what_to_delete(tmp_path: Path) -> None:
    (tmp_path / "models" / "last").mkdir(parents=True)
    (tmp_path / "models" / "last" / "LATEST").touch()
    (tmp_path / "config.yaml").write_text(dump(load(None)))
    (tmp_path / "store").mkdir()
    write_json(tmp_path / "store" / "store.json", {})
    with pytest.raises(RunError) as caught:
        notebook.train(tmp_path / "store", load(None, ["loop.epochs=3"]), tmp_path)
    assert caught.value.code == "run_config"
    assert "loop.epochs: 25 -> 3" in caught.value.message
    assert "delete models/" in caught.value.hint


def test_the_samples_are_one_authentic_and_one_manipulated_file_that_was_judged(
    tmp_path: Path,
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    (run / "results").mkdir(parents=True)
    data.mkdir()
    for name in ("fake.mp4", "real.mp4", "other.mp4"):
        make_media.write_video(data / name, make_media.gradient_frames(4, 96, 96))
    made = {"s.tar::a.mp4": 0, "fake.mp4": 1, "real.mp4": 0, "other.mp4": 0}
    rows = [Prediction.abstained(VideoRecord("gone.mp4", 1, "test", "g"), "no_face")]
    rows += [
        Prediction.judged(VideoRecord(path, label, "test", path), Calibration(), 1.0, [1.0])
        for path, label in made.items()
    ]
    write_predictions(run / "results" / "test_predictions.csv", rows)
    texts = notebook.verdicts(data, run, write_blueness(tmp_path / "blue.onnx"))
    assert [text.splitlines()[0] for text in texts] == [
        "real.mp4: not applicable", "fake.mp4: not applicable",
    ]  # fmt: skip
