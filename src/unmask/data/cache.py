"""Where the uint8 clips of a split live while a model trains: on the device, in RAM, or in shards.

The fastest tier that fits is taken (and told): with the whole set on the device an epoch moves
nothing but indices; from RAM, and from shards in the system's page cache, a batch is copied while
the step before it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import psutil
import torch

from unmask.clips import ClipRef, ClipStore
from unmask.data.stages import StageClock

DEVICE_SHARE, RAM_SHARE = 0.5, 0.6  # of the free memory; the rest is the model's


class ClipCache(Protocol):
    """Gives clips by position."""

    tier: str
    """``device``, ``ram`` or ``shards``."""
    clock: StageClock
    """Told of transfers to the device."""

    def gather(self, positions: Sequence[int]) -> torch.Tensor:
        """Clips at ``positions`` as ``(B, T, H, W, 3)`` uint8 on the training device."""


class DeviceCache:
    """The whole split as one tensor on the training device."""

    tier = "device"

    def __init__(self, store: ClipStore, refs: Sequence[ClipRef], device: torch.device) -> None:
        self.clock = StageClock(device)
        self._clips = torch.empty((len(refs), *_clip_shape(refs)), dtype=torch.uint8, device=device)
        for position, ref in enumerate(refs):
            self._clips[position] = torch.from_numpy(np.array(store.frames(ref)))

    def gather(self, positions: Sequence[int]) -> torch.Tensor:
        """See `ClipCache.gather`."""
        index = torch.as_tensor(positions, dtype=torch.long)
        return self._clips[index.to(self._clips.device)]


class RamCache:
    """The whole split in host memory; batches are pinned and copied without blocking."""

    tier = "ram"

    def __init__(self, store: ClipStore, refs: Sequence[ClipRef], device: torch.device) -> None:
        self.clock = StageClock(device)
        self._device = device
        self._host = DeviceCache(store, refs, torch.device("cpu"))

    def gather(self, positions: Sequence[int]) -> torch.Tensor:
        """See `ClipCache.gather`."""
        return _to_device(self._host.gather(positions), self._device, self.clock)


class ShardCache:
    """No copy of its own: reads the store's memory-mapped shards."""

    tier = "shards"

    def __init__(self, store: ClipStore, refs: Sequence[ClipRef], device: torch.device) -> None:
        self._store, self._refs, self._device = store, refs, device
        self.clock = StageClock(device)

    def gather(self, positions: Sequence[int]) -> torch.Tensor:
        """See `ClipCache.gather`."""
        frames = np.stack([self._store.frames(self._refs[position]) for position in positions])
        return _to_device(torch.from_numpy(frames), self._device, self.clock)


def build_cache(
    store: ClipStore, refs: Sequence[ClipRef], device: torch.device, wanted: str = "auto"
) -> ClipCache:
    """The wanted tier, or for ``auto`` the fastest that fits in the memory that is free now."""
    tier = wanted if wanted != "auto" else choose_tier(_total_bytes(refs), *free_bytes(device))
    kinds: dict[str, Callable[..., ClipCache]] = {
        "device": DeviceCache,
        "ram": RamCache,
        "shards": ShardCache,
    }
    return kinds[tier](store, refs, device)


def choose_tier(needed: int, device_free: int, ram_free: int) -> str:
    """``device``, ``ram`` or ``shards`` for a set of ``needed`` bytes."""
    if needed <= device_free * DEVICE_SHARE:
        return "device"
    return "ram" if needed <= ram_free * RAM_SHARE else "shards"


def free_bytes(device: torch.device) -> tuple[int, int]:
    """Free bytes on the device and in RAM; on a CPU both are the RAM's."""
    ram = int(psutil.virtual_memory().available)
    return (torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else ram), ram


def _clip_shape(refs: Sequence[ClipRef]) -> tuple[int, ...]:
    shapes = {tuple(ref.shape) for ref in refs}
    if len(shapes) != 1:
        raise ValueError(f"clips of one split must share a shape, got {sorted(shapes)}")
    return shapes.pop()


def _total_bytes(refs: Sequence[ClipRef]) -> int:
    return sum(ref.size_bytes for ref in refs)


def _to_device(clips: torch.Tensor, device: torch.device, clock: StageClock) -> torch.Tensor:
    if device.type != "cuda":
        return clips
    pinned, copying = clips.pin_memory(), _copying_stream(device)
    with torch.cuda.stream(copying), clock.stage("transfer"):
        moved = pinned.to(device, non_blocking=True)
    computing = torch.cuda.current_stream(device)
    computing.wait_stream(copying)
    moved.record_stream(computing)  # its memory is not given out again while that stream reads it
    return moved


@lru_cache
def _copying_stream(device: torch.device) -> torch.cuda.Stream:
    """Beside the one that computes, so that both go on at once."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
