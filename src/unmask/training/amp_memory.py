"""What mixed precision saves: the peak memory of one step with it and without."""

from __future__ import annotations

from collections.abc import Callable

import torch

from unmask.device.memory import is_out_of_memory, release_memory


def compare_memory(step: Callable[[bool], None], device: torch.device) -> dict[str, float | None]:
    """Peak GPU memory in GiB of a step, ``mixed`` and ``fp32``; None where it did not fit.

    Args:
        step: forward and backward; told whether in mixed precision. It leaves no gradients.
        device: the GPU.
    """
    peaks: dict[str, float | None] = {}
    for name, mixed in (("mixed", True), ("fp32", False)):
        try:
            step(mixed)  # the first one looks for algorithms, which takes memory of its own
            release_memory(device)
            step(mixed)
            peaks[name] = round(peak_gib(device), 3)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            peaks[name] = None
        release_memory(device)
    return peaks


def peak_gib(device: torch.device) -> float:
    """Of the memory that tensors held since `release_memory`."""
    return float(torch.cuda.max_memory_allocated(device)) / 2**30
