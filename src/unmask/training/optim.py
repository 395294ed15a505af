"""The optimiser's side of a step: AdamW, warm-up, plateau, and the weights' moving average."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from unmask.config import OptimConfig
from unmask.models import Detector


def build_optimizer(model: Detector, optim: OptimConfig, device: torch.device) -> AdamW:
    """AdamW over the model's parameter groups; the fused kernel on a GPU."""
    groups = model.parameter_groups(optim)
    for group in groups:
        group["initial_lr"] = group["lr"]
    return AdamW(groups, betas=(0.9, 0.99), fused=device.type == "cuda")


def build_plateau(optimizer: Optimizer, optim: OptimConfig) -> ReduceLROnPlateau:
    """Lowers every group's rate when the validation metric stops rising."""
    return ReduceLROnPlateau(
        optimizer, mode="max", factor=optim.plateau_factor, patience=optim.plateau_patience
    )


def warm_up(optimizer: Optimizer, step: int, steps: int) -> None:
    """Raise the rates linearly over the first ``steps`` optimiser steps."""
    if step < steps:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * (step + 1) / steps


def set_trapezoid(optimizer: Optimizer, progress: float, decay_share: float) -> None:
    """Full rates, then linearly towards zero over the last ``decay_share`` of ``progress`` 0-1
    (Hu et al. 2024, "MiniCPM", call it warm-up, stable, decay)."""
    share = min(1.0, (1.0 - progress) / decay_share) if decay_share > 0 else 1.0
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * max(share, 0.01)


def build_average(model: nn.Module, decay: float) -> AveragedModel | None:
    """An exponential moving average of weights and buffers, or None when ``decay`` is 0."""
    if not decay:
        return None
    moving = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=moving, use_buffers=True)
