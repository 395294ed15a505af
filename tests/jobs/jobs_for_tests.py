"""Tasks that fail in every way; a module of its own, since workers import them by name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np


def act(task: str) -> Any:
    """Do what a task's name says."""
    if task == "raise":
        raise ValueError("as asked")
    if task == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if task == "hang":
        time.sleep(600)
    if task == "glut":
        np.ones(2**30)
    if task == "slow glut":
        _hoard()
        return "as if nothing had been"
    if task == "burn":
        while True:
            pass
    if task.startswith("work"):
        until = time.process_time() + 0.36
        while time.process_time() < until:
            pass
        return os.getpid()
    return task.upper()


def _hoard() -> None:
    """Fill the memory and keep quiet about it, as a decoder does."""
    kept = []
    try:
        while True:
            kept.append(np.ones(2**18))  # 2 MiB
    except MemoryError:
        kept.clear()


def pid(task: str) -> int:
    """Whose work it was."""
    return os.getpid()


def note_and_hang(task: str) -> None:
    """Write the process's number to the file, and stay."""
    draft = Path(task + ".draft")
    draft.write_text(str(os.getpid()))
    draft.rename(task)
    time.sleep(600)


def end_seat_once(note: str) -> str:
    """Kill the process above, the first time; a later try finds the note."""
    if not Path(note).exists():
        Path(note).touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    return "done at last"


def end_seat_each_time(task: str) -> str:
    """Kill the process above if the task is a file, and leave a mark in it; four are enough."""
    if Path(task).is_file() and Path(task).stat().st_size < 4:
        with Path(task).open("a") as note:
            note.write("x")
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    return task.upper()


def noting(taken: list[Any], tasks: Iterable[Any]) -> Iterator[Any]:
    """The tasks, each noted as it is asked for."""
    for task in tasks:
        taken.append(task)
        yield task


class Unloadable:
    """A function that cannot be loaded where it should run."""

    def __call__(self, task: str) -> None:
        """Never reached."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_explode, ())


def _explode() -> None:
    raise SystemExit(7)


class SlowToLoad:
    """A function that takes its time before the first task."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, task: str) -> str:
        """What the task is."""
        time.sleep(0.1)
        return task

    def __reduce__(self) -> tuple[Any, ...]:
        return (_load_slowly, (self._seconds,))


def _load_slowly(seconds: float) -> SlowToLoad:
    time.sleep(seconds)
    return SlowToLoad(seconds)
