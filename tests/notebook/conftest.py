import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from layouts import make_clips


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clips(tmp_path_factory.mktemp("media") / "videos")


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty stand-in for /kaggle, with its working folder as the current one.

    What cell 1 sets for the whole process is put back.
    """
    precision, benchmark = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    root = tmp_path / "kaggle"
    (root / "input").mkdir(parents=True)
    (root / "working").mkdir()
    monkeypatch.chdir(root / "working")
    monkeypatch.setenv("UNMASK_KAGGLE_ROOT", str(root))
    monkeypatch.delenv("UNMASK_BASE_PATH", raising=False)
    monkeypatch.delenv("UNMASK_SETTINGS", raising=False)
    yield root
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.benchmark = benchmark
