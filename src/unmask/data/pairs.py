"""Training data that is made while training runs: pairs out of a bank of faces.

A step's pairs follow from the seed, the epoch and the step alone, whoever makes them, so a run
that was killed goes on with the very pairs that it lost.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from unmask.augment.blend import KINDS
from unmask.augment.opencv import cv2
from unmask.clips import ClipRef
from unmask.config import PairsConfig, TrainConfig
from unmask.data import pseudo
from unmask.data.facebank import FaceBank
from unmask.data.loader import Batch, ClipItem, ClipLoader
from unmask.data.pseudo import DATASET, KIND_NAMES, PairConfig, PairSource
from unmask.data.stages import StageClock
from unmask.errors import ConfigError
from unmask.machine import end_with_parent
from unmask.models import PatchTargets
from unmask.types import FAKE, REAL, VideoRecord

_EPOCH_STEPS = 1_000_000  # apart in the numbering of steps, so that no two epochs share pairs


class PairLoader:
    """Batches of fresh pairs; authentic clips at even places, their fakes behind them."""

    def __init__(
        self,
        source: PairSource,
        device: torch.device,
        *,
        workers: int,
        authentic: Mapping[str, int],
        first: PairSource | None = None,
        first_epochs: int = 0,
    ) -> None:
        """Batches from ``source`` on ``device``.

        Args:
            source: makes the pairs.
            device: where batches go.
            workers: processes that make them; 0 = this one.
            authentic: faces to train on by the collection that they are from; each of those whose
                collection is drawn from stands for one pair of an epoch.
            first: makes the pairs of the first epochs instead.
            first_epochs: how many these are.
        """
        self.clock = StageClock(device)
        self._source, self._device, self._workers = source, device, workers
        self._first, self._first_epochs = first or source, first_epochs
        drawn = source.config.sources
        self._idle = sorted(name for name in authentic if not drawn.get(name))
        self._authentic = sum(n for name, n in authentic.items() if name not in self._idle)

    def __len__(self) -> int:
        return 2 * self._authentic

    def batches(
        self, epoch: int, batch_size: int, *, first: int = 0, rank: int = 0, world: int = 1
    ) -> Iterator[Batch]:
        """See `unmask.data.loader.TrainingData.batches`; goes on as long as it is asked."""
        pairs = max(1, batch_size // (2 * world))
        source = self._first if epoch < self._first_epochs else self._source
        steps = _Steps(source, pairs, epoch, rank)
        loader = DataLoader(
            steps,
            batch_size=None,
            sampler=itertools.count(first),
            num_workers=self._workers,
            prefetch_factor=4 if self._workers else None,
            worker_init_fn=_begin_worker,
            multiprocessing_context="fork" if self._workers else None,  # the bank is shared
        )
        for made in loader:
            yield self._on_device(made)

    def probe(self, size: int) -> Batch:
        """See `unmask.data.loader.TrainingData.probe`."""
        return self._on_device(self._source.batch(0, max(1, size // 2)))

    def names(self, batch: Batch) -> tuple[str, ...]:
        """See `unmask.data.loader.TrainingData.names`."""
        names = self._source.bank.name
        return tuple(str(names[row]) for row in batch.positions[::2])

    def describe(self) -> str:
        """See `unmask.data.loader.TrainingData.describe`."""
        idle = f"; {', '.join(self._idle)} without a weight in pairs.sources" if self._idle else ""
        unpaired = sorted(set(self._source.config.kinds) - set(self._source.kinds))
        left_out = f"; no pairs of kind {', '.join(unpaired)}" if unpaired else ""
        return f"pairs of {self._authentic} authentic faces{idle}{left_out}"

    def _on_device(self, made: pseudo.Batch) -> Batch:
        clips = torch.from_numpy(made.images).permute(0, 1, 4, 2, 3)
        here = (
            clips,
            torch.ones(clips.shape[:2], dtype=torch.bool),
            torch.from_numpy(made.labels).float(),
            torch.from_numpy(made.mask),
            torch.from_numpy(made.known),
        )
        with self.clock.stage("transfer"):
            moved = [tensor.to(self._device, non_blocking=True) for tensor in here]
        patches = PatchTargets(moved[3], moved[4])
        rows = tuple(made.row.tolist())
        return Batch(moved[0], moved[1], moved[2], rows, patches, degraded=True)


def pair_loaders(
    bank: FaceBank, config: TrainConfig, device: torch.device, kept: Path, cells: int = 1
) -> tuple[PairLoader, ClipLoader]:
    """What a run on a bank trains on, and what it validates on.

    The validation set holds ``pairs.val_pairs`` pairs of every kind that the bank can give,
    whether it is taught or not; it is made once and kept in ``kept``. Masks are told on a grid of
    ``cells`` x ``cells`` patches.

    Raises:
        ConfigError: weights that draw nothing, or a kind that there is not.
        DatasetError: the bank lacks faces of a split.
    """
    settings = config.pairs
    _check(settings)
    train = PairConfig(
        size_px=config.clip.size_px,
        frames=config.clip.frames,
        kinds=settings.kinds,
        sources=settings.sources,
        together=settings.together,
        margin=settings.margin,
        roll_deg=settings.roll_deg,
        reshape=settings.reshape,
        harsh=settings.harsh,
        patch_px=config.clip.size_px // cells,
        seed=config.loop.seed,
    )
    every = {kind: 1.0 for kind in KINDS if kind != "none"}
    if ((bank.label == FAKE) & (bank.split == "val")).any():
        every[DATASET] = 1.0
    val = PairConfig(
        size_px=train.size_px,
        frames=train.frames,
        split="val",
        kinds=every,
        sources=settings.val_sources or settings.sources,
        patch_px=config.clip.size_px // cells,
        seed=1,
    )
    authentic = Counter(bank.source[(bank.label == REAL) & (bank.split == "train")].tolist())
    first = replace(train, kinds=settings.first_kinds) if settings.first_kinds else None
    loader = PairLoader(
        PairSource(bank, train),
        device,
        workers=config.data.workers,
        authentic=authentic,
        first=PairSource(bank, first) if first else None,
        first_epochs=settings.first_epochs,
    )
    fixed = pseudo.validation_set(bank, val, settings.val_pairs, kept)
    return loader, _validation_loader(fixed, bank, device)


def _check(settings: PairsConfig) -> None:
    kinds = {"kinds": settings.kinds, "first_kinds": settings.first_kinds}
    for name, weights in kinds.items():
        if unknown := sorted(set(weights) - set(KIND_NAMES)):
            raise ConfigError(
                f"'pairs.{name}': there is no kind '{unknown[0]}'.",
                hint=f"Known: {', '.join(KIND_NAMES)}.",
            )
    drawn = {"kinds": settings.kinds, "sources": settings.sources}
    if settings.first_epochs:
        drawn["first_kinds"] = settings.first_kinds
    elif settings.first_kinds:
        raise ConfigError(
            "'pairs.first_kinds' needs to know for how long.",
            hint="Set pairs.first_epochs to 1 or more.",
        )
    for name, weights in drawn.items():
        if min(weights.values(), default=0) < 0 or max(weights.values(), default=0) <= 0:
            raise ConfigError(
                f"'pairs.{name}': the weights must be 0 or more, and one of them above 0.",
                hint=f"Give pairs.{name} a weight above 0 for what is to be drawn.",
            )


class _Steps(Dataset[pseudo.Batch]):
    """A rank's share of the pairs of a step, by the step's number in the epoch.

    Together the ranks hold the very pairs that one process would make.
    """

    def __init__(self, source: PairSource, pairs: int, epoch: int, rank: int) -> None:
        self._source, self._pairs = source, pairs
        self._epoch, self._rank = epoch, rank

    def __getitem__(self, step: int) -> pseudo.Batch:
        number = self._epoch * _EPOCH_STEPS + step
        return self._source.batch(number, self._pairs, self._rank * self._pairs)


class _FixedClips:
    """A few clips in memory, as `unmask.data.cache.ClipCache` gives them."""

    tier = "device"

    def __init__(self, images: np.ndarray, device: torch.device) -> None:
        self.clock = StageClock(device)
        self._images, self._device = torch.from_numpy(images), device

    def gather(self, positions: Sequence[int]) -> torch.Tensor:
        """See `unmask.data.cache.ClipCache.gather`."""
        return self._images[list(positions)].to(self._device)


def _validation_loader(fixed: pseudo.Batch, bank: FaceBank, device: torch.device) -> ClipLoader:
    """The validation pairs as clips of videos whose method is the kind of pair."""
    items = []
    frames, side = fixed.images.shape[1:3]
    for i, (label, kind, row) in enumerate(zip(fixed.labels, fixed.kind, fixed.row, strict=True)):
        record = VideoRecord(
            path=f"{KIND_NAMES[kind]}/{i:05d}",
            label=int(label),
            split="val",
            group=str(bank.group[row]),
            method=KIND_NAMES[kind] if label == FAKE else "",
            dataset=str(bank.source[row]),
        )
        items.append(ClipItem(record, _ref(frames, side)))
    return ClipLoader(items, _FixedClips(fixed.images, device), device)


def _ref(frames: int, side_px: int) -> ClipRef:
    nowhere = np.full((frames, 1), np.nan, np.float32)
    return ClipRef(
        shard=0,
        offset=0,
        shape=(frames, side_px, side_px, 3),
        track_id=0,
        mask=(True,) * frames,
        pts_seconds=nowhere[:, 0],
        boxes_xyxy_px=np.repeat(nowhere, 4, 1),
        keypoints_px=np.repeat(nowhere[..., None], 5, 1).repeat(2, 2),
        median_face_px=float(side_px),
        hashes=(),
    )


def _begin_worker(worker: int) -> None:
    end_with_parent()  # torch's own watch ends a worker, which then waits for its full pipe
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
