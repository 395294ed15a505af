"""What `run_on_ray` sees of a Ray cluster, in this process; its seats are late when told to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar


class RayError(Exception):
    """A seat was lost."""


class RayTaskError(RayError):
    """A seat's own code failed."""


@dataclass(eq=False)
class Answer:
    """What a seat will say, once somebody asks for it."""

    due: float
    call: Callable[[], Any]


@dataclass(eq=False)
class Seat:
    """A seat that was asked for, with what it was told."""

    cluster: Cluster
    number: int
    arguments: tuple[Any, ...]
    inner: Any

    @property
    def ready(self) -> _Method:
        return _Method(lambda: self.cluster.comes.get(self.number, 0.0), self.inner.ready)

    @property
    def run(self) -> _Method:
        return _Method(lambda task: self.cluster.takes.get(task, 0.0), self.inner.run)


@dataclass
class _Method:
    seconds: Callable[..., float]
    call: Callable[..., Any]

    def remote(self, *arguments: Any) -> Answer:
        due = time.monotonic() + self.seconds(*arguments)
        return Answer(due, lambda: self.call(*arguments))


@dataclass
class _Kind:
    cluster: Cluster
    made_of: Callable[..., Any]

    def remote(self, *arguments: Any) -> Seat:
        seats = self.cluster.seats
        seats.append(Seat(self.cluster, len(seats), arguments, self.made_of(*arguments)))
        return seats[-1]


@dataclass
class Cluster:
    """Stands for the module ``ray``."""

    cores: int
    runs: bool = False
    takes: Mapping[str, float] = field(default_factory=dict)
    """Seconds until a seat answers with this task; at once by default."""
    comes: Mapping[int, float] = field(default_factory=dict)
    """The same for the seats themselves, numbered as they are asked for."""
    seats: list[Seat] = field(default_factory=list)
    let_go: list[int] = field(default_factory=list)
    exceptions: ClassVar = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def is_initialized(self) -> bool:
        return self.runs

    def init(self, **_: Any) -> None:
        self.runs = True

    def shutdown(self) -> None:
        self.runs = False

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(self.cores)} if self.cores else {}

    def remote(self, **_: Any) -> Callable[[Any], _Kind]:
        return lambda made_of: _Kind(self, made_of)

    def wait(
        self, answers: list[Answer], num_returns: int, timeout: float
    ) -> tuple[list[Answer], list[Answer]]:
        soonest = min((answer.due for answer in answers), default=math.inf)
        time.sleep(max(0.0, min(timeout, soonest - time.monotonic())))
        now = time.monotonic()
        found = [answer for answer in answers if answer.due <= now][:num_returns]
        return found, [answer for answer in answers if answer not in found]

    def get(self, answer: Answer) -> Any:
        return answer.call()

    def kill(self, seat: Seat) -> None:
        self.let_go.append(seat.number)
