"""The networks: a timm backbone for every frame, a head over time, and the losses they learn by.

`build` makes a detector from its settings, `build_loss` what it minimises; `save_model` and
`load_detector` carry one through files. docs/models.md describes the parts and their weights.
"""

from unmask.models.checkpoint_file import (
    TRANSPOSED,
    Checkpoint,
    load_checkpoint,
    load_detector,
    save_calibrated,
    save_model,
)
from unmask.models.detector import Detector, Output
from unmask.models.losses import PatchTargets, build_loss, distillation
from unmask.models.registry import DETECTORS, Summary, build, summary

__all__ = [
    "DETECTORS",
    "TRANSPOSED",
    "Checkpoint",
    "Detector",
    "Output",
    "PatchTargets",
    "Summary",
    "build",
    "build_loss",
    "distillation",
    "load_checkpoint",
    "load_detector",
    "save_calibrated",
    "save_model",
    "summary",
]
