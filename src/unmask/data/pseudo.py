"""Pairs of an authentic face and a fake of it, made on the fly for training and validation.

`PairSource.pair` is a pure function of the random state it is given, and `PairSource.batch` of
(seed, step): a run that was killed goes on with exactly the batches it would have seen, in any
number of worker processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask.augment.blend import ALIGN_POINTS, KINDS, STILL, FaceCrop, Forgery, forge, pick
from unmask.augment.degrade import Degradation, DegradeConfig
from unmask.augment.opencv import cv2
from unmask.config import PairsConfig
from unmask.data.facebank import FaceBank
from unmask.data.framing import Framing, moments
from unmask.errors import DatasetError
from unmask.files import atomic_path
from unmask.types import FAKE, REAL, BoolArray, FloatArray, UInt8Array

DATASET = "dataset"
"""The kind of a pair whose fake comes from the bank itself, not from the generator."""
KIND_NAMES: tuple[str, ...] = (*KINDS, DATASET)
"""Kinds by their number in `Batch.kind`."""

_DONOR_TRIES = 48


@dataclass(frozen=True)
class PairConfig:
    """What the pairs are made of; see `unmask.config.PairsConfig`."""

    size_px: int = 196
    frames: int = 1
    """Frames a clip; 1 = stills."""
    split: str = "train"
    kinds: dict[str, float] = field(default_factory=lambda: PairsConfig().kinds)
    sources: dict[str, float] = field(default_factory=lambda: PairsConfig().sources)
    together: bool = PairsConfig.together
    margin: tuple[float, float] = PairsConfig.margin
    roll_deg: float = PairsConfig.roll_deg
    reshape: float = PairsConfig.reshape
    harsh: float = PairsConfig.harsh
    flip: float = 0.5
    degrade: DegradeConfig = field(default_factory=DegradeConfig)
    patch_px: int = 14
    """Side of a patch of the mask targets."""
    seed: int = 0


@dataclass(frozen=True)
class Pair:
    """One authentic clip and its fake."""

    images: UInt8Array
    """RGB ``(2, T, S, S, 3)``: authentic, fake."""
    kind: int
    """Index into `KIND_NAMES`."""
    row: int
    """Of the authentic face, in the bank."""
    mask: FloatArray | None
    """``(T, S, S)`` 0-1, or None where it is unknown (kind ``dataset``)."""


@dataclass(frozen=True)
class Batch:
    """P pairs: authentic clips at even places, their fakes behind them."""

    images: UInt8Array
    """RGB ``(2P, T, S, S, 3)`` uint8."""
    labels: NDArray[np.int64]
    """``(2P,)``: 0, 1, 0, 1 ..."""
    kind: NDArray[np.int64]
    """``(2P,)``: index into `KIND_NAMES`, of the pair."""
    row: NDArray[np.int64]
    """``(2P,)``: the authentic face's row in the bank."""
    mask: FloatArray
    """``(2P, 2, T, g, g)`` float32: share of forged pixels in each patch, and its boundary
    4 m (1 - m); zero for authentic clips."""
    known: BoolArray
    """``(2P,)``: whether ``mask`` may be learned from."""


class PairSource:
    """Makes pairs from a bank.

    Args:
        bank: faces with landmarks.
        config: what to make.

    Raises:
        DatasetError: nothing in the bank for this split and these sources or kinds.
    """

    def __init__(self, bank: FaceBank, config: PairConfig) -> None:
        self.bank, self.config = bank, config
        here = bank.split == config.split
        real = here & (bank.label == REAL)
        drawn = [name for name, weight in config.sources.items() if weight > 0]
        self._rows = {name: np.flatnonzero(real & (bank.source == name)) for name in drawn}
        self._rows = {name: rows for name, rows in self._rows.items() if len(rows)}
        self._all = np.concatenate(list(self._rows.values())) if self._rows else np.empty(0, int)
        fakes = np.flatnonzero(here & (bank.label == FAKE) & (bank.partner >= 0))
        self._fakes = fakes[np.isin(bank.partner[fakes], self._all)]
        if not self._rows:
            raise DatasetError(
                f"No authentic face for split '{config.split}'.", code="dataset_empty"
            )
        self.kinds = {name: weight for name, weight in config.kinds.items() if weight > 0}
        if DATASET in self.kinds and not len(self._fakes):
            if not len(fakes) or len(self.kinds) == 1:
                raise DatasetError(
                    "The bank holds no fakes of this split and these collections.",
                    code="dataset_empty",
                    hint="Leave the kind 'dataset' out.",
                )
            del self.kinds[DATASET]  # all of its fakes are of collections that are left out
        # Fakes are drawn by their authentic partner, so that no one counts for having many.
        self._partners, starts = np.unique(bank.partner[self._fakes], return_inverse=True)
        self._fakes_of = [self._fakes[starts == i] for i in range(len(self._partners))]
        key = bank.landmarks_px[:, list(ALIGN_POINTS)]
        key = key - key.mean(1, keepdims=True)
        norm = np.sqrt((key**2).sum((1, 2), keepdims=True))
        self._shape = (key / np.maximum(norm, 1e-6)).astype(np.float32)
        _, self._group = np.unique(bank.group, return_inverse=True)
        self._members = {
            int(group): np.flatnonzero(real & (self._group == group))
            for group in np.unique(self._group[real & (bank.source == "clips")])
        }

    def batch(self, step: int, pairs: int, first: int = 0) -> Batch:
        """Pairs of one step from number ``first`` on: each follows from seed, step and number."""
        made = [self._of_step(step, number) for number in range(first, first + pairs)]
        if not self.config.together:
            others = [self._of_step(step, number, 1) for number in range(first, first + pairs)]
            made = [_of_two(*both) for both in zip(made, others, strict=True)]
        return collate(made, self.config.patch_px)

    def _of_step(self, step: int, *number: int) -> Pair:
        return self.pair(np.random.default_rng((self.config.seed, step, *number)))

    def pair(
        self, rng: np.random.Generator, row: int | None = None, kind: str | None = None
    ) -> Pair:
        """One pair.

        Args:
            rng: all randomness.
            row: the authentic face, or None to draw one.
            kind: one of `KIND_NAMES`, or None to draw one.
        """
        kind = kind or pick(rng, **self.kinds)
        config = self.config
        if kind == DATASET:
            clips = self._dataset_pair(rng, row)
            mask, row = None, clips[1]
            authentic, fake = clips[0]
        else:
            if row is None:
                rows = self._rows[pick(rng, **{n: config.sources[n] for n in self._rows})]
                row = int(rows[rng.integers(len(rows))])
            forged = self._forge(rng, row, kind)
            authentic, fake = [f.authentic for f in forged], [f.fake for f in forged]
            mask = np.stack([f.mask for f in forged])
        harsh = config.harsh > 0 and rng.random() < config.harsh
        degrade = DegradeConfig.harsh() if harsh else config.degrade
        images = np.array(Degradation(degrade, rng, config.size_px)([authentic, fake]))
        if rng.random() < config.flip:
            images = images[:, :, :, ::-1]
            mask = None if mask is None else mask[:, :, ::-1]
        return Pair(np.ascontiguousarray(images), KIND_NAMES.index(kind), row, mask)

    def _forge(self, rng: np.random.Generator, row: int, kind: str) -> list[Forgery]:
        faces = self._crops(rng, row)
        donor = self._donor(rng, row, kind)
        seed = int(rng.integers(2**63))
        if len(faces) == 1:
            return [forge(kind, np.random.default_rng(seed), faces[0], donor, STILL)]
        # The same draws for every frame, moved by the moments.
        return [
            forge(kind, np.random.default_rng(seed), face, donor, moment)
            for face, moment in zip(faces, moments(rng, len(faces)), strict=True)
        ]

    def _crops(self, rng: np.random.Generator, row: int) -> list[FaceCrop]:
        """T square crops: of further frames of the recording, or of the still, gently moving."""
        frames, bank = self.config.frames, self.bank
        rows = np.full(frames, row)
        members = self._members.get(int(self._group[row]))
        if frames > 1 and members is not None and len(members) >= frames:
            first = int(rng.integers(len(members) - frames + 1))
            rows = members[first : first + frames]
        framing = self._framing(rng)
        sway = np.cumsum(rng.normal(0, 0.006, (frames, 2)), 0) if frames > 1 else np.zeros((1, 2))
        return [
            framing.crop(bank.image(int(at)), bank.landmarks_px[at], move)
            for at, move in zip(rows, sway, strict=True)
        ]

    def _donor(self, rng: np.random.Generator, row: int, kind: str) -> FaceCrop | None:
        """Another face: for ``mouth`` another frame of the same recording where there is one; else
        the nearest in shape among some of other people of the same source."""
        if kind not in ("swap", "mouth"):
            return None
        members = self._members.get(int(self._group[row]))
        if kind == "mouth" and members is not None and len(members) > 1:
            tries = rng.choice(members[members != row], 4)
            tries = tries[self._distance(row, tries).argmax() :][:1]  # another expression or pose
        else:
            # Mostly like with like, so that the collection's look does not give the donor away.
            near = self._rows[str(self.bank.source[row])]
            rows = near if rng.random() < 0.7 and len(near) > 1 else self._all
            tries = rows[rng.integers(len(rows), size=_DONOR_TRIES)]
            tries = tries[self._group[tries] != self._group[row]]
            if not len(tries):
                tries = self._all[self._group[self._all] != self._group[row]]
            if not len(tries):
                raise DatasetError("A donor needs faces of two people.", code="dataset_empty")
        at = int(tries[self._distance(row, tries).argmin()])
        return FaceCrop(self.bank.image(at), self.bank.landmarks_px[at])

    def _distance(self, row: int, others: NDArray[np.int64]) -> FloatArray:
        apart: FloatArray = ((self._shape[others] - self._shape[row]) ** 2).sum((1, 2))
        return apart

    def _framing(self, rng: np.random.Generator) -> Framing:
        config = self.config
        return Framing.draw(rng, config.size_px, config.margin, config.roll_deg, config.reshape)

    def _dataset_pair(
        self, rng: np.random.Generator, row: int | None
    ) -> tuple[tuple[list[UInt8Array], list[UInt8Array]], int]:
        if row is None:
            at = int(rng.integers(len(self._partners)))
        else:
            at = int(np.searchsorted(self._partners, row))
            if at == len(self._partners) or self._partners[at] != row:
                raise ValueError(f"row {row} has no fake in the bank")
        real, fakes = int(self._partners[at]), self._fakes_of[at]
        fake = int(fakes[rng.integers(len(fakes))])
        framing = self._framing(rng)
        points = self.bank.landmarks_px[real]
        both = [framing.crop(self.bank.image(i), points, np.zeros(2)).image for i in (real, fake)]
        frames = self.config.frames
        return ([both[0]] * frames, [both[1]] * frames), real


def _of_two(one: Pair, other: Pair) -> Pair:
    """The authentic clip of one pair and the fake of another: nothing holds them together."""
    return Pair(np.stack([one.images[0], other.images[1]]), other.kind, one.row, other.mask)


def collate(pairs: list[Pair], patch_px: int) -> Batch:
    """Pairs as one batch with mask targets on the patch grid."""
    images = np.concatenate([pair.images for pair in pairs])
    frames, side = images.shape[1:3]
    cells = side // patch_px
    mask = np.zeros((len(images), 2, frames, cells, cells), np.float32)
    for i, pair in enumerate(pairs):
        for t in range(frames if pair.mask is not None else 0):
            mask[2 * i + 1, :, t] = _patches(pair.mask[t], cells)  # type: ignore[index]
    return Batch(
        images=images,
        labels=np.tile([REAL, FAKE], len(pairs)).astype(np.int64),
        kind=np.repeat([pair.kind for pair in pairs], 2).astype(np.int64),
        row=np.repeat([pair.row for pair in pairs], 2).astype(np.int64),
        mask=mask,
        known=np.repeat([pair.mask is not None for pair in pairs], 2),
    )


def validation_set(bank: FaceBank, config: PairConfig, per_kind: int, path: Path) -> Batch:
    """A fixed set of ``per_kind`` pairs of every kind in ``config.kinds``, kept in a file.

    The file is reused where it holds the same seed, size and kinds; else it is made anew.
    """
    mark = f"{config} x {per_kind} of {len(bank)}"
    if path.is_file():
        with np.load(path, allow_pickle=False) as columns:
            if str(columns["mark"]) == mark:
                return Batch(**{name: columns[name] for name in Batch.__dataclass_fields__})
    source = PairSource(bank, config)
    kinds = list(source.kinds)
    made = [
        source.pair(np.random.default_rng((config.seed, k, i)), kind=kind)
        for k, kind in enumerate(kinds)
        for i in range(per_kind)
    ]
    batch = collate(made, config.patch_px)
    columns_out: dict[str, Any] = {
        name: getattr(batch, name) for name in Batch.__dataclass_fields__
    }
    with atomic_path(path) as temporary:
        np.savez(temporary, mark=np.array(mark), **columns_out)
    return batch


def _patches(mask: FloatArray, cells: int) -> FloatArray:
    """``(2, g, g)``: forged share and boundary strength of every patch."""
    full = mask / max(float(mask.max()), 1e-3)
    size = (cells, cells)
    share = cv2.resize(full, size, interpolation=cv2.INTER_AREA)
    edge = cv2.resize(4 * full * (1 - full), size, interpolation=cv2.INTER_AREA)
    return np.stack([share, np.clip(1.5 * edge, 0, 1)])
