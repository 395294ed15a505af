"""What training minimises: focal loss or cross-entropy on the clip logit and the frame logits."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor
from torch.nn import functional as F

from unmask.config import LossConfig
from unmask.models.detector import Output
from unmask.models.temporal import masked_mean


class PatchTargets(NamedTuple):
    """What a patch map learns from."""

    target: Tensor
    """``(B, 2, T, g, g)`` float 0-1: share of forged pixels in a patch, and its boundary."""
    known: Tensor
    """``(B,)`` bool: whether the clip's mask is known."""

    def part(self, start: int, stop: int) -> PatchTargets:
        """The clips from ``start`` to ``stop``."""
        return PatchTargets(self.target[start:stop], self.known[start:stop])


class Loss(Protocol):
    """``labels (B,)`` 0 or 1 and ``mask (B, T)`` to a float32 scalar."""

    def __call__(
        self, output: Output, labels: Tensor, mask: Tensor, patches: PatchTargets | None = None
    ) -> Tensor:
        """The loss; patches count only where the model gives a map."""


def build_loss(config: LossConfig) -> Loss:
    """The loss of ``config``.

    The clip loss is the mean over the batch. With ``frame_weight`` the same loss on the frame
    logits is added, averaged over a clip's valid frames first, so that every clip counts alike.
    With known masks and a model that gives a patch map, the map's cross-entropy is added as well.
    """

    def each(logits: Tensor, labels: Tensor) -> Tensor:
        if config.name == "focal":
            return focal(logits, labels, config.alpha, config.gamma, config.label_smoothing)
        return binary_cross_entropy(logits, labels, config.label_smoothing)

    def loss(
        output: Output, labels: Tensor, mask: Tensor, patches: PatchTargets | None = None
    ) -> Tensor:
        total = each(output.clip_logit, labels).mean()
        if config.frame_weight > 0:
            frames = each(output.frame_logits, labels[:, None].expand_as(output.frame_logits))
            total = total + config.frame_weight * masked_mean(frames, mask).mean()
        if config.patch_weight > 0 and patches is not None and output.patch_logits is not None:
            total = total + config.patch_weight * patch_loss(output.patch_logits, patches)
        return total

    return loss


def patch_loss(logits: Tensor, patches: PatchTargets) -> Tensor:
    """Cross-entropy of a patch map ``(B, T, 2, g, g)`` over the patches that were looked at (not
    NaN) of the clips whose masks are known."""
    target = patches.target.transpose(1, 2)
    seen = ~logits.isnan() & patches.known[:, None, None, None, None]
    each = F.binary_cross_entropy_with_logits(logits.float().nan_to_num(), target, reduction="none")
    return (each * seen).sum() / seen.sum().clamp(min=1)


def distillation(logits: Tensor, teacher: Tensor) -> Tensor:
    """Mean cross-entropy of logits ``(B,)`` to a teacher's scores (Hinton et al. 2015)."""
    return F.binary_cross_entropy_with_logits(logits.float(), teacher.float().sigmoid())


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
