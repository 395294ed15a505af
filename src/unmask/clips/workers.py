"""Worker processes that may die: a crash or a hang costs the task it happened in, nothing else.

`concurrent.futures` gives up on all tasks when one worker is killed; a file that makes a decoder
crash, or the system's out-of-memory killer, must not end the preparation of a dataset.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Literal, TypeVar

import cv2

from unmask.errors import RunError

Task = TypeVar("Task")

_READY = "ready"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Outcome(Generic[Task]):
    """What became of one task."""

    task: Task
    status: Literal["done", "error", "died", "timeout"]
    value: Any = None
    """The result when done; the exception on error; the exit code when it died."""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection[Any, Any]
    task: Any = None
    busy: bool = False
    ready: bool = False
    began: float = field(default_factory=time.monotonic)


def run_tasks(
    function: Callable[[Task], Any],
    tasks: Iterable[Task],
    *,
    workers: int,
    timeout_seconds: float,
) -> Generator[Outcome[Task], None, None]:
    """Yield what became of every task, in order of completion.

    Args:
        function: importable by name; called with one task in a fresh ("spawned") process that
            stays for further tasks, has one thread for its arithmetic and ignores Ctrl-C.
        tasks: picklable; taken only as workers come free.
        workers: processes; 0 runs everything here, without protection against crashes.
        timeout_seconds: a task that takes longer is killed with its worker.

    Raises:
        RunError: ``workers_start``: a worker died before it took its first task.
    """
    if workers == 0:
        yield from (_call(function, task) for task in tasks)
        return
    remaining = iter(tasks)
    crew: list[_Worker] = []
    try:
        while True:
            while sum(worker.busy for worker in crew) < workers:
                try:
                    task = next(remaining)
                except StopIteration:
                    break
                _give(_idle(crew, function), task)
            busy = [worker for worker in crew if worker.busy]
            if not busy:
                return
            yield from _collect(crew, busy, timeout_seconds)
    finally:
        for worker in crew:
            _dismiss(worker)


def _call(function: Callable[[Task], Any], task: Task) -> Outcome[Task]:
    try:
        return Outcome(task, "done", function(task))
    except Exception as error:  # noqa: BLE001  the task's failure is its outcome
        return Outcome(task, "error", error)


def _idle(crew: list[_Worker], function: Callable[[Any], Any]) -> _Worker:
    """A worker without a task; started where there is none."""
    for worker in crew:
        if not worker.busy:
            return worker
    context = multiprocessing.get_context("spawn")  # no inherited threads, locks or handles
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, function), daemon=True)
    with _one_thread_each():
        process.start()
    theirs.close()
    crew.append(_Worker(process, ours))
    return crew[-1]


def _give(worker: _Worker, task: object) -> None:
    worker.task, worker.busy, worker.began = task, True, time.monotonic()
    with suppress(BrokenPipeError):  # it died idle; `_collect` sees its pipe closed
        worker.pipe.send(task)


def _collect(
    crew: list[_Worker], busy: list[_Worker], timeout_seconds: float
) -> Iterator[Outcome[Any]]:
    """Outcomes of the workers that have something to tell, died or overran; waits for one."""
    first_due = min(worker.began for worker in busy) + timeout_seconds
    ready = wait(
        [worker.pipe for worker in busy], timeout=max(0.0, first_due - time.monotonic()) + 0.01
    )
    now = time.monotonic()
    for worker in busy:
        if worker.pipe in ready:
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                crew.remove(worker)
                worker.process.join(timeout=5.0)  # it is ending: its own exit code is of interest
                _dismiss(worker)
                if not worker.ready:
                    raise _no_start(worker) from None
                yield Outcome(worker.task, "died", worker.process.exitcode)
                continue
            except Exception as error:  # noqa: BLE001  a value that cannot be made again here
                worker.busy = False
                failure = RuntimeError(f"{type(error).__name__}: {error}")
                yield Outcome(worker.task, "error", failure)
                continue
            if message == _READY:
                worker.ready, worker.began = True, now
                continue
            done, value = message
            worker.busy = False
            yield Outcome(worker.task, "done" if done else "error", value)
        elif now - worker.began > timeout_seconds:
            crew.remove(worker)
            _dismiss(worker)
            yield Outcome(worker.task, "timeout")


def _no_start(worker: _Worker) -> RunError:
    return RunError(
        f"A worker process could not start (exit code {worker.process.exitcode}).",
        code="workers_start",
        hint='A script needs `if __name__ == "__main__":` around its calls; '
        "otherwise see the messages above.",
    )


def _dismiss(worker: _Worker) -> None:
    worker.pipe.close()
    if worker.busy:
        worker.process.kill()
    worker.process.join(timeout=5.0)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()


def _work(pipe: Connection[Any, Any], function: Callable[[Any], Any]) -> None:
    """A worker's life: tasks in, (whether it worked, value) out, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    cv2.setNumThreads(1)
    pipe.send(_READY)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        outcome = _call(function, task)
        try:
            pipe.send((outcome.status == "done", outcome.value))
        except BrokenPipeError:
            return  # the parent was killed
        except Exception as error:  # noqa: BLE001  a value that cannot be pickled
            pipe.send((False, RuntimeError(f"{type(error).__name__}: {error}")))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Libraries read their thread counts when a process starts; the parent's stay as they are."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
