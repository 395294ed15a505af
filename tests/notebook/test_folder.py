"""What `make kaggle` makes, and that the notebook installs from it without a network."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import nbformat
import pytest
from layouts import LAYOUTS
from packaging.requirements import Requirement

import kaggle as builder
from kaggle_execution_test import RESULTS, SMALL


def test_requirements_name_every_package_and_keep_kaggles_own() -> None:
    found = builder.requirements()
    assert {"av", "onnxruntime", "lightning-fabric", "safetensors"} <= found.keys()
    assert found["torch"].startswith(">=")
    assert "scipy" not in found  # Kaggle's, and not asked for by unmask itself
    assert not any(name.startswith(("nvidia-c", "triton", "cuda")) for name in found)
    for name, specifiers in found.items():
        Requirement(f"{name}{specifiers}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "kaggle"
    weights = out.parent / "resnet50.pth"
    weights.write_bytes(b"weights")
    return builder.build_folder(out, user="me", weights=[weights], pythons=[], wheels=False)


@pytest.mark.slow
def test_the_folder_is_ready_for_upload(folder: Path) -> None:
    dataset = json.loads((folder / "dataset" / "dataset-metadata.json").read_text())
    kernel = json.loads((folder / "kernel" / "kernel-metadata.json").read_text())
    assert dataset["id"] == "me/unmask"
    assert kernel["dataset_sources"] == ["me/unmask"]
    book = nbformat.read(folder / "kernel" / kernel["code_file"], as_version=4)
    assert sum(cell.cell_type == "code" for cell in book.cells) == 14
    assert (folder / "dataset" / "resnet50.pth").read_bytes() == b"weights"
    (wheel,) = (folder / "dataset").glob("unmask-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "unmask/notebook/cells.py" in names
    assert any(name.endswith(".onnx") for name in names)
    assert (folder / "KAGGLE_USAGE_GUIDE.zh-CN.md").exists()


@pytest.mark.slow
def test_the_notebook_installs_from_the_folder_and_runs_green(
    folder: Path, clips: Path, tmp_path: Path
) -> None:
    """A fresh environment with everything but unmask, and every way to the network shut."""
    root = tmp_path / "kaggle"
    (root / "working").mkdir(parents=True)
    (root / "input").mkdir()
    (root / "input" / "unmask").symlink_to(folder / "dataset")
    LAYOUTS["DFDC"](clips, root / "input" / "deepfake-detection-challenge")
    python = _environment_without_unmask(tmp_path)
    book = folder / "kernel" / builder.NOTEBOOK.name
    script = (
        "import nbformat, sys; from nbclient import NotebookClient; "
        f"book = nbformat.read({str(book)!r}, 4); "
        f"where = {{'metadata': {{'path': {str(root / 'working')!r}}}}}; "
        "NotebookClient(book, timeout=400, resources=where).execute()"
    )
    nowhere = "http://127.0.0.1:9"
    shut = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "PIP_INDEX_URL"), nowhere)
    outside = {
        "UNMASK_KAGGLE_ROOT": str(root),
        "UNMASK_SETTINGS": "\n".join(SMALL),
        "PIP_CONFIG_FILE": os.devnull,
    }
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", script],
        env={**kept, **shut, **outside},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [name for name in RESULTS if not (root / "working" / name).is_file()] == []


def _environment_without_unmask(folder: Path) -> Path:
    """A virtual environment that sees this one's packages, but for unmask."""
    venv.create(folder / "venv", with_pip=True, symlinks=True)
    packages = folder / "packages"
    packages.mkdir()
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "unmask" not in path.name and path.suffix != ".pth":
            (packages / path.name).symlink_to(path)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = folder / "venv" / "lib" / version / "site-packages"
    (own / "packages.pth").write_text(f"{packages}\n")
    return folder / "venv" / "bin" / "python"
