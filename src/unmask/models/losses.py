"""What training minimises: focal loss or cross-entropy on the clip logit and the frame logits."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from unmask.config import LossConfig
from unmask.models.detector import Output
from unmask.models.temporal import masked_mean

Loss = Callable[[Output, Tensor, Tensor], Tensor]


def build_loss(config: LossConfig) -> Loss:
    """The loss of ``config``: ``(output, labels (B,) 0 or 1, mask (B, T)) -> scalar`` float32.

    The clip loss is the mean over the batch. With ``frame_weight`` the same loss on the frame
    logits is added, averaged over a clip's valid frames first, so that every clip counts alike.
    """

    def each(logits: Tensor, labels: Tensor) -> Tensor:
        if config.name == "focal":
            return focal(logits, labels, config.alpha, config.gamma, config.label_smoothing)
        return binary_cross_entropy(logits, labels, config.label_smoothing)

    def loss(output: Output, labels: Tensor, mask: Tensor) -> Tensor:
        total = each(output.clip_logit, labels).mean()
        if config.frame_weight > 0:
            frames = each(output.frame_logits, labels[:, None].expand_as(output.frame_logits))
            total = total + config.frame_weight * masked_mean(frames, mask).mean()
        return total

    return loss


def binary_cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Element-wise cross-entropy in float32; smoothing moves both targets towards one half."""
    targets = _smooth(labels, label_smoothing)
    return F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")


def focal(
    logits: Tensor, labels: Tensor, alpha: float, gamma: float, label_smoothing: float = 0.0
) -> Tensor:
    """Element-wise focal loss in float32 (Lin et al., 2017, arXiv:1708.02002).

    ``alpha`` weighs the fake class and ``1 - alpha`` the real one; ``gamma`` mutes what is already
    right. A smoothed label counts towards both classes by its share.
    """
    targets = _smooth(labels, label_smoothing)
    logits = logits.float()
    as_fake = (-logits).sigmoid() ** gamma * F.softplus(-logits)
    as_real = logits.sigmoid() ** gamma * F.softplus(logits)
    return alpha * targets * as_fake + (1 - alpha) * (1 - targets) * as_real


def _smooth(labels: Tensor, share: float) -> Tensor:
    return labels.float() * (1 - share) + 0.5 * share
