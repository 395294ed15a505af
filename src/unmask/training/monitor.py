"""What the machine does while a model trains: throughput, stages of a step, utilisation, memory.

`Monitor` samples in a thread of its own, so it costs the loop a few clock readings a step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean
from types import TracebackType
from typing import Any, TypeVar

import psutil
import torch

from unmask.data.stages import StageClock

T = TypeVar("T")
Point = dict[str, float]
"""The machine at a moment: ``seconds`` and what of `SAMPLED` could be read."""

SAMPLED = ("gpu_utilisation", "gpu_memory_gib", "cpu_utilisation", "ram_gib")
PEAKS = ("gpu_memory_gib", "ram_gib")
"""Of these a summary tells the highest, of the others the mean."""
_POINTS_AN_EPOCH, _POINTS_A_RUN, _SECONDS_A_POINT = 12, 360, 5.0


class Monitor:
    """Counts steps and images, times the stages of a step, samples the machine.

    Use as a context manager around a run; call `epoch_summary` at each epoch's end
    (and `restart` at its beginning, where other work lies between two epochs).

    Args:
        device: that trains.
        interval_seconds: between two looks at the machine.
        clock: of the stages; with it a summary tells the milliseconds of each.
    """

    def __init__(
        self,
        device: torch.device,
        interval_seconds: float = 0.5,
        clock: StageClock | None = None,
    ) -> None:
        self._interval = interval_seconds
        self._gpu = _Gpu(device) if device.type == "cuda" else None
        self._processes = _Processes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="unmask-monitor", daemon=True)
        self._samples: list[Point] = []
        self._last: list[Point] = []
        self._clock = clock
        self._reset()

    def __enter__(self) -> Monitor:
        self._processes.read()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def restart(self) -> None:
        """Begin to count here: what came before belongs to no epoch."""
        self._samples = []
        if self._clock is not None:
            self._clock.take()
        self._reset()

    def watch(self, batches: Iterable[T]) -> Iterator[T]:
        """Pass ``batches`` through, counting the time until each one comes as waiting."""
        iterator = iter(batches)
        while True:
            started = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            finally:
                self._waited += time.perf_counter() - started
            yield batch

    def step(self, images: int) -> None:
        """Count one optimiser step over ``images`` crops."""
        self._steps += 1
        self._images += images
        if self._clock is not None:
            self._clock.step()

    @property
    def images_per_second(self) -> float:
        """Crops a second since the epoch began."""
        return self._images / max(time.perf_counter() - self._began, 1e-9)

    def epoch_summary(self) -> dict[str, Any]:
        """Figures since the last call; shares are 0-1, memory is in GiB, None where unknown.

        With a clock, ``STAGE_ms`` of each stage and ``other_ms``, which add up to ``step_ms``.
        """
        elapsed = max(time.perf_counter() - self._began, 1e-9)
        step_ms = 1000 / max(self._steps, 1)
        samples, self._samples = self._samples, []
        summary: dict[str, Any] = {
            "images_per_second": round(self._images / elapsed, 2),
            "data_wait_share": round(self._waited / elapsed, 4),
            "step_ms": round(elapsed * step_ms, 2),
        }
        for key in SAMPLED:
            values = [sample[key] for sample in samples if key in sample]
            tell = max if key in PEAKS else fmean
            summary[key] = round(tell(values), 4) if values else None
        if self._clock is not None:
            seconds = self._clock.take() | {"wait": self._waited}
            rest = elapsed - sum(seconds.values())
            # A batch is moved while the step before it runs, or while the host waits for it.
            seconds["transfer"] = max(seconds["transfer"] + min(rest, 0.0), 0.0)
            seconds["other"] = max(rest, 0.0)
            summary |= {f"{name}_ms": round(each * step_ms, 2) for name, each in seconds.items()}
        self._last = samples
        self._reset()
        return summary

    def course(self) -> list[Point]:
        """The machine over the time that the last summary tells of.

        A dozen points at most, of five seconds at least: a shorter span holds too few steps to say
        how fast they go. ``seconds`` count from the beginning; ``images_per_second`` are those
        since the point before.
        """
        points, before = [], {"seconds": 0.0, "images": 0.0}
        whole = self._last[-1]["seconds"] if self._last else 0.0
        most = min(_POINTS_AN_EPOCH, max(int(whole / _SECONDS_A_POINT), 1))
        for point in thinned(self._last, most):
            passed = max(point["seconds"] - before["seconds"], 1e-9)
            rate = (point["images"] - before["images"]) / passed
            rest = {name: value for name, value in point.items() if name != "images"}
            points.append({**rest, "images_per_second": round(rate, 2)})
            before = point
        return points

    def _reset(self) -> None:
        self._began = time.perf_counter()
        self._waited = 0.0
        self._steps = self._images = 0

    def _sample(self) -> None:
        while not self._stop.wait(self._interval):
            sample = {
                "seconds": time.perf_counter() - self._began,
                "images": float(self._images),
                **self._processes.read(),
            }
            if self._gpu is not None:
                sample |= self._gpu.read()
            self._samples.append(sample)


def thinned(points: Sequence[Point], most: int = _POINTS_A_RUN) -> list[Point]:
    """At most ``most`` points: each the mean of as many neighbours, at the last one's time."""
    at_once = -(-len(points) // most) if points else 1
    return [_mean(points[start : start + at_once]) for start in range(0, len(points), at_once)]


def _mean(points: Sequence[Point]) -> Point:
    mean = {}
    for name in points[-1]:
        values = [point[name] for point in points if name in point]
        mean[name] = round(sum(values) / len(values), 4)
    return mean | {name: points[-1][name] for name in ("seconds", "images") if name in points[-1]}


class _Processes:
    """Processor time of this process and of those that it started (they make pairs)."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._used: dict[int, float] = {}
        self._at = time.perf_counter()

    def read(self) -> Point:
        """Share of all cores in use since the last call; this process's memory now."""
        used = {}
        for process in [self._own, *self._own.children()]:
            try:
                times = process.cpu_times()
            except psutil.Error:  # it has just ended
                continue
            used[process.pid] = times.user + times.system
        busy = sum(max(now - self._used.get(pid, now), 0.0) for pid, now in used.items())
        passed, self._at = time.perf_counter() - self._at, time.perf_counter()
        self._used = used
        return {
            "cpu_utilisation": busy / max(passed, 1e-9) / (psutil.cpu_count() or 1),
            "ram_gib": self._own.memory_info().rss / 2**30,
        }


class _Gpu:
    """One NVIDIA GPU through NVML; silent where the library does not answer."""

    def __init__(self, device: torch.device) -> None:
        import pynvml

        self._nvml = pynvml
        # By its name: torch's numbers are those of CUDA_VISIBLE_DEVICES, NVML's of the machine.
        name = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(name)
        except pynvml.NVMLError:
            self._handle = None

    def read(self) -> Point:
        if self._handle is None:
            return {}
        try:
            return {
                "gpu_utilisation": self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu / 100,
                "gpu_memory_gib": self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used / 2**30,
            }
        except self._nvml.NVMLError:
            return {}
