from pathlib import Path

import cv2
import numpy as np
import pytest

from unmask import notebook
from unmask.config import dump, load
from unmask.data import Leak
from unmask.errors import InputError, RunError
from unmask.evaluation import Prediction, write_predictions
from unmask.files import write_json
from unmask.report.table import Table
from unmask.scoring import Calibration
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
    for name in ("models/best.onnx", "models/last/LATEST", "results/a & b.csv", "stray.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 2048)
    files = notebook.files_of(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in files.paths]
    assert names == ["models/best.onnx", "results/a & b.csv"]
    assert "2.0 KiB" in str(files)
    assert 'a &amp; b.csv" download>' in files._repr_html_()


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
    assert [row[3] for row in table.rows] == ["WRONG", "WRONG", "right"]


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
