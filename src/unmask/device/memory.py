"""Running out of memory, and giving back what was cached."""

from __future__ import annotations

import gc

import torch

_WORDS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""Of a CPU's allocator, of CUDA beyond torch's own, of cuBLAS and cuDNN."""


def is_out_of_memory(error: BaseException) -> bool:
    """True for the shapes that running out of memory takes in torch."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)
    )


def release_memory(device: torch.device) -> None:
    """Give cached blocks back, and count peaks anew.

    What a failed attempt held is free only when its error is gone: to be called after the
    ``except`` block.
    """
    gc.collect()
    if device.type == "cuda" and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
