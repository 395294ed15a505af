"""The oldest check of a training set-up: can it learn one small batch by heart?

If it cannot, more data will not help: the rate, the loss, the labels or the weights are wrong.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from unmask.config import TrainConfig
from unmask.device.memory import is_out_of_memory
from unmask.errors import RunError
from unmask.models import build, build_loss
from unmask.progress import say
from unmask.training.fabric import build_fabric
from unmask.training.optim import build_optimizer
from unmask.types import Clip

LEARNED = 0.2  # of the first loss: below it, with every clip right, the batch counts as learned


@dataclass(frozen=True)
class Overfit:
    """How it went."""

    losses: tuple[float, ...]
    """One a step."""
    logits: NDArray[np.float64]
    """``(B,)``, of the last step; above 0 leans to manipulated."""
    labels: NDArray[np.int64]
    """``(B,)``, 1 = manipulated."""
    seconds: float
    device: str

    @property
    def right(self) -> int:
        """Clips on the right side of logit 0 in the last step."""
        return int(((self.logits > 0) == (self.labels == 1)).sum())

    @property
    def learned(self) -> bool:
        """Every clip right, and the loss well below where it began."""
        return self.right == len(self.labels) and self.losses[-1] <= LEARNED * self.losses[0]


def overfit_one_batch(
    config: TrainConfig,
    clips: Sequence[Clip],
    labels: Sequence[int],
    *,
    steps: int = 60,
    max_seconds: float = 120.0,
) -> Overfit:
    """Train a fresh model of ``config`` on one batch, without augmentation and dropout.

    It takes the configured precision and loss on one device and ends early once the batch is
    learned. Where memory runs out it goes on with half the frames. Global random numbers are
    seeded with ``config.loop.seed``.

    Args:
        config: the run's settings.
        clips: of one shape.
        labels: one a clip, 1 = manipulated; both classes.
        steps: at most so many optimiser steps.
        max_seconds: no step begins later than this.

    Raises:
        ConfigError, ModelError: see `unmask.models.build`.
        RunError: ``run_memory``: not even one frame of each clip fits.
    """
    if len(clips) != len(labels) or set(labels) != {0, 1}:
        raise ValueError("one label a clip, and clips of both classes, are needed")
    frames = len(clips[0].frames)
    while True:
        try:
            return _overfit(config, clips, labels, frames, steps, max_seconds)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if frames == 1:
                raise RunError(
                    f"The memory is too small for {len(clips)} crops.",
                    code="run_memory",
                    hint="Lower clip.size_px, or choose a smaller model.backbone.",
                ) from error
        frames = (frames + 1) // 2
        say(f"Out of memory: going on with {frames} frames of each clip.")


def _overfit(
    config: TrainConfig,
    clips: Sequence[Clip],
    labels: Sequence[int],
    frames: int,
    steps: int,
    max_seconds: float,
) -> Overfit:
    fabric = build_fabric(replace(config.loop, devices=1))
    fabric.seed_everything(config.loop.seed, verbose=False)
    detector = build(replace(config.model, dropout=0.0, drop_path=0.0), config.clip.size_px)
    optimizer = build_optimizer(detector, config.optim, fabric.device)
    model, optimizer = fabric.setup(detector, optimizer)
    loss_of = build_loss(config.loss)
    slots = [np.argsort(~clip.mask, kind="stable")[:frames] for clip in clips]  # valid ones first
    pixels = np.stack([c.frames[np.sort(s)] for c, s in zip(clips, slots, strict=True)])
    there = np.stack([c.mask[np.sort(s)] for c, s in zip(clips, slots, strict=True)])
    batch = torch.from_numpy(pixels).permute(0, 1, 4, 2, 3).to(fabric.device)  # (B, T, 3, H, W)
    mask = torch.from_numpy(there).to(fabric.device)
    truth = torch.tensor([float(label) for label in labels], device=fabric.device)
    model.train()
    began, losses = time.perf_counter(), []
    while True:
        output = model(batch, mask)
        loss = loss_of(output, truth, mask)
        losses.append(float(loss.detach()))
        result = Overfit(
            tuple(losses),
            output.clip_logit.detach().double().cpu().numpy(),
            np.asarray(labels, dtype=np.int64),
            time.perf_counter() - began,
            str(fabric.device),
        )
        late = time.perf_counter() - began > max_seconds
        if result.learned or len(losses) > steps or late or not np.isfinite(losses[-1]):
            return result
        fabric.backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
