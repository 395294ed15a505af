import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from stores import make_store, tiny_config

from unmask.config import TrainConfig
from unmask.data.loader import Batch
from unmask.errors import DatasetError, RunError
from unmask.models import Detector, Output, load_checkpoint
from unmask.training import fit as fit_module
from unmask.training import loop as loop_module
from unmask.training.checkpoint import load_last
from unmask.training.fit import fit
from unmask.training.loop import Trainer
from unmask.training.validate import Validation

STILL = (
    "model.dropout=0.0",
    "augment={flip: 0, crop_scale: [1, 1], rotate_deg: 0, colour: 0, grayscale: 0, blur: 0, "
    "noise: 0, downscale: 0, jpeg: 0}",
    "model.backbone=test_vit",  # batch statistics would differ between parts and whole batches
)
"""Nothing random."""


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("clips") / "store")


def _weights(run: Path) -> dict[str, torch.Tensor]:
    last = load_last(run / "models" / "last")
    assert last is not None
    return last.model


def _trace(run: Path) -> list[float]:
    last = load_last(run / "models" / "last")
    assert last is not None
    return [value for row in last.state.history for value in (row["train_loss"], row["val_loss"])]


def _fit_until(at_step: int, config: TrainConfig, store: Path, run: Path) -> None:
    """A run that is stopped before that step."""
    step = Trainer._step

    def stopped(self: Trainer, batch: Batch) -> float | None:
        if self.state.step == at_step:
            raise KeyboardInterrupt
        return step(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_step", stopped)
        with pytest.raises(KeyboardInterrupt):
            fit(config, store, run)


@pytest.fixture(scope="session")
def undisturbed(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    fit(tiny_config(), store, run)
    return run


def test_a_run_leaves_a_calibrated_model(undisturbed: Path) -> None:
    _, checkpoint = load_checkpoint(undisturbed / "models" / "best_model.pth")
    assert checkpoint.calibration["authentic"] == 6
    assert 0 < checkpoint.calibration["threshold"] < 1
    state = load_last(undisturbed / "models" / "last").state  # type: ignore[union-attr]
    assert state.finished
    assert state.step == 2 * 6
    assert [row["epoch"] for row in state.history] == [1, 2]
    assert checkpoint.metrics["epoch"] == state.best_epoch


def test_the_seed_decides(store: Path, undisturbed: Path, tmp_path: Path) -> None:
    fit(tiny_config(), store, tmp_path / "same")
    assert _trace(tmp_path / "same") == _trace(undisturbed)
    fit(tiny_config("loop.seed=1"), store, tmp_path / "other")
    assert _trace(tmp_path / "other") != _trace(undisturbed)


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from stores import tiny_config
from unmask.training import checkpoint, fit as room, loop
from unmask.training.fit import fit
from unmask.training.loop import Trainer

def die(*args, **how):
    os.kill(os.getpid(), signal.SIGKILL)

{harm}
fit(tiny_config(), Path({store!r}), Path({run!r}))
"""
IN_STEP = """
step = Trainer._step
Trainer._step = lambda self, batch: die() if self.state.step == {at_step} else step(self, batch)
"""
IN_CHECKPOINT = """
write_text = checkpoint.write_text
checkpoint.write_text = lambda path, text: die() if "{mark}" in text else write_text(path, text)
"""
IN_BEST = """
save_model = loop.save_model
loop.save_model = lambda *a, **how: die(save_model(*a, **how))
"""
IN_CALIBRATION = """
room.calibrate = die
"""
MOMENTS = {
    "step 1": IN_STEP.format(at_step=1),  # there is no checkpoint yet
    "step 9": IN_STEP.format(at_step=9),
    "a checkpoint": IN_CHECKPOINT.format(mark="step-00000008"),
    "the best model": IN_BEST,
    "calibration": IN_CALIBRATION,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_resumed_equals_undisturbed(
    store: Path, undisturbed: Path, tmp_path: Path, moment: str
) -> None:
    """SIGKILL at some moment of another process, then the same command again."""
    script = KILLED.format(tests=str(Path(__file__).parent), harm=MOMENTS[moment],
                           store=str(store), run=str(tmp_path / "run"))  # fmt: skip
    died = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ}, check=False, capture_output=True
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    fit(tiny_config(), store, tmp_path / "run")
    assert _trace(tmp_path / "run") == _trace(undisturbed)
    for name, value in _weights(undisturbed).items():
        assert torch.equal(value, _weights(tmp_path / "run")[name]), name
    best, _ = load_checkpoint(tmp_path / "run" / "models" / "best_model.pth")
    expected, _ = load_checkpoint(undisturbed / "models" / "best_model.pth")
    for name, value in expected.state_dict().items():
        assert torch.equal(value, best.state_dict()[name]), name


FULL_DISK = """
import resource, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from stores import tiny_config
from unmask.errors import RunError
from unmask.training.fit import fit
from unmask.training.loop import Trainer
step = Trainer._step
def cramped(self, batch):  # from here on no file of this process grows over 10 kB
    if self.state.step == {at_step}:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    return step(self, batch)
Trainer._step = cramped
try:
    fit(tiny_config(), Path({store!r}), Path({run!r}))
except RunError as error:
    print(error.code)
"""


@pytest.mark.parametrize("at_step", [5, 9])
def test_a_full_disk_stops_a_run_that_goes_on_when_there_is_space(
    store: Path, undisturbed: Path, tmp_path: Path, at_step: int
) -> None:
    """The last step of an epoch (5) meets the full disk at the best model, others before it."""
    run = tmp_path / "run"
    script = FULL_DISK.format(tests=str(Path(__file__).parent), at_step=at_step,
                              store=str(store), run=str(run))  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "run_disk", done.stderr
    last = load_last(run / "models" / "last")
    assert last is not None
    assert last.state.step == {5: 4, 9: 8}[at_step]
    fit(tiny_config(), store, run)
    assert _trace(run) == _trace(undisturbed)


def test_accumulation_after_out_of_memory_keeps_the_batch(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that does not fit is done in halves, with the same sum of gradients."""
    seen = _device_that_holds(2, monkeypatch)
    state = fit(tiny_config("loop.epochs=1"), store, tmp_path / "run")
    assert state.batch_size == 4
    assert state.step == 6
    assert max(seen[:12]) == 2


def test_uneven_parts_of_a_batch_weigh_what_they_hold(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five clips by 2, 2 and 1 teach the same as five at once."""
    config = tiny_config(*STILL, "loop.batch_size=5")
    fit(config, store, tmp_path / "whole")
    seen = _device_that_holds(2, monkeypatch)
    fit(config, store, tmp_path / "parts")
    assert seen[:3] == [2, 2, 1]
    assert _trace(tmp_path / "parts") == pytest.approx(_trace(tmp_path / "whole"), rel=1e-4)


@pytest.mark.parametrize("batch_size", [0, 4])
def test_memory_for_not_even_one_clip_is_told(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    _device_that_holds(0, monkeypatch)
    config = tiny_config(f"loop.batch_size={batch_size}")
    with pytest.raises(RunError) as caught:
        fit(config, store, tmp_path / "run")
    assert caught.value.code == "run_memory"
    assert "clip.size_px" in caught.value.hint
    with pytest.raises(RunError) as caught:  # as cell 10 asks
        fit_module.probe_batch_size(config, store)
    assert caught.value.code == "run_memory"


def _device_that_holds(most: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """So many clips fit in a training step; gives the sizes of those that ran."""
    seen: list[int] = []
    build = fit_module.build

    def build_with_a_limit(*args: object) -> torch.nn.Module:
        model = build(*args)  # type: ignore[arg-type]
        forward = model.forward

        def limited(clips: torch.Tensor, mask: torch.Tensor) -> object:
            if model.training and len(clips) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            seen.append(len(clips))
            return forward(clips, mask)

        monkeypatch.setattr(model, "forward", limited)
        return model

    monkeypatch.setattr(fit_module, "build", build_with_a_limit)
    return seen


def test_a_loss_that_is_not_finite_is_skipped_then_rolled_back_then_stops(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward_backward = Trainer._forward_backward

    def poisoned(self: Trainer, batch: object) -> float:
        loss = forward_backward(self, batch)  # type: ignore[arg-type]
        return math.nan if self.state.step >= 3 else loss

    monkeypatch.setattr(Trainer, "_forward_backward", poisoned)
    with pytest.raises(RunError) as caught:
        fit(tiny_config("loop.epochs=9"), store, tmp_path / "run")
    assert caught.value.code == "run_diverged"
    assert "train/fake/" in str(caught.value)
    last = load_last(tmp_path / "run" / "models" / "last")
    assert last is not None
    assert last.state.rollbacks == 2
    assert all(torch.isfinite(value).all() for value in last.model.values())


def test_one_bad_step_changes_nothing_but_is_passed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward_backward = Trainer._forward_backward

    def poisoned(self: Trainer, batch: object) -> float:
        loss = forward_backward(self, batch)  # type: ignore[arg-type]
        return math.nan if self.state.step == 3 else loss

    monkeypatch.setattr(Trainer, "_forward_backward", poisoned)
    state = fit(tiny_config(), store, tmp_path / "run")
    assert state.finished
    assert state.rollbacks == 0
    assert math.isfinite(state.history[0]["train_loss"])


def test_batch_statistics_of_a_bad_step_are_forgotten(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What overflows in the forward pass has been written into them before the loss is known."""
    forward_backward = Trainer._forward_backward

    def poisoned(self: Trainer, batch: Batch) -> float:
        if self.state.step == 3:
            batch = replace(batch, clips=batch.clips.float() * math.inf)
        return forward_backward(self, batch)

    monkeypatch.setattr(Trainer, "_forward_backward", poisoned)
    monkeypatch.setattr(loop_module, "Augment", lambda config: lambda clips, *how: clips)
    state = fit(tiny_config(), store, tmp_path / "run")
    assert state.finished
    assert all(torch.isfinite(value).all() for value in _weights(tmp_path / "run").values())


def test_a_checkpoint_within_an_epoch_counts_its_time(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer._step

    def stopped(self: Trainer, batch: Batch) -> float | None:
        if self.state.step == 3:
            raise KeyboardInterrupt
        time.sleep(0.05)
        return step(self, batch)

    monkeypatch.setattr(Trainer, "_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny_config(), store, tmp_path / "run")
    last = load_last(tmp_path / "run" / "models" / "last")
    assert last is not None
    assert last.state.step_in_epoch == 2
    assert last.state.seconds > 0.1


def test_the_best_epoch_is_kept_and_too_many_worse_ones_end_the_run(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of equal AUCs, the lower loss is the better."""
    told = iter([(0.6, 0.5), (0.5, 0.5), (0.9, 0.5), (0.9, 0.4), (0.9, 0.6), (0.7, 0.1)])

    def validate(*how: object) -> Validation:
        auc, loss = next(told)
        return Validation(loss, auc, 0.5, {})

    monkeypatch.setattr(loop_module, "validate", validate)
    words = ("loop.epochs=9", "loop.steps_per_epoch=1", "optim.early_stop_patience=2")
    state = fit(tiny_config(*words), store, tmp_path)
    assert (state.epoch, state.best_epoch) == (6, 4)
    assert [row["best"] for row in state.history] == [True, False, True, True, False, False]
    _, best = load_checkpoint(tmp_path / "models" / "best_model.pth")
    assert best.metrics == {"val_auc_video": 0.9, "val_loss": 0.4, "epoch": 4}


def test_a_model_is_trained_in_training_mode_and_judged_in_the_other(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    forward = Detector.forward

    def watched(self: Detector, clips: torch.Tensor, mask: torch.Tensor) -> Output:
        seen.add((torch.is_inference_mode_enabled(), self.training))
        return forward(self, clips, mask)

    monkeypatch.setattr(Detector, "forward", watched)
    fit(tiny_config("loop.epochs=1"), store, tmp_path)
    assert seen == {(False, True), (True, False)}


def test_a_run_that_stopped_at_its_limit_goes_on_where_it_is_given_more(
    store: Path, tmp_path: Path
) -> None:
    first = fit(tiny_config("loop.max_minutes=1e-6"), store, tmp_path / "run")
    assert (first.epoch, first.finished) == (1, True)
    again = fit(tiny_config("loop.max_minutes=1e-6"), store, tmp_path / "run")
    assert again.step == first.step
    more = fit(tiny_config("loop.max_minutes=9"), store, tmp_path / "run")
    assert (more.epoch, more.finished) == (2, True)


def test_all_ranks_go_by_the_first_ones_clock(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fabric, "world_size", property(lambda self: 2))
    monkeypatch.setattr(Fabric, "broadcast", lambda self, value, src=0: 7.0)
    trainer = object.__new__(Trainer)
    trainer.fabric, trainer._began = Fabric(accelerator="cpu", devices=1), time.perf_counter()
    assert trainer._elapsed() == 7.0


def test_the_average_is_what_is_validated_and_kept(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = []
    validate = loop_module.validate

    def watched(fabric: Fabric, model: Detector, *how: Any) -> Validation:
        judged.append({name: value.clone() for name, value in model.state_dict().items()})
        return validate(fabric, model, *how)

    monkeypatch.setattr(loop_module, "validate", watched)
    state = fit(tiny_config("optim.ema=0.9"), store, tmp_path)
    last = load_last(tmp_path / "models" / "last")
    assert last is not None
    best, _ = load_checkpoint(tmp_path / "models" / "best_model.pth")
    for name, value in judged[-1].items():
        assert torch.equal(value, last.ema[f"module.{name}"]), name
    for name, value in judged[state.best_epoch - 1].items():
        assert torch.equal(value, best.state_dict()[name]), name
    assert last.ema["n_averaged"] == state.step
    assert not torch.equal(judged[-1]["classifier.weight"], last.model["classifier.weight"])


def test_a_stopped_run_takes_up_its_average_and_its_plateau(store: Path, tmp_path: Path) -> None:
    config = tiny_config("optim.ema=0.9")
    fit(config, store, tmp_path / "whole")
    _fit_until(9, config, store, tmp_path / "stopped")
    fit(config, store, tmp_path / "stopped")
    whole, resumed = (load_last(tmp_path / name / "models/last") for name in ("whole", "stopped"))
    assert whole is not None
    assert resumed is not None
    assert whole.ema.keys() == resumed.ema.keys()
    for name, value in whole.ema.items():
        assert torch.equal(value, resumed.ema[name]), name
    assert resumed.optimizer["plateau"] == whole.optimizer["plateau"]
    assert whole.optimizer["plateau"]["last_epoch"] == 2


def test_a_batch_size_is_searched_once_and_the_search_leaves_nothing(
    store: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    search = loop_module.find_batch_size

    def searched(attempt: Callable[[int], float], device: torch.device, most: int) -> int:
        found.append(search(attempt, device, most))
        return 4  # whatever this machine's clock says

    monkeypatch.setattr(loop_module, "find_batch_size", searched)
    config = tiny_config("loop.batch_size=0", "loop.max_batch_size=4")
    _fit_until(9, config, store, tmp_path)
    state = fit(config, store, tmp_path)
    assert (len(found), state.batch_size) == (1, 4)
    assert 1 <= found[0] <= 4
    assert _trace(tmp_path) == _trace(undisturbed)


def test_a_split_without_clips_is_told(tmp_path: Path) -> None:
    folder = make_store(tmp_path / "store")
    manifest = folder / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",val,", ",test,"))
    with pytest.raises(DatasetError) as caught:
        fit(tiny_config(), folder, tmp_path / "run")
    assert caught.value.code == "dataset_empty_split"


@pytest.mark.slow
def test_two_processes_give_the_trace_of_one(store: Path, tmp_path: Path) -> None:
    """DDP over gloo: the same global batches, no augmentation and dropout, the same loss at every
    step (each epoch is one step, since the history tells of epochs)."""
    still = (
        *STILL,
        "loop={epochs: 6, steps_per_epoch: 1, batch_size: 4, accelerator: cpu, precision: fp32}",
    )
    fit(tiny_config(*still), store, tmp_path / "one")
    fit(tiny_config(*still, "loop.devices=2"), store, tmp_path / "two")
    one, two = _trace(tmp_path / "one"), _trace(tmp_path / "two")
    assert len(one) == 2 * 6  # training and validation
    assert two == pytest.approx(one, rel=1e-4)
    assert max(one[::2]) - min(one[::2]) > 100 * 1e-4 * max(one[::2])  # a trace that moves
    for name, value in _weights(tmp_path / "one").items():
        torch.testing.assert_close(_weights(tmp_path / "two")[name], value, atol=2e-4, rtol=1e-3)


@pytest.mark.slow
def test_two_processes_look_for_a_batch_size_each_for_itself(store: Path, tmp_path: Path) -> None:
    """One may stop sooner than the other: nobody may wait for a word that never comes."""
    script = tmp_path / "uneven.py"
    script.write_text(UNEVEN.format(store=str(store), run=str(tmp_path / "run")))
    done = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Batch size found: 2 clips a step." in done.stderr


UNEVEN = """
import time

from stores import tiny_config

from unmask.training import loop
from unmask.training.fit import fit
from pathlib import Path

search = loop.find_batch_size


def uneven(attempt, device, most, least=1):
    import torch.distributed

    slow = torch.distributed.get_rank() == 1

    def timed(size):
        attempt(size)
        return size * 1.0 if slow else 1.0  # the second sees no gain in more

    return search(timed, device, 4, least)


loop.find_batch_size = uneven
if __name__ == "__main__":
    config = tiny_config("loop.epochs=1", "loop.batch_size=0", "loop.devices=2",
                         "model.backbone=test_vit")
    fit(config, Path("{store}"), Path("{run}"))
"""


def test_halves_keep_pairs_together(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _device_that_holds(3, monkeypatch)
    fit(tiny_config("loop.epochs=1", "loop.batch_size=6"), store, tmp_path / "run")
    assert set(seen[:3]) == {2}
