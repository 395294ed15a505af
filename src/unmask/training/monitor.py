"""What the machine does while a model trains: throughput, waiting, utilisation, memory.

`Monitor` samples in a thread of its own, so it costs the loop two clock readings a step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

import psutil
import torch

T = TypeVar("T")


class Monitor:
    """Counts steps and images, times the wait for data, samples the machine.

    Use as a context manager around a run; call `epoch_summary` at each epoch's end.
    """

    def __init__(self, device: torch.device, interval_seconds: float = 0.5) -> None:
        self._interval = interval_seconds
        self._gpu = _Gpu(device.index or 0) if device.type == "cuda" else None
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="unmask-monitor", daemon=True)
        self._samples: list[dict[str, float]] = []
        self._reset()

    def __enter__(self) -> Monitor:
        self._process.cpu_percent()
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

    @property
    def images_per_second(self) -> float:
        """Crops a second since the epoch began."""
        return self._images / max(time.perf_counter() - self._began, 1e-9)

    def epoch_summary(self) -> dict[str, Any]:
        """Figures since the last call; shares are 0-1, memory is in GiB, None where unknown."""
        elapsed = max(time.perf_counter() - self._began, 1e-9)
        samples, self._samples = self._samples, []
        summary: dict[str, Any] = {
            "images_per_second": round(self._images / elapsed, 2),
            "data_wait_share": round(self._waited / elapsed, 4),
            "step_ms": round(1000 * elapsed / max(self._steps, 1), 2),
        }
        for key in ("gpu_utilisation", "gpu_memory_gib", "cpu_utilisation", "ram_gib"):
            values = [sample[key] for sample in samples if key in sample]
            summary[key] = round(sum(values) / len(values), 4) if values else None
        self._reset()
        return summary

    def _reset(self) -> None:
        self._began = time.perf_counter()
        self._waited = 0.0
        self._steps = self._images = 0

    def _sample(self) -> None:
        cores = psutil.cpu_count() or 1
        while not self._stop.wait(self._interval):
            sample = {
                "cpu_utilisation": self._process.cpu_percent() / 100 / cores,
                "ram_gib": self._process.memory_info().rss / 2**30,
            }
            if self._gpu is not None:
                sample |= self._gpu.read()
            self._samples.append(sample)


class _Gpu:
    """One NVIDIA GPU through NVML; silent where the library does not answer."""

    def __init__(self, index: int) -> None:
        import pynvml

        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        except pynvml.NVMLError:
            self._handle = None

    def read(self) -> dict[str, float]:
        if self._handle is None:
            return {}
        try:
            return {
                "gpu_utilisation": self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu / 100,
                "gpu_memory_gib": self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used / 2**30,
            }
        except self._nvml.NVMLError:
            return {}
