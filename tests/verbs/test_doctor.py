import builtins
import shutil
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from unmask import doctor, weights
from unmask.cli import app
from unmask.device import choice, trial
from unmask.verbs import doctor as verb

NAMES = {
    "python", "video decoding", "face detection and models", "weights", "training packages",
    "content credentials", "cuda", "nvdec", "processor and memory", "disk",
}  # fmt: skip


def by_name(folder: Path) -> dict[str, verb.Check]:
    return {check.name: check for check in doctor(folder)}


def test_everything_is_looked_at(tmp_path: Path) -> None:
    checks = by_name(tmp_path)
    assert set(checks) == NAMES
    assert all(check.found for check in checks.values())
    for name in ("python", "video decoding", "face detection and models", "weights"):
        assert checks[name].status == "ok", checks[name]
    assert "CPUExecutionProvider" in checks["face detection and models"].found
    assert "libfacedetection" in checks["weights"].found
    assert str(tmp_path) in checks["disk"].found
    assert all(check.remedy for check in checks.values() if check.status == "broken")


def test_gpu_decoding_is_said_to_be_absent_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "missing_driver", lambda: "There is no NVIDIA GPU here.")
    nvdec = by_name(tmp_path)["nvdec"]
    assert nvdec.status == "absent"
    assert nvdec.found == "Videos are decoded on the CPU. There is no NVIDIA GPU here."


@pytest.mark.parametrize(("failed", "status"), [("", "ok"), ("A trial failed: E: x", "broken")])
def test_gpu_decoding_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: str, status: str
) -> None:
    monkeypatch.setattr(choice, "missing_gpu", lambda: "")
    monkeypatch.setattr(trial, "trial", lambda: failed)
    nvdec = by_name(tmp_path)["nvdec"]
    assert nvdec.status == status
    assert failed in nvdec.found
    assert bool(nvdec.remedy) == bool(failed)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    disk = by_name(tmp_path)["disk"]
    assert disk.status == "broken"
    assert "--out" in disk.remedy


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("absent", 0), ("broken", 1)])
def test_only_what_is_broken_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, status: Any, code: int
) -> None:
    monkeypatch.setattr(verb, "doctor", lambda: [verb.Check("disk", status, "found", "mend")])
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == code
    assert "found" in done.stdout


def test_altered_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix in ("onnx", "yaml"):
        shutil.copy(weights.FOLDER / f"libfacedetection.{suffix}", tmp_path)
    file = tmp_path / "libfacedetection.onnx"
    file.write_bytes(file.read_bytes() + b"x")
    load = weights.load
    monkeypatch.setattr(weights, "load", lambda name, **how: load(name, tmp_path, **how))
    check = by_name(tmp_path)["weights"]
    assert check.status == "broken"
    assert "libfacedetection" in check.found
    assert check.remedy


def test_a_broken_package_is_reported_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = builtins.__import__

    def broken(name: str, *args: object, **how: object) -> ModuleType:
        if name == "onnxruntime":
            raise OSError("libcrypt.so: cannot open shared object file")
        return known(name, *args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", broken)
    checks = by_name(tmp_path)
    assert len(checks) == len(NAMES)
    assert checks["face detection and models"].status == "broken"
    assert "libcrypt.so" in checks["face detection and models"].found
    assert checks["video decoding"].status == "ok"


def test_without_the_training_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb.importlib.util, "find_spec", lambda name: None)
    checks = by_name(tmp_path)
    assert checks["training packages"].status == "absent"
    assert "unmask[train]" in checks["training packages"].remedy
    assert checks["cuda"].status == "absent"
