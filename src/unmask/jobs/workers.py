"""Worker processes that may die: a crash, a hang or a glut costs the task it happened in only.

`concurrent.futures` gives up on all tasks when one worker is killed; a file that makes a decoder
crash, or the system's out-of-memory killer, must not end the work on a thousand others.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import cv2

from unmask.errors import RunError
from unmask.machine import end_with_parent

Task = TypeVar("Task")

Status = Literal["done", "error", "died", "timeout", "memory", "cpu"]

START_SECONDS = 180.0
"""A worker may take this long to import what it needs; a task's time starts after that."""

_READY = "ready"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# How libraries tell that they got no memory, where they do not raise MemoryError.
_NO_MEMORY = re.compile(
    r"bad.?alloc|std::bad_alloc|failed to allocate|insufficient memory|cannot allocate memory", re.I
)

_SIZES = re.compile(r"^(VmData|VmPeak|VmSize):\s+(\d+) kB", re.M)


@dataclass(frozen=True)
class Outcome(Generic[Task]):
    """What became of one task."""

    task: Task
    status: Status
    """``died``: its process ended, e.g. by a crash of a decoder. The last three: a limit."""
    value: Any = None
    """The result when done; the exception on error; the exit code when it died."""


@dataclass(frozen=True)
class TaskLimits:
    """What one task may use."""

    timeout_seconds: float
    """Wall-clock time."""
    memory_mib: int | None = None
    """Memory of the whole worker process (libraries and network included); not held on Windows."""
    cpu_seconds: float | None = None
    """Processor time, rounded up to whole seconds; not held on Windows."""

    def __post_init__(self) -> None:
        for name in ("timeout_seconds", "memory_mib", "cpu_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection[Any, Any]
    task: Any = None
    busy: bool = False
    ready: bool = False
    began: float = field(default_factory=time.monotonic)

    def due(self, limits: TaskLimits) -> float:
        return self.began + (limits.timeout_seconds if self.ready else START_SECONDS)


def run_tasks(
    function: Callable[[Task], Any],
    tasks: Iterable[Task],
    *,
    workers: int,
    timeout_seconds: float,
    memory_mib: int | None = None,
    cpu_seconds: float | None = None,
) -> Generator[Outcome[Task], None, None]:
    """Yield what became of every task, in order of completion.

    Workers end with this process, however it ends.

    Args:
        function: importable by name; called with one task in a fresh ("spawned") process that
            stays for further tasks, has one thread for its arithmetic and ignores Ctrl-C.
        tasks: picklable; taken only as workers come free.
        workers: processes; 0 runs everything here, without limits or protection against crashes.
        timeout_seconds: a task that takes longer is killed with its worker.
        memory_mib: a task that wants more is given up.
        cpu_seconds: a task that takes more processor time is killed with its worker.

    Raises:
        RunError: ``workers_start``: a worker died before it took its first task.
    """
    limits = TaskLimits(timeout_seconds, memory_mib, cpu_seconds)
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
                _give(_idle(crew, function, limits), task)
            busy = [worker for worker in crew if worker.busy]
            if not busy:
                return
            yield from _collect(crew, busy, limits)
    finally:
        for worker in crew:
            _dismiss(worker)


def _call(function: Callable[[Task], Any], task: Task) -> Outcome[Task]:
    try:
        return Outcome(task, "done", function(task))
    except MemoryError as error:
        return Outcome(task, "memory", error)
    except Exception as error:  # noqa: BLE001  the task's failure is its outcome
        return Outcome(task, "memory" if _NO_MEMORY.search(str(error)) else "error", error)


def _idle(crew: list[_Worker], function: Callable[[Any], Any], limits: TaskLimits) -> _Worker:
    """A worker without a task; started where there is none."""
    for worker in [worker for worker in crew if not worker.busy]:
        if worker.process.is_alive():
            return worker
        crew.remove(worker)  # killed while it waited: no task's fault
        _dismiss(worker)
    context = multiprocessing.get_context("spawn")  # no inherited threads, locks or handles
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, function, limits), daemon=True)
    with _one_thread_each(), _ctrl_c_waits():
        process.start()
    theirs.close()
    crew.append(_Worker(process, ours))
    return crew[-1]


def _give(worker: _Worker, task: object) -> None:
    worker.task, worker.busy, worker.began = task, True, time.monotonic()
    with suppress(BrokenPipeError):  # it died idle; `_collect` sees its pipe closed
        worker.pipe.send(task)


def _collect(
    crew: list[_Worker], busy: list[_Worker], limits: TaskLimits
) -> Iterator[Outcome[Any]]:
    """Outcomes of the workers that have something to tell, died or overran; waits for one."""
    first_due = min(worker.due(limits) for worker in busy)
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
                yield _death(worker)
                continue
            except Exception as error:  # noqa: BLE001  a value that cannot be made again here
                worker.busy = False
                failure = RuntimeError(f"{type(error).__name__}: {error}")
                yield Outcome(worker.task, "error", failure)
                continue
            if message == _READY:
                worker.ready, worker.began = True, now
                continue
            status, value = message
            worker.busy = False
            if status == "memory":  # its memory is full or in pieces: the next task gets a new one
                crew.remove(worker)
                _dismiss(worker)
            yield Outcome(worker.task, status, value)
        elif now > worker.due(limits):
            crew.remove(worker)
            _dismiss(worker)
            if not worker.ready:
                raise _no_start(worker)
            yield Outcome(worker.task, "timeout")


def _death(worker: _Worker) -> Outcome[Any]:
    code = worker.process.exitcode
    overran = code is not None and code == -getattr(signal, "SIGXCPU", 0)
    return Outcome(worker.task, "cpu" if overran else "died", code)


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


def _work(pipe: Connection[Any, Any], function: Callable[[Any], Any], limits: TaskLimits) -> None:
    """A worker's life: tasks in, (status, value) out, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    cv2.setNumThreads(1)
    end_with_parent()  # the pipe tells of its end only between tasks
    _limit_memory(limits)
    pipe.send(_READY)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        _limit_cpu(limits)
        outcome = _call(function, task)
        status = "memory" if _memory_is_full(limits) else outcome.status
        try:
            pipe.send((status, outcome.value))
        except BrokenPipeError:
            return  # the parent was killed
        except Exception as error:  # noqa: BLE001  a value that cannot be pickled
            pipe.send(("error", RuntimeError(f"{type(error).__name__}: {error}")))


def _limit_memory(limits: TaskLimits) -> None:
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is expected here, not looked into
    if limits.memory_mib is not None:
        # Not RLIMIT_AS: it would count address space that is only reserved, of which CUDA and
        # thread pools take many gigabytes.
        limit = _within(resource.RLIMIT_DATA, limits.memory_mib * 2**20)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _limit_cpu(limits: TaskLimits) -> None:
    """Give the coming task its processor time; beyond it the system kills the process."""
    if sys.platform == "win32" or limits.cpu_seconds is None:
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    ceiling = math.ceil(used.ru_utime + used.ru_stime + limits.cpu_seconds)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_within(resource.RLIMIT_CPU, ceiling), hard))


def _within(what: int, limit: int) -> int:
    """The limit, or the system's own where that is lower: nobody may go beyond it."""
    import resource

    _, hard = resource.getrlimit(what)
    return limit if hard == resource.RLIM_INFINITY else min(limit, hard)


def _memory_is_full(limits: TaskLimits) -> bool:
    """Whether the task that just ended took the process to its limit.

    A decoder that is refused memory may go on with fewer pictures and report damage; what it gave
    is no answer. Linux tells what is held now and the peak of the address space, not of what
    RLIMIT_DATA counts; the difference is taken for data. The peak is over the process's life, which
    ends when it gets here. Elsewhere only errors tell.
    """
    status = Path("/proc/self/status")
    if limits.memory_mib is None or not status.exists():
        return False
    kib = {name: int(size) for name, size in _SIZES.findall(status.read_text())}
    peak_kib = kib["VmData"] + kib["VmPeak"] - kib["VmSize"]
    import resource

    allowed = _within(resource.RLIMIT_DATA, limits.memory_mib * 2**20)
    return peak_kib * 2**10 >= 0.95 * allowed


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Libraries read their thread counts when a process starts; the parent's stay as they are. Nor
    does Python look for modules in the working folder, which may be one of uploads."""
    during = {**dict.fromkeys(_THREAD_VARIABLES, "1"), "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in during}
    os.environ.update(during)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """A worker that is only half told what to do would complain aloud."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        signal.raise_signal(signal.SIGINT)
