"""The same tasks on a Ray cluster: what travels is a task (paths and settings) and its result.

Ray only spreads the work. On every node a seat, which never touches a file itself, runs `run_tasks`
with one worker process, so that limits, crashes and their words are the very same as without Ray.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

from unmask.errors import MissingExtraError, RunError
from unmask.jobs.workers import START_SECONDS, Outcome, run_tasks

Task = TypeVar("Task")

GRACE_SECONDS = 60.0
"""A seat that is this late with its answer is given up: its node hangs, or the way to it does."""


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
            raise RunError("The Ray cluster has no free core.", code="workers_start")
        seats = _Seats(ray, function, limits)
        try:
            yield from _spread(seats, iter(tasks), min(workers, cores))
        finally:
            seats.close()
    finally:
        if started:
            ray.shutdown()


def _spread(seats: _Seats, tasks: Iterator[Task], count: int) -> Iterator[Outcome[Task]]:
    for _ in range(count):
        if not seats.give(tasks):
            break
    while seats.busy:
        outcome = seats.next_outcome()
        if outcome is not None:
            seats.give(tasks)  # before the caller's turn, so that no core waits for it
            yield outcome


class _Seats:
    """Actors, and what each is at."""

    def __init__(
        self, ray: Any, function: Callable[[Any], Any], limits: dict[str, float | int | None]
    ) -> None:
        self._ray, self._function, self._limits = ray, function, limits
        self._kind = ray.remote(num_cpus=1, max_restarts=0)(_Seat)
        self._patience = START_SECONDS + float(limits["timeout_seconds"] or 0) + GRACE_SECONDS
        self._idle: list[Any] = []
        self._answers = 0
        self._lost = 0
        self.busy: dict[Any, tuple[Any, Any, int]] = {}
        """The answer that is awaited: from which seat, for which task, at which try."""

    def give(self, tasks: Iterator[Any]) -> bool:
        """Give the next task to a seat; False where there is no task left."""
        try:
            task = next(tasks)
        except StopIteration:
            return False
        self._seat(task, tries=1)
        return True

    def next_outcome(self) -> Outcome[Any] | None:
        """Wait for one; None where a task had to be given once more."""
        answers, _ = self._ray.wait(list(self.busy), num_returns=1, timeout=self._patience)
        answer = answers[0] if answers else next(iter(self.busy))  # the one that waits longest
        seat, task, tries = self.busy.pop(answer)
        if not answers:
            self._ray.kill(seat)
            return Outcome(task, "timeout")
        try:
            status, value = self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, RunError) else error from None
        except self._ray.exceptions.RayError as error:
            self._lost += 1
            if self._answers == 0 and self._lost > 2:
                reason = str(error).strip().rpartition("\n")[2].strip()
                raise RunError(
                    f"No worker starts on the Ray cluster: {reason}",
                    code="workers_start",
                    hint="Every node needs the same unmask.",
                ) from error
            if tries > 1:
                return Outcome(task, "died", None)
            self._seat(task, tries=tries + 1)
            return None
        self._answers += 1
        self._idle.append(seat)
        return Outcome(task, status, value)

    def close(self) -> None:
        for seat in [*self._idle, *(seat for seat, _, _ in self.busy.values())]:
            self._ray.kill(seat)

    def _seat(self, task: Any, tries: int) -> None:
        seat = self._idle.pop() if self._idle else self._kind.remote(self._function, self._limits)
        self.busy[seat.run.remote(task)] = (seat, task, tries)


class _Seat:
    """One core of a node: a worker process and its limits."""

    def __init__(self, function: Callable[[Any], Any], limits: dict[str, Any]) -> None:
        self._inbox: deque[Any] = deque()
        self._outcomes = run_tasks(function, self._tasks(), workers=1, **limits)

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
