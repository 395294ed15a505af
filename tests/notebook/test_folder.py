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

EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

source, work, target = sys.argv[1:]
book = nbformat.read(source, 4)
NotebookClient(book, timeout=400, resources={"metadata": {"path": work}}).execute()
nbformat.write(book, target)
"""

# In every Python of the environment: the kernel, pip, the processes that they start.
NO_NETWORK = """
import sys

def shut(event, arguments):
    if event not in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        return
    host = arguments[1] if event == "socket.connect" else arguments[0]
    host = host[0] if isinstance(host, tuple) else host
    here = ("127.", "/", "localhost", "::1")  # this machine, or a socket in a file
    if not isinstance(host, str) or not host or host.startswith(here):
        return
    with open({log!r}, "a") as file:
        file.write(f"{{event}} {{host}}\\n")
    raise OSError(f"No network: {{host}}")

sys.addaudithook(shut)
"""


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


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with everything but unmask, and every way to the network shut."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv", with_pip=True, symlinks=True)
    packages = folder / "packages"
    packages.mkdir()
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "unmask" not in path.name and path.suffix != ".pth":
            (packages / path.name).symlink_to(path)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = folder / "venv" / "lib" / version / "site-packages"
    (own / "packages.pth").write_text(f"{packages}\n")
    (own / "sitecustomize.py").write_text(NO_NETWORK.format(log=str(folder / "network.log")))
    return folder / "venv" / "bin" / "python"


def _environment(**words: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, **words}


def _attempts(python: Path) -> str:
    """Whom a program of this environment has called so far."""
    log = python.parents[2] / "network.log"
    return log.read_text() if log.exists() else ""


@pytest.mark.slow
def test_the_network_of_that_environment_is_shut(python: Path) -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=60)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    assert "No network" in done.stderr
    pip = [python, "-m", "pip", "download", "--retries", "0", "--no-deps", "--dest", os.devnull]
    words = [*pip, "--index-url", "http://192.0.2.1/simple", "unmask"]
    env = _environment()
    assert subprocess.run(words, env=env, capture_output=True, check=False).returncode
    assert "192.0.2.1" in _attempts(python)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_notebook_installs_from_the_folder_and_runs_green(
    folder: Path, clips: Path, python: Path, tmp_path: Path, layout: str
) -> None:
    """As on Kaggle: nothing installed, nothing but /kaggle/input to take it from."""
    pip = [python, "-m", "pip", "uninstall", "--quiet", "--yes", "unmask"]
    subprocess.run(pip, env=_environment(), capture_output=True, check=True)
    (python.parents[2] / "network.log").unlink(missing_ok=True)
    root = tmp_path / "kaggle"
    work = root / "working"
    work.mkdir(parents=True)
    (root / "input").mkdir()
    (root / "input" / "unmask").symlink_to(folder / "dataset")
    LAYOUTS[layout](clips, root / "input" / "some-videos")
    book = folder / "kernel" / builder.NOTEBOOK.name
    outside = {"UNMASK_KAGGLE_ROOT": str(root), "UNMASK_SETTINGS": "\n".join(SMALL)}
    done = subprocess.run(
        [python, "-c", EXECUTE, book, work, tmp_path / "executed.ipynb"],
        env=_environment(**outside),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert _attempts(python) == ""
    code = "import unmask; print(unmask.__file__)"
    where = subprocess.check_output([python, "-c", code], env=_environment(), text=True)
    assert Path(where).is_relative_to(python.parents[1])

    executed = nbformat.read(tmp_path / "executed.ipynb", as_version=4)
    assert any(layout in text for text in _outputs(executed, 2))
    for number in (3, 4, 6, 7, 10, 12, 13, 14):
        assert "image/png" in _outputs(executed, number), f"cell {number} shows no picture"
    assert any('href="models/best_model.onnx"' in text for text in _outputs(executed, 14))
    assert [name for name in RESULTS if not (work / name).is_file()] == []
    left = sorted(path.name for path in work.iterdir())
    assert left == [".lock", "config.yaml", "environment.json", "models", "results"]


def _outputs(book: nbformat.NotebookNode, number: int) -> list[str]:
    """Media types and words that a cell shows."""
    cell = next(cell for cell in book.cells if cell.id == f"cell-{number:02d}")
    found = []
    for output in cell.outputs:
        found += [output.text] if output.output_type == "stream" else [*output.data]
        found += [output.data.get("text/html", "")] if "data" in output else []
    return found
