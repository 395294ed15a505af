"""The largest batch that fits, found by trying; and the way down when memory runs out later.

The *effective* batch (clips an optimiser step) is decided once. If memory runs out during
training, the *micro* batch halves and gradients accumulate, so the optimisation stays the same.
"""

from __future__ import annotations

from collections.abc import Callable

import psutil
import torch

from unmask.device.memory import is_out_of_memory, release_memory

HEADROOM = 0.75  # of the memory: validation and fragmentation want the rest
LEAST_GAIN = 1.05  # doubling must bring this much throughput, else the smaller batch is kept


def find_batch_size(
    attempt: Callable[[int], float], device: torch.device, most: int, least: int = 1
) -> int:
    """Double the batch until memory, ``most``, or on a CPU the lack of any gain says stop.

    Args:
        attempt: runs one full training step with this many clips; returns its seconds. It may run
            out of memory (`torch.OutOfMemoryError`, or MemoryError on a CPU).
        device: where the step runs.
        most: the search stops here.
        least: the smallest batch of interest.

    Returns:
        Clips a step, a power of two times ``least``, at most ``most``.

    Raises:
        torch.OutOfMemoryError: not even ``least`` fits.
    """
    best, best_rate = least, 0.0
    size = least
    while size <= most:
        before = _used_bytes(device)
        try:
            seconds = attempt(size)
        except (RuntimeError, MemoryError) as error:  # a CPU's shortage is a plain RuntimeError
            if size == least or not is_out_of_memory(error):
                raise
            break
        rate = size / max(seconds, 1e-9)
        if size > least and device.type == "cpu" and rate < best_rate * LEAST_GAIN:
            break
        best, best_rate = size, max(rate, best_rate)
        if 2 * max(_peak_bytes(device, before), 1) > HEADROOM * _total_bytes(device, before):
            break
        size *= 2
    release_memory(device)
    return best


def _used_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return 0
    return int(psutil.Process().memory_info().rss)


def _peak_bytes(device: torch.device, before: int) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return max(int(psutil.Process().memory_info().rss) - before, 0)


def _total_bytes(device: torch.device, before: int) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().available)
