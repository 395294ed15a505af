"""Devices, precision and processes: everything that Lightning Fabric does for the loop."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn

from unmask.config import LoopConfig, ModelConfig
from unmask.errors import RunError

_FABRIC_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def build_fabric(loop: LoopConfig, model: ModelConfig | None = None) -> Fabric:
    """A Fabric for the configured devices, not yet launched; ``model`` helps to pick a precision.

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
        precision=_FABRIC_PRECISION[pick_precision(loop, accelerator, model)],  # type: ignore[arg-type]
    )


def tune_cuda(device: torch.device, *, deterministic: bool) -> None:
    """On a GPU: convolutions by the fastest of cuDNN's algorithms, float32 products in TF32.

    These are settings of the process; a run that shall be deterministic keeps torch's own.
    """
    if device.type == "cuda" and not deterministic:
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")


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


def pick_precision(loop: LoopConfig, accelerator: str, model: ModelConfig | None = None) -> str:
    """``auto``: bf16 on GPUs that have it, else fp16; on CPUs bf16 where it is quick, else fp32.

    It is quick on processors with AMX and for networks of dense layers. Measured: ViT-S/14 trains
    two to four times as fast in bf16 with AMX and half as fast with AVX-512's bf16 alone;
    depthwise convolutions are slower in either.
    """
    if loop.precision != "auto":
        return loop.precision
    if accelerator == "cpu":
        quick = model is not None and has_amx() and is_dense(model.backbone)
        return "bf16" if quick else "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def has_amx(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies bf16 matrices in hardware."""
    try:
        return "amx_bf16" in cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return False


def is_dense(backbone: str) -> bool:
    """Whether no layer of a timm model is a grouped or depthwise convolution."""
    if not timm.is_model(backbone):
        return False  # the model's own error tells
    with torch.device("meta"):
        network = timm.create_model(backbone, pretrained=False)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return all(layer.groups == 1 for layer in convolutions)
