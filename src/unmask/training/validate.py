"""Scoring a split with a torch model, and the figures that steer a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from unmask import metrics
from unmask.data.loader import Batch, ClipItem, ClipLoader, by_video
from unmask.models import Detector, Output
from unmask.models.losses import Loss
from unmask.scoring import video_logit
from unmask.types import FAKE, REAL

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ClipScores:
    """Logits of a loader's clips, in the order of its items."""

    clip_logits: Floats
    """``(N,)``"""
    frame_logits: Floats
    """``(N, T)``; meaningless where the clip's mask is False."""
    features: NDArray[np.float16] | None = None
    """``(N, T, F)``, where they were asked for: what the frame logits were read from."""

    @classmethod
    def of(cls, output: Output, *, features: bool) -> ClipScores:
        """What a model said of one batch, on the host."""
        told = output.features if features else None
        return cls(
            output.clip_logit.float().cpu().numpy(),
            output.frame_logits.float().cpu().numpy(),
            None if told is None else told.half().cpu().numpy(),
        )

    @classmethod
    def joined(cls, parts: Sequence[ClipScores]) -> ClipScores:
        """Batches behind each other."""
        told = [part.features for part in parts if part.features is not None]
        return cls(
            np.concatenate([part.clip_logits for part in parts]),
            np.concatenate([part.frame_logits for part in parts]),
            np.concatenate(told) if told else None,
        )

    def ordered(self, order: NDArray[np.int64]) -> ClipScores:
        """The rows in another order."""
        told = None if self.features is None else self.features[order]
        return ClipScores(self.clip_logits[order], self.frame_logits[order], told)


@dataclass(frozen=True)
class Validation:
    """What an epoch's validation says."""

    loss: float
    """Mean over clips."""
    auc_video: float | None
    """None where the split has one class only."""
    accuracy_video: float
    """At logit 0: the threshold is fitted only when training ends."""
    auc_by_method: dict[str, float]
    """Each method's videos against all authentic ones, where the methods are known."""


def score_clips(
    fabric: Fabric,
    model: Detector,
    loader: ClipLoader,
    batch_size: int,
    loss: Loss | None,
    *,
    features: bool = False,
) -> tuple[ClipScores, float]:
    """Logits (and ``features``) of every clip of a loader and the mean loss; the ranks share the
    work.

    Every rank returns the same, complete result.
    """
    rank, world = fabric.global_rank, fabric.world_size
    rows: list[tuple[tuple[int, ...], ClipScores]] = []
    total = 0.0
    was_training = model.training
    model.eval()
    with torch.inference_mode(), fabric.autocast():
        for batch in _share(loader, batch_size, rank, world):
            output = model(batch.clips, batch.mask)
            if loss is not None:
                total += float(loss(output, batch.labels, batch.mask)) * len(batch)
            rows.append((batch.positions, ClipScores.of(output, features=features)))
    model.train(was_training)
    if world > 1:
        gathered: list[list[tuple[tuple[int, ...], ClipScores]]] = [[] for _ in range(world)]
        torch.distributed.all_gather_object(gathered, rows)
        rows = [row for share in gathered for row in share]
        total = float(torch.as_tensor(fabric.all_reduce(torch.tensor(total), reduce_op="sum")))
    order = np.argsort(np.concatenate([np.array(positions) for positions, _ in rows]))
    scores = ClipScores.joined([part for _, part in rows]).ordered(order)
    return scores, total / len(loader.items)


def validate(
    fabric: Fabric, model: Detector, loader: ClipLoader, loss: Loss, batch_size: int
) -> Validation:
    """Loss and video-level figures of the validation split."""
    scores, mean_loss = score_clips(fabric, model, loader, batch_size, loss)
    labels, logits = video_logits(loader.items, scores.clip_logits)
    methods = np.array([loader.items[p[0]].record.method for p in by_video(loader.items)])
    by_method = {
        str(method): metrics.roc_auc(labels[part], logits[part])
        for method in np.unique(methods[(labels == FAKE) & (methods != "")])
        if (part := (labels == REAL) | (methods == method)).any()
    }
    return Validation(
        loss=mean_loss,
        auc_video=metrics.roc_auc(labels, logits),
        accuracy_video=metrics.accuracy(labels, logits, 0.0) or 0.0,
        auc_by_method={name: auc for name, auc in by_method.items() if auc is not None},
    )


def video_logits(
    items: Sequence[ClipItem], clip_logits: Floats
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and pooled logits, one a video."""
    videos = by_video(items)
    labels = [items[positions[0]].record.label for positions in videos]
    logits = [
        video_logit(
            [items[p].ref.track_id for p in positions],
            clip_logits[positions],
            [int(np.sum(items[p].ref.mask)) for p in positions],
        )
        for positions in videos
    ]
    return np.array(labels, dtype=np.int64), np.array(logits, dtype=np.float64)


def crop_features(items: Sequence[ClipItem], scores: ClipScores) -> Floats:
    """``(M, F)`` features of every crop of the items; ``(0, 0)`` where there are none."""
    if scores.features is None:
        return np.empty((0, 0), np.float32)
    masks = np.array([item.ref.mask for item in items], np.bool_)
    return scores.features[masks].astype(np.float32)


def crop_sources(items: Sequence[ClipItem]) -> NDArray[np.str_]:
    """``(M,)`` the collection that every crop of the items is from."""
    names = [[item.record.dataset] * int(np.sum(item.ref.mask)) for item in items]
    return np.array([name for row in names for name in row], dtype=np.str_)


def _share(loader: ClipLoader, batch_size: int, rank: int, world: int) -> Iterable[Batch]:
    if world == 1:
        return loader.batches(None, batch_size)
    starts = range(rank * batch_size, len(loader.items), world * batch_size)
    positions = list(range(len(loader.items)))
    return (loader.batch(positions[start : start + batch_size]) for start in starts)
