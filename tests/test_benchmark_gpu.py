"""benchmarks/gpu.py works: all its parts at a tiny size on a CPU, and what it writes."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from unmask.device.choice import missing_gpu

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def gpu_script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gpu")


def call(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py", *words])
    script.main()


@pytest.mark.slow
def test_every_row_is_there(
    gpu_script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "results.json"
    call(
        gpu_script, monkeypatch, "--device", "cpu", "--quick",
        "--media", str(tmp_path / "media"), "--out", str(out),
    )  # fmt: skip
    results = json.loads(out.read_text())
    assert results["failed"] == {}
    assert results["machine"]["cores_usable"] >= 1
    rows = results["rows"]
    for start in (
        "decode 16 frames of 96p, 1 s", "crossover", "GPU prepare", "GPU utilisation",
        "training loop", "8 videos x 2 frames", "inference of 2 clips", "AMP training memory",
    ):  # fmt: skip
        assert any(row["what"].startswith(start) for row in rows), start
    assert all(row["met"] is None for row in rows)  # a CPU meets no target of a GPU
    decoded = [row["value"] for row in rows if row["what"].startswith("decode")]
    assert len(decoded) == 2
    assert all(value > 0 for value in decoded)
    assert "| GPU utilisation in the loop | 100 % | at least 90 % |" in capsys.readouterr().out


def test_a_part_that_fails_does_not_hide_the_others(
    gpu_script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no")

    monkeypatch.setattr(gpu_script, "decode_on_cpu", broken)
    out = tmp_path / "results.json"
    with pytest.raises(SystemExit, match="ZeroDivisionError"):
        call(
            gpu_script, monkeypatch, "--device", "cpu", "--quick", "--only", "decode,inference",
            "--media", str(tmp_path / "media"), "--out", str(out),
        )  # fmt: skip
    results = json.loads(out.read_text())
    assert set(results["failed"]) == {"decode"}
    assert [row["what"] for row in results["rows"]] == ["inference of 2 clips x 2 frames x 48 px"]


def test_without_a_gpu_it_says_so(
    gpu_script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not missing_gpu():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit) as caught:
        call(gpu_script, monkeypatch)
    assert caught.value.code == 2
    assert missing_gpu() in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cells", "pays"),
    [
        ([(10, 0.5), (100, 1.2), (1000, 4.0)], 100),
        ([(10, 1.5), (100, 0.9), (1000, 4.0)], 1000),  # one slow size in between counts
        ([(10, 1.5), (1000, 0.9)], None),
        ([(10, 1.1)], 10),
    ],
)
def test_the_crossover(
    gpu_script: ModuleType, cells: list[tuple[float, float]], pays: float | None
) -> None:
    assert gpu_script.crossover(cells) == pays
