"""Batches of clips for training and scoring, in an order that a seed and an epoch decide.

Nothing here keeps state between epochs: the order of epoch ``e`` follows from ``(seed, e)`` alone,
so a run that was killed takes up the very batch it lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from unmask.clips import ClipRef, ClipStore
from unmask.data.cache import ClipCache
from unmask.data.stages import StageClock
from unmask.models import PatchTargets
from unmask.types import VideoRecord


@dataclass(frozen=True)
class ClipItem:
    """One clip of one labelled video."""

    record: VideoRecord
    ref: ClipRef


@dataclass(frozen=True)
class Batch:
    """What a step sees. ``T`` frames, ``B`` clips."""

    clips: torch.Tensor
    """``(B, T, 3, H, W)`` uint8 on the training device."""
    mask: torch.Tensor
    """``(B, T)`` bool: True where there is a crop."""
    labels: torch.Tensor
    """``(B,)`` float32, 1 = manipulated."""
    positions: tuple[int, ...]
    """Where the clips stand in the split; `TrainingData.names` names them."""
    patches: PatchTargets | None = None
    """What a patch map learns from, where masks are known."""
    pairs: torch.Tensor | None = None
    """``(B,)``: clips of one number are augmented alike; None: each for itself."""
    degraded: bool = False
    """Whether the clips come augmented: they and what is told of their places stay as they are."""

    def __len__(self) -> int:
        return len(self.positions)

    def part(self, start: int, stop: int) -> Batch:
        """The clips from ``start`` to ``stop``, for gradient accumulation."""
        return Batch(
            self.clips[start:stop],
            self.mask[start:stop],
            self.labels[start:stop],
            self.positions[start:stop],
            None if self.patches is None else self.patches.part(start, stop),
            None if self.pairs is None else self.pairs[start:stop],
            self.degraded,
        )


class TrainingData(Protocol):
    """What the training loop asks of its data; the order follows from a seed and the epoch."""

    @property
    def clock(self) -> StageClock:
        """Told of transfers to the device, and by the loop of everything else in a step."""

    def __len__(self) -> int:
        """Clips of an epoch."""

    def batches(
        self, epoch: int, batch_size: int, *, first: int = 0, rank: int = 0, world: int = 1
    ) -> Iterator[Batch]:
        """Batches of an epoch from number ``first`` on; ``batch_size`` counts all ranks' clips."""

    def probe(self, size: int) -> Batch:
        """Any batch of ``size`` clips, for finding out what fits."""

    def names(self, batch: Batch) -> tuple[str, ...]:
        """What a batch's clips are called, for messages."""

    def describe(self) -> str:
        """How much there is and where it lies, for people."""


def clip_items(store: ClipStore, split: str, *, main_track_only: bool) -> list[ClipItem]:
    """The clips of a split. Training takes each video's most prominent track only: which of
    several people was manipulated, the label does not say."""
    return [
        ClipItem(entry.record, ref)
        for entry in store.entries
        if entry.status == "ok" and entry.record.split == split
        for ref in entry.clips
        if not main_track_only or ref.track_id == 0
    ]


def by_video(items: Sequence[ClipItem]) -> list[list[int]]:
    """Positions of each video's clips, keyed by its path, never by its folder or bare name."""
    positions: dict[str, list[int]] = {}
    for position, item in enumerate(items):
        positions.setdefault(item.record.path, []).append(position)
    return list(positions.values())


class ClipLoader:
    """Batches over the clips of one split."""

    def __init__(
        self,
        items: Sequence[ClipItem],
        cache: ClipCache,
        device: torch.device,
        *,
        seed: int = 0,
        pair_sources: bool = False,
    ) -> None:
        self.items = items
        self.cache = cache
        self._device = device
        self._seed = seed
        self._units = _pairs(items) if pair_sources else [(i,) for i in range(len(items))]
        self._couples = {unit for unit in self._units if len(unit) == 2}
        self._labels = torch.tensor([float(item.record.label) for item in items])
        self._masks = torch.from_numpy(np.array([item.ref.mask for item in items], dtype=bool))

    def __len__(self) -> int:
        return sum(len(unit) for unit in self._units)

    @property
    def clock(self) -> StageClock:
        """See `TrainingData.clock`."""
        return self.cache.clock

    def order(self, epoch: int | None) -> list[int]:
        """Positions in the order of ``epoch``; ``None``: as they stand, nothing shuffled."""
        if epoch is None:
            return list(range(len(self.items)))
        return [position for unit in self._shuffled(epoch) for position in unit]

    def _shuffled(self, epoch: int) -> list[tuple[int, ...]]:
        shuffled = np.random.default_rng((self._seed, epoch)).permutation(len(self._units))
        return [self._units[unit] for unit in shuffled]

    def names(self, batch: Batch) -> tuple[str, ...]:
        """See `TrainingData.names`."""
        return tuple(self.items[position].record.path for position in batch.positions)

    def probe(self, size: int) -> Batch:
        """See `TrainingData.probe`."""
        return self.batch([position % len(self.items) for position in range(size)])

    def describe(self) -> str:
        """See `TrainingData.describe`."""
        places = {"device": "memory" if self._device.type == "cpu" else "device memory"}
        places |= {"ram": "pinned RAM", "shards": "shards on disk"}
        return f"{len(self.items)} clips in {places[self.cache.tier]}"

    def batch(self, positions: Sequence[int]) -> Batch:
        """The batch of these clips, on the device; of pairs, side by side ones are one pair."""
        index = torch.as_tensor(list(positions), dtype=torch.long)
        clips = self.cache.gather(positions).permute(0, 1, 4, 2, 3)
        return Batch(
            clips,
            self._masks[index].to(self._device, non_blocking=True),
            self._labels[index].to(self._device, non_blocking=True),
            tuple(positions),
            pairs=self._pair_numbers(positions) if self._couples else None,
        )

    def _pair_numbers(self, positions: Sequence[int]) -> torch.Tensor:
        """A fake has the number of the authentic clip before it where it was made from that."""
        numbers: list[int] = []
        for at, position in enumerate(positions):
            with_last = at > 0 and (positions[at - 1], position) in self._couples
            numbers.append(numbers[-1] if with_last else at)
        return torch.tensor(numbers)

    def batches(
        self,
        epoch: int | None,
        batch_size: int,
        *,
        first: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[Batch]:
        """Batches from number ``first`` on. ``batch_size`` counts clips over all ``world`` ranks;
        each rank gets its even share. The next batch is read while this one is used."""
        if epoch is not None and self._couples:
            order = _in_whole_pairs(self._shuffled(epoch), max(1, batch_size // world))
        else:
            order = self.order(epoch)
        shares = [
            _share(order[start : start + batch_size], rank, world)
            for start in range(first * batch_size, len(order), batch_size)
        ]
        if self.cache.tier == "device":
            yield from map(self.batch, shares)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="unmask-loader") as pool:
            pending = [pool.submit(self.batch, share) for share in shares[:2]]
            for upcoming in range(2, len(shares) + 2):
                batch = pending.pop(0).result()
                if upcoming < len(shares):
                    pending.append(pool.submit(self.batch, shares[upcoming]))
                yield batch


def _share(positions: list[int], rank: int, world: int) -> list[int]:
    """Every rank's share has the same length: the short last batch wraps around."""
    if world == 1:
        return positions
    short = -len(positions) % world
    padded = positions + [positions[i % len(positions)] for i in range(short)]
    each = len(padded) // world
    return padded[rank * each : (rank + 1) * each]


def _pairs(items: Sequence[ClipItem]) -> list[tuple[int, ...]]:
    """Units that belong together: each clip of a fake with the like one of its authentic video
    (the first with the first, and round again where that has fewer), and all others alone."""
    videos = by_video(items)
    authentic = {
        items[clips[0]].record.path: clips for clips in videos if not items[clips[0]].record.label
    }
    units: list[tuple[int, ...]] = []
    paired: set[int] = set()
    for clips in videos:
        record = items[clips[0]].record
        sources = authentic.get(record.source, []) if record.label else []
        for number, position in enumerate(clips):
            if sources:
                source = sources[number % len(sources)]
                units.append((source, position))
                paired |= {source, position}
            elif record.label:
                units.append((position,))
                paired.add(position)
    return units + [(position,) for position in range(len(items)) if position not in paired]


def _in_whole_pairs(units: Sequence[tuple[int, ...]], size: int) -> list[int]:
    """Positions about in the order of their units, so that cutting them by ``size`` (a rank's clips
    of a batch) tears no pair apart: of an even size single clips go by twos; of an odd one a pair
    that does not fit waits until a single clip has filled the batch, as long as there are such."""
    return _by_twos(units) if size % 2 == 0 else _with_gaps_filled(units, size)


def _by_twos(units: Sequence[tuple[int, ...]]) -> list[int]:
    order: list[int] = []
    single: list[int] = []
    for unit in units:
        if len(unit) == 2:
            order += unit
        elif single:
            order += [single.pop(), *unit]
        else:
            single = [*unit]
    return order + single


def _with_gaps_filled(units: Sequence[tuple[int, ...]], size: int) -> list[int]:
    order: list[int] = []
    waiting: deque[tuple[int, ...]] = deque()
    for unit in units:
        if waiting and size - len(order) % size >= len(waiting[0]):
            order += waiting.popleft()
        if size - len(order) % size >= len(unit):
            order += unit
        else:
            waiting.append(unit)
    return order + [position for unit in waiting for position in unit]
