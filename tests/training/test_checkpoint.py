import multiprocessing
import shutil
from pathlib import Path

import pytest
import torch

from unmask.errors import RunError
from unmask.training import checkpoint
from unmask.training.checkpoint import RunState, load_last, run_lock, save_last


def _save(folder: Path, step: int) -> None:
    model = {"weight": torch.full((2, 2), float(step))}
    save_last(folder, model, {"state": {}, "step": step}, RunState(step=step, epoch=step), {})


def test_round_trip_and_only_the_last_is_kept(tmp_path: Path) -> None:
    assert load_last(tmp_path) is None
    for step in (1, 2):
        _save(tmp_path, step)
    last = load_last(tmp_path)
    assert last is not None
    assert last.state == RunState(step=2, epoch=2)
    assert torch.equal(last.model["weight"], torch.full((2, 2), 2.0))
    assert last.ema == {}
    assert len(list(tmp_path.glob("step-*"))) == 1


@pytest.mark.parametrize("fails", ["save_file", "write_json", "write_text"])
def test_a_full_disk_leaves_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    _save(tmp_path, 1)

    def no_space(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, fails, no_space)
    with pytest.raises(RunError) as caught:
        _save(tmp_path, 2)
    assert caught.value.code == "run_disk"
    monkeypatch.undo()
    last = load_last(tmp_path)
    assert last is not None
    assert last.state.step == 1
    _save(tmp_path, 3)
    assert load_last(tmp_path).state.step == 3  # type: ignore[union-attr]


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    _save(tmp_path, 1)
    folder = next(tmp_path.glob("step-*"))
    (folder / "model.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(RunError) as caught:
        load_last(tmp_path)
    assert caught.value.code == "run_checkpoint"
    shutil.rmtree(folder)
    with pytest.raises(RunError):
        load_last(tmp_path)


def _try_lock(run: Path, answer: "multiprocessing.Queue[str]") -> None:
    try:
        with run_lock(run):
            answer.put("got it")
    except RunError as error:
        answer.put(error.code)


def test_two_runs_in_one_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[str] = context.Queue()
    with run_lock(tmp_path):
        other = context.Process(target=_try_lock, args=(tmp_path, answer))
        other.start()
        assert answer.get(timeout=30) == "run_locked"
        other.join()
    with run_lock(tmp_path):
        pass
