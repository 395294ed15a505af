"""The same tasks on a Ray cluster: what travels is a task (paths and settings) and its result.

Ray only spreads the work. On every node a seat, which never touches a file itself, runs `run_tasks`
with one worker process, so that limits, crashes and their words are the very same as without Ray.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from unmask.errors import MissingExtraError, RunError
from unmask.jobs.workers import START_SECONDS, Outcome, run_tasks

Task = TypeVar("Task")

GRACE_SECONDS = 60.0
"""A seat that is this late with its answer is given up: its node hangs, or the way to it does."""
HIRE_SECONDS = 1800.0
"""How long a seat may take to come: a node may have to be started for it."""


def run_on_ray(
    function: Callable[[Task], Any],
    tasks: Iterable[Task],
    *,
    workers: int,
    timeout_seconds: float,
    memory_mib: int | None = None,
    cpu_seconds: float | None = None,
) -> Generator[Outcome[Task], None, None]:
    """`run_tasks` on a Ray cluster: that of ``RAY_ADDRESS``, one that runs here, or a fresh one.

    unmask must be installed on every node, and the paths must mean the same there. A node that is
    lost costs nothing but time: its task is given once more, to another seat.

    Args:
        function: as for `run_tasks`.
        tasks: as for `run_tasks`.
        workers: seats, one core each; at most the cluster's cores are used.
        timeout_seconds: as for `run_tasks`.
        memory_mib: as for `run_tasks`.
        cpu_seconds: as for `run_tasks`.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: ``workers_start``: no node can run tasks.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    ray = _ray()
    started = not ray.is_initialized()
    if started:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    limits = {
        "timeout_seconds": timeout_seconds,
        "memory_mib": memory_mib,
        "cpu_seconds": cpu_seconds,
    }
    try:
        cores = int(ray.cluster_resources().get("CPU", 0))
        if cores < 1:
            raise RunError("The Ray cluster has no core.", code="workers_start")
        seats = _Seats(ray, function, limits, iter(tasks))
        try:
            seats.hire(min(workers, cores))
            while seats.at_work():
                outcome = seats.next_outcome()
                if outcome is not None:
                    yield outcome
        finally:
            seats.close()
    finally:
        if started:
            ray.shutdown()


@dataclass
class _Turn:
    """What is awaited of a seat: an outcome, or, without a task, that it is there."""

    seat: Any
    due: float
    has_task: bool = False
    task: Any = None
    tries: int = 0


class _Seats:
    """Actors, and what each is at. A seat gets a task only once it has answered."""

    def __init__(
        self,
        ray: Any,
        function: Callable[[Any], Any],
        limits: dict[str, float | int | None],
        tasks: Iterator[Any],
    ) -> None:
        self._ray, self._function, self._limits, self._tasks = ray, function, limits, tasks
        self._kind = ray.remote(num_cpus=1, max_restarts=0)(_Seat)
        self._patience = START_SECONDS + float(limits["timeout_seconds"] or 0) + GRACE_SECONDS
        self._turns: dict[Any, _Turn] = {}
        self._again: deque[tuple[Any, int]] = deque()

    def hire(self, count: int) -> None:
        """Ask for seats; they come when there is a free core."""
        for _ in range(count):
            seat = self._kind.remote(self._function, self._limits)
            self._turns[seat.ready.remote()] = _Turn(seat, time.monotonic() + HIRE_SECONDS)

    def at_work(self) -> bool:
        """Whether an outcome is still to come: a task is out, or there may be one for a seat."""
        return any(turn.has_task for turn in self._turns.values()) or (
            bool(self._turns) and self._more()
        )

    def next_outcome(self) -> Outcome[Any] | None:
        """Wait until something happens; None where that was no outcome."""
        due = min(turn.due for turn in self._turns.values())
        patience = max(0.0, due - time.monotonic()) + 0.01
        answers, _ = self._ray.wait(list(self._turns), num_returns=1, timeout=patience)
        if not answers:
            return self._give_up(time.monotonic())
        turn = self._turns.pop(answers[0])
        try:
            answer = self._ray.get(answers[0])
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, RunError) else error from None
        except self._ray.exceptions.RayError as error:
            return self._lost(turn, error)
        self._give(turn.seat)  # before the caller's turn, so that no core waits for it
        return Outcome(turn.task, *answer) if turn.has_task else None

    def close(self) -> None:
        """Let all seats go, whatever they are at."""
        for turn in self._turns.values():
            self._ray.kill(turn.seat)

    def _more(self) -> bool:
        """Whether there is another task; it is taken from the source and kept."""
        if not self._again:
            self._again.extend((task, 1) for task in islice(self._tasks, 1))
        return bool(self._again)

    def _give(self, seat: Any) -> None:
        if not self._more():
            self._ray.kill(seat)
            return
        task, tries = self._again.popleft()
        due = time.monotonic() + self._patience
        self._turns[seat.run.remote(task)] = _Turn(seat, due, True, task, tries)

    def _give_up(self, now: float) -> Outcome[Any] | None:
        """Let go of a seat that is overdue: its node hangs, or the way to it does."""
        for answer, turn in list(self._turns.items()):
            if turn.due <= now:
                del self._turns[answer]
                self._ray.kill(turn.seat)
                if turn.has_task:
                    self.hire(1)
                    return Outcome(turn.task, "timeout")
                self._need_one("none came in time")
        return None

    def _lost(self, turn: _Turn, error: Exception) -> Outcome[Any] | None:
        """A seat has died: not by its task, which runs in a process of its own."""
        if not turn.has_task:
            self._need_one(str(error).strip().rpartition("\n")[2].strip())
            return None
        self.hire(1)
        if turn.tries > 1:
            return Outcome(turn.task, "died")
        self._again.appendleft((turn.task, turn.tries + 1))
        return None

    def _need_one(self, reason: str) -> None:
        if not self._turns:
            raise RunError(
                f"No worker starts on the Ray cluster: {reason}",
                code="workers_start",
                hint="Every node needs the same unmask.",
            )


class _Seat:
    """One core of a node: a worker process and its limits."""

    def __init__(self, function: Callable[[Any], Any], limits: dict[str, Any]) -> None:
        self._inbox: deque[Any] = deque()
        self._outcomes = run_tasks(function, self._tasks(), workers=1, **limits)

    def ready(self) -> None:
        """Answers as soon as the seat is there."""

    def run(self, task: Any) -> tuple[str, Any]:
        self._inbox.append(task)
        outcome = next(self._outcomes)
        return outcome.status, outcome.value

    def _tasks(self) -> Iterator[Any]:
        while self._inbox:  # `run` has put one there before it asks for an outcome
            yield self._inbox.popleft()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError(
            "The engine 'ray' is not installed.", hint="pip install 'unmask[ray]'"
        ) from error
    return ray
