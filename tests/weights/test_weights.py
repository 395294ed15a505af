import dataclasses
import shutil
from pathlib import Path

import pytest

from unmask import weights
from unmask.errors import ModelError
from unmask.files import sha256_file
from unmask.inference import load_model
from unmask.verbs.scan import _model_for_workers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for suffix in ("onnx", "yaml"):
        shutil.copy(weights.FOLDER / f"libfacedetection.{suffix}", tmp_path)
    return tmp_path


def _code(folder: Path, name: str = "libfacedetection") -> str:
    with pytest.raises(ModelError) as caught:
        weights.load(name, folder)
    return caught.value.code


@pytest.mark.parametrize("name", weights.names())
def test_every_bundled_file_agrees_with_its_card(name: str) -> None:
    assert weights.load(name).is_file()
    assert weights.read_card(name).licence


def test_missing_and_altered_files_are_told(folder: Path) -> None:
    assert weights.load("libfacedetection", folder).parent == folder
    file = folder / "libfacedetection.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    assert _code(folder) == "model_altered"
    file.unlink()
    assert _code(folder) == "model_missing"
    assert _code(folder, "nothing") == "model_missing"
    (folder / "libfacedetection.yaml").write_text("file: [")
    assert _code(folder) == "model_card"


@pytest.mark.parametrize("name", ["unmask-ensemble", "unmask-base"])
def test_no_bundled_model_is_opened_unchecked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "sha256_file", lambda path: "0" * 64)
    with pytest.raises(ModelError) as caught:
        load_model(name)
    assert caught.value.code == "model_altered"


@pytest.mark.parametrize("altered", ["unmask-base.onnx", "unmask-lite.onnx"])
def test_the_members_of_a_bundled_ensemble_are_checked_as_well(
    altered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(path: Path) -> str:
        return "0" * 64 if path.name == altered else sha256_file(path)

    monkeypatch.setattr(weights, "sha256_file", digest)
    with pytest.raises(ModelError, match=altered) as caught:
        load_model("unmask-ensemble", device="cpu")
    assert caught.value.code == "model_altered"


def test_a_field_is_put_without_touching_the_others(folder: Path) -> None:
    path = folder / "libfacedetection.yaml"
    before = weights.read_card("libfacedetection", folder)
    table = "| a | b |\n|---|---|\n| 1 | : # 2 |\n\nOf two videos."
    weights.put_field(path, "robustness", table)
    weights.put_field(path, "robustness", table + " Again.")
    after = weights.read_card("libfacedetection", folder)
    assert after == dataclasses.replace(before, robustness=table + " Again.")
    assert weights.load("libfacedetection", folder).is_file()
    weights.put_field(path, "licence", "MIT")  # one that stands between others
    assert weights.read_card("libfacedetection", folder) == dataclasses.replace(
        after, licence="MIT"
    )
    with pytest.raises(ValueError, match="no field"):
        weights.put_field(path, "nothing", "x")


def test_nothing_in_the_working_folder_stands_in_for_a_bundled_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may be a folder of uploads."""
    monkeypatch.chdir(tmp_path)
    assert weights.locate("other.pth") == Path("other.pth")
    for name in ("unmask-base", "unmask-lite"):
        (tmp_path / name / "models").mkdir(parents=True)
        (tmp_path / name / "models" / "best_model.onnx").write_bytes(b"of somebody else")
        assert weights.locate(name) == weights.FOLDER / f"{name}.onnx"
    (tmp_path / "unmask-ensemble").write_bytes(b"of somebody else")
    assert load_model("unmask-ensemble").name == "unmask-ensemble"
    assert _model_for_workers("unmask-ensemble") == "unmask-ensemble"
    assert _model_for_workers("unmask-base/models/best_model.onnx").startswith(str(tmp_path))


def test_a_network_in_integers_has_a_twin_in_floats(folder: Path) -> None:
    """The twin is checked like the file itself, and stands in only where it is asked for."""
    card = folder / "libfacedetection.yaml"
    twin = folder / "twin.onnx"
    assert weights.load("libfacedetection", folder, in_float=True).stem == "libfacedetection"
    twin.write_bytes(b"floats")
    weights.put_field(card, "float_file", twin.name)
    weights.put_field(card, "float_sha256", sha256_file(twin))
    assert weights.load("libfacedetection", folder, in_float=True) == twin
    assert weights.load("libfacedetection", folder).stem == "libfacedetection"
    twin.write_bytes(b"other")
    with pytest.raises(ModelError) as caught:
        weights.load("libfacedetection", folder, in_float=True)
    assert caught.value.code == "model_altered"
