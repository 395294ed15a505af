"""One way to time things and one way to say what came of it, for every benchmark here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Work = Callable[[], object]


class Cost(NamedTuple):
    """Seconds of one call."""

    wall: float
    processor: float
    """Of all threads, and of the child processes that ended meanwhile."""


@dataclass(frozen=True)
class Figure:
    """A measured value with its spread over the rounds."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """The median, the least and the largest."""
        ordered = sorted(values)
        middle = len(ordered) // 2
        median = (ordered[middle] + ordered[-middle - 1]) / 2
        return cls(median, ordered[0], ordered[-1])


@dataclass(frozen=True)
class Row:
    """One line of the table of docs/performance.md."""

    name: str
    what: str
    against: str
    """The limit or the rival, measured in the same run."""
    sense: Literal["<=", ">="]
    target: float
    unit: str = "x"
    """``x`` ratios, ``%`` shares that are given as 0-1, or any other unit."""
    wall: Figure | None = None
    """None: not measured."""
    processor: Figure | None = None
    """The same ratio of processor seconds, where that says something."""
    note: str = ""
    """What else was seen, or why nothing was measured."""
    holds: bool = True
    """False: a condition of the row besides its figure does not hold."""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached by the wall clock; None where nothing was measured."""
        if self.wall is None:
            return None
        value = self.wall.value
        return self.holds and (value <= self.target if self.sense == "<=" else value >= self.target)


def cost(work: Work) -> Cost:
    """Wall and processor seconds of one call."""
    wall, before = time.perf_counter(), _processor_seconds()
    work()
    return Cost(time.perf_counter() - wall, _processor_seconds() - before)


def rounds(works: Mapping[str, Work], repeat: int) -> dict[str, list[Cost]]:
    """``repeat`` rounds of all works in turn, so that a busy machine slows all of them."""
    costs: dict[str, list[Cost]] = {name: [] for name in works}
    for _ in range(repeat):
        for name, work in works.items():
            costs[name].append(cost(work))
    return costs


def least(costs: Sequence[Cost]) -> Cost:
    """The least wall and the least processor seconds."""
    return Cost(min(c.wall for c in costs), min(c.processor for c in costs))


def ratio(costs: Sequence[Cost], base: Sequence[Cost]) -> tuple[Figure, Figure]:
    """``costs`` over ``base``, by the wall clock and by processor time.

    The value is the least over the least, which a busy machine disturbs least; the spread is that
    of the rounds, each against its own neighbour. The value always lies within it.
    """
    figures = []
    for part in range(2):
        each = [one[part] / other[part] for one, other in zip(costs, base, strict=True)]
        value = min(one[part] for one in costs) / min(other[part] for other in base)
        figures.append(Figure(value, min(each), max(each)))
    return figures[0], figures[1]


def print_costs(costs: Mapping[str, Sequence[Cost]], base: str) -> None:
    """Least walls and processor times, and both as multiples of the base's."""
    print(f"{'':24s} {'wall s':>7s} {'ratio':>6s} {'cpu s':>7s} {'ratio':>6s}")
    for name, found in costs.items():
        wall, processor = ratio(found, costs[base])
        one = least(found)
        print(
            f"{name:24s} {one.wall:7.2f} {wall.value:6.2f} "
            f"{one.processor:7.2f} {processor.value:6.2f}"
        )


def wait_without_spinning() -> None:
    """Let torch's threads sleep while they wait for each other; to be called before its import.

    They spin by default. On a machine with other work that costs what is measured several times
    its own time (the rival: 24 times detect's seconds instead of 7).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
