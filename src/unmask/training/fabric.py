"""Devices, precision and processes: everything that Lightning Fabric does for the loop."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from unmask.config import LoopConfig
from unmask.errors import RunError

_FABRIC_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def build_fabric(loop: LoopConfig) -> Fabric:
    """A Fabric for the configured devices, not yet launched.

    Several devices start by spawning, which works from a command, a script and a notebook alike.

    Raises:
        RunError: ``run_device`` when CUDA or that many GPUs are asked for and not there.
    """
    accelerator = pick_accelerator(loop)
    strategy = (
        DDPStrategy(start_method="spawn", find_unused_parameters=True)
        if loop.devices > 1
        else "auto"
    )
    return Fabric(
        accelerator=accelerator,
        devices=loop.devices,
        strategy=strategy,
        precision=_FABRIC_PRECISION[pick_precision(loop, accelerator)],  # type: ignore[arg-type]
    )


def pick_accelerator(loop: LoopConfig) -> str:
    """``cuda`` or ``cpu``."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if loop.accelerator == "auto":
        return "cuda" if gpus >= loop.devices else "cpu"
    if loop.accelerator == "cuda" and gpus < loop.devices:
        raise RunError(
            f"{loop.devices} CUDA device(s) were asked for, {gpus} are here.",
            code="run_device",
            hint="Run 'unmask doctor', or set loop.accelerator=cpu.",
        )
    return loop.accelerator


def pick_precision(loop: LoopConfig, accelerator: str) -> str:
    """``auto``: bf16 on GPUs that have it, else fp16; fp32 on CPUs, where bf16 is a choice."""
    if loop.precision != "auto":
        return loop.precision
    if accelerator == "cpu":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
