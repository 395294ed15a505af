"""Where the time of a training step goes; loaders and loop report to one clock."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import torch

STAGES = ("wait", "transfer", "augment", "forward", "backward", "optimiser")
"""In the order of a step. ``wait``: for the next batch; ``transfer``: of a batch to the device;
``forward``: with the loss; ``backward``: with the exchange of gradients between devices;
``optimiser``: with the check and the clipping of gradients and the moving average."""
_OPEN_EVENTS = 512


class StageClock:
    """Adds up the seconds of each stage.

    On a GPU a stage is timed by events in that device's current stream, so that nothing stops and
    each kernel counts where it runs, not where it was asked for. ``wait`` is the host's time.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._on_gpu = device.type == "cuda"
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._open: deque[tuple[str, torch.cuda.Event, torch.cuda.Event]] = deque()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as part of stage ``name``, one of `STAGES`."""
        if self._on_gpu and name != "wait":
            begin, end = _event(), _event()
            stream = torch.cuda.current_stream(self._device)  # of this thread
            begin.record(stream)
            try:
                yield
            finally:
                end.record(stream)
                self._open.append((name, begin, end))
            return
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - began

    def step(self) -> None:
        """To be called after each step: keeps the number of events small."""
        while len(self._open) > _OPEN_EVENTS and _is_over(self._open[0][2]):
            self._close()

    def take(self) -> dict[str, float]:
        """Seconds of every stage since the last call."""
        if self._open:
            torch.cuda.synchronize()
        while self._open:
            self._close()
        taken, self._seconds = self._seconds, dict.fromkeys(STAGES, 0.0)
        return taken

    def _close(self) -> None:
        name, begin, end = self._open.popleft()
        self._seconds[name] += begin.elapsed_time(end) / 1e3


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def _is_over(event: torch.cuda.Event) -> bool:
    return bool(event.query())  # type: ignore[no-untyped-call]
