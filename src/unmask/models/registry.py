"""Detectors by name, and what one amounts to."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from unmask.config import ModelConfig
from unmask.errors import ConfigError
from unmask.models.detector import (
    BilstmAttentionDetector,
    Detector,
    FrameDetector,
    PatchMapDetector,
)

DETECTORS: dict[str, type[Detector]] = {
    "resnet50_bilstm_attention": BilstmAttentionDetector,
    "frame": FrameDetector,
}


def build(config: ModelConfig, size_px: int) -> Detector:
    """The detector of ``config`` for crops of ``size_px``, on the CPU, in training mode.

    Raises:
        ConfigError: unknown detector or backbone, or parts that do not go together.
        ModelError: the backbone's weights are missing or do not fit.
    """
    if config.name not in DETECTORS:
        near = difflib.get_close_matches(config.name, DETECTORS, n=1, cutoff=0.4)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(DETECTORS)}."
        raise ConfigError(f"'model.name': there is no detector '{config.name}'.", hint=hint)
    if config.patch_map and config.name != "frame":
        raise ConfigError(f"'model.patch_map' goes with model.name frame, not '{config.name}'.")
    kind = PatchMapDetector if config.patch_map else DETECTORS[config.name]
    detector = kind(config, size_px)
    detector.freeze()
    return detector


@dataclass(frozen=True)
class Summary:
    """The size of a detector."""

    name: str
    backbone: str
    parameters: int
    trainable: int
    macs_per_frame: int
    """Multiply-accumulates of the backbone for one crop."""

    def __str__(self) -> str:
        return (
            f"{self.name} on {self.backbone}: {self.parameters / 1e6:.1f} M parameters, "
            f"{self.trainable / 1e6:.2f} M of them learn, "
            f"{self.macs_per_frame / 1e9:.2f} G multiply-accumulates a crop"
        )


def summary(detector: Detector) -> Summary:
    """Count parameters and the backbone's work; runs the backbone once on one empty crop."""
    parameters = list(detector.parameters())
    size = detector.size_px
    device = parameters[0].device
    training = detector.training
    detector.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        detector.backbone(torch.zeros(1, 3, size, size, dtype=torch.uint8, device=device))
    detector.train(training)
    return Summary(
        name=detector.config.name,
        backbone=detector.config.backbone,
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        macs_per_frame=counter.get_total_flops() // 2,
    )
