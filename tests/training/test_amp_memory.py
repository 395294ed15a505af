"""The comparison of a step's memory, with a GPU's figures put in its place."""

from pathlib import Path

import pytest
import torch
from stores import make_store, tiny_config

from unmask.training import amp_memory
from unmask.training.amp_memory import compare_memory
from unmask.training.fit import fit
from unmask.training.loop import Trainer

CPU = torch.device("cpu")


@pytest.fixture
def peaks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the GPU will say, last first."""
    said = [4.0, 1.5]
    monkeypatch.setattr(amp_memory, "peak_gib", lambda device: said.pop())
    return said


def test_both_precisions_are_tried(peaks: list[float]) -> None:
    tried: list[bool] = []
    assert compare_memory(tried.append, CPU) == {"mixed": 1.5, "fp32": 4.0}
    assert tried == [True, True, False, False]  # the first of each looks for algorithms


def test_what_does_not_fit_is_told_and_other_faults_go_through(peaks: list[float]) -> None:
    def step(mixed: bool) -> None:
        if not mixed:
            raise torch.OutOfMemoryError("CUDA out of memory")

    assert compare_memory(step, CPU) == {"mixed": 1.5, "fp32": None}

    def broken(mixed: bool) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        compare_memory(broken, CPU)


def test_a_run_is_the_same_with_the_comparison(
    peaks: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path / "store")
    config = tiny_config("loop.epochs=1", "loop.precision=bf16")
    plain = fit(config, store, tmp_path / "plain")
    monkeypatch.setattr(Trainer, "_is_mixed_on_one_gpu", lambda self: True)
    compared = fit(config, store, tmp_path / "compared")
    assert plain.amp_memory is None
    assert compared.amp_memory == {"mixed": 1.5, "fp32": 4.0}
    for name in ("train_loss", "val_loss"):
        assert compared.history[0][name] == plain.history[0][name]


@pytest.mark.gpu
def test_mixed_precision_saves_memory_on_a_gpu(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    store = make_store(tmp_path / "store")
    words = ("loop.accelerator=cuda", "loop.precision=bf16", "loop.epochs=1")
    memory = fit(tiny_config(*words), store, tmp_path / "run").amp_memory
    assert memory is not None
    assert 0 < memory["mixed"] < 2 * memory["fp32"]
