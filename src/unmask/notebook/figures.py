"""Pictures that only the cells draw."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from unmask.augment import Augment
from unmask.clips import ClipStore
from unmask.clips.sheet import contact_sheet
from unmask.config import AugmentConfig, LossConfig
from unmask.data.loader import clip_items
from unmask.evaluation.figure import AUTHENTIC, MANIPULATED, NEUTRAL, figure_to
from unmask.models.losses import binary_cross_entropy, focal
from unmask.notebook.show import Picture
from unmask.training.overfit import Overfit
from unmask.types import Clip

_NAMES = ("authentic", "manipulated")


def loss_picture(config: LossConfig) -> Picture:
    """The configured focal loss beside cross-entropy, over the score of a manipulated clip."""
    scores = torch.linspace(0.01, 0.99, 99)
    logits, labels = torch.logit(scores), torch.ones(99)
    crossed = binary_cross_entropy(logits, labels)
    focused = focal(logits, labels, config.alpha, config.gamma, config.label_smoothing)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(scores, crossed, color=NEUTRAL, linestyle="--", label="cross-entropy")
        name = f"focal, alpha {config.alpha:g}, gamma {config.gamma:g}"
        axes.plot(scores, focused, color=MANIPULATED, linewidth=2, label=name)
        axes.set(xlabel="P(manipulated) given to a manipulated clip", ylabel="loss")
        axes.legend()

    return _drawn(draw, "Losses: focal mutes what is already right", 6.4, 3.8)


def overfit_picture(result: Overfit) -> Picture:
    """The loss of the one batch, step by step."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(np.arange(len(result.losses)), result.losses, "o-", color=AUTHENTIC, markersize=3)
        axes.set(xlabel="step", ylabel="training loss", ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    return _drawn(draw, "Loss of the one batch", 6.4, 3.4)


def batch_picture(
    clips: Sequence[Clip], labels: Sequence[int], config: AugmentConfig, seed: int = 0
) -> Picture:
    """Clips as they are cut, each above what the augmentation makes of it."""
    frames = torch.from_numpy(np.stack([clip.frames for clip in clips]))
    generator = torch.Generator().manual_seed(seed)
    changed = Augment(config)(frames.permute(0, 1, 4, 2, 3), generator).permute(0, 1, 3, 4, 2)
    rows = []
    for clip, pixels in zip(clips, changed.numpy(), strict=True):
        augmented = np.where(clip.mask[:, None, None, None], pixels, 0).astype(np.uint8)
        rows += [clip, replace(clip, frames=augmented)]
    captions = [text for label in labels for text in (_NAMES[label], "augmented")]
    return Picture.of(contact_sheet(rows, captions), "A batch: as it is, and below it augmented")


def store_picture(store: ClipStore, each: int = 3) -> Picture:
    """Training clips of a store: the first ``each`` of both classes."""
    items = clip_items(store, "train", main_track_only=True)
    chosen = [[item for item in items if item.record.label == label][:each] for label in (0, 1)]
    clips = [store.read(item.ref) for part in chosen for item in part]
    title = f"Training clips: {len(chosen[0])} authentic, {len(chosen[1])} manipulated"
    captions = [_NAMES[label] for label in (0, 1) for _ in chosen[label]]
    return Picture.of(contact_sheet(clips, captions), title)


def _drawn(draw: Callable[[Figure], None], title: str, width: float, height: float) -> Picture:
    with tempfile.TemporaryDirectory(prefix="unmask-") as folder:
        path = Path(folder) / "figure.png"
        with figure_to(path, width, height) as figure:
            draw(figure)
            figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return Picture(title, path.read_bytes())
