"""The last state of a run on disk, whole at every moment.

    models/last/LATEST                       name of the folder that counts
    models/last/step-00001200-epoch-3/       model.safetensors  ema.safetensors
                                             optimizer.pt  state.json

A checkpoint is written into a folder of its own and made to count by renaming one small file, so a
kill or a full disk at any moment leaves the previous one in force.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from unmask.errors import RunError
from unmask.files import fsync, lock_folder, write_json, write_text

Tensors = dict[str, torch.Tensor]


@dataclass
class RunState:
    """Where a run stands; everything that decides its next step besides weights and optimiser."""

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    """Optimiser steps since the start."""
    batch_size: int = 0
    best_metric: float | None = None
    best_loss: float | None = None
    best_epoch: int = 0
    epochs_without_gain: int = 0
    rollbacks: int = 0
    seconds: float = 0.0
    """Training time so far, over all sittings."""
    finished: bool = False
    epoch_losses: list[float] = field(default_factory=list)
    """Loss of each step of the epoch under way."""
    history: list[dict[str, Any]] = field(default_factory=list)
    course: list[dict[str, float]] = field(default_factory=list)
    """The machine over the training time; see `unmask.training.monitor.Monitor.course`."""
    amp_memory: dict[str, float | None] | None = None
    """Peak memory of a step; see `unmask.training.amp_memory`."""


@dataclass(frozen=True)
class Checkpoint:
    """What `load_last` gives back."""

    model: Tensors
    ema: Tensors
    optimizer: dict[str, Any]
    """States of the optimiser and of the plateau schedule."""
    state: RunState


def save_last(
    folder: Path, model: Tensors, optimizer: dict[str, Any], state: RunState, ema: Tensors
) -> None:
    """Write a checkpoint and make it the one that counts; older ones are removed afterwards.

    Raises:
        RunError: ``run_disk`` when the disk is full or cannot be written; the previous checkpoint
            is still whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step-{state.step:08d}-epoch-{state.epoch}"
    try:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        save_file(_plain(model), target / "model.safetensors")
        if ema:
            save_file(_plain(ema), target / "ema.safetensors")
        torch.save(optimizer, target / "optimizer.pt")
        for file in target.iterdir():
            fsync(file)
        write_json(target / "state.json", asdict(state))
        fsync(target)
        write_text(folder / "LATEST", target.name + "\n")
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise RunError(
            f"The checkpoint could not be written to {folder}: {error}",
            code="run_disk",
            hint="Free some space, then run the same command again: it resumes.",
        ) from error
    for old in folder.glob("step-*"):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)


def load_last(folder: Path, device: torch.device | str = "cpu") -> Checkpoint | None:
    """The checkpoint that counts, or None where a run has none yet.

    Raises:
        RunError: ``run_checkpoint`` when it cannot be read.
    """
    latest = folder / "LATEST"
    if not latest.exists():
        return None
    source = folder / latest.read_text(encoding="utf-8").strip()
    try:
        state = RunState(**json.loads((source / "state.json").read_text(encoding="utf-8")))
        ema = source / "ema.safetensors"
        return Checkpoint(
            model=load_file(source / "model.safetensors", device=str(device)),
            ema=load_file(ema, device=str(device)) if ema.exists() else {},
            optimizer=torch.load(source / "optimizer.pt", map_location=device, weights_only=True),
            state=state,
        )
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise RunError(
            f"The checkpoint in {source} cannot be read: {error}",
            code="run_checkpoint",
            hint="Delete models/last to start the run anew.",
        ) from error


@contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """Hold a run's folder for this process; the lock dies with the process.

    Raises:
        RunError: ``run_locked`` when another process trains there.
    """
    with lock_folder(run, lambda holder: _taken(run, holder)):
        yield


def _taken(run: Path, holder: str) -> RunError:
    return RunError(
        f"Another process is training in {run} ({holder}).",
        code="run_locked",
        hint="Wait for it, or choose another --out.",
    )


def _plain(tensors: Tensors) -> Tensors:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
