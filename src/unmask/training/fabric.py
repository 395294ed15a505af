"""Devices, precision and processes: everything that Lightning Fabric does for the loop."""

from __future__ import annotations

import time
from functools import cache

import timm
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn

from unmask.config import LoopConfig, ModelConfig
from unmask.errors import RunError

_FABRIC_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
_TRIED_SIDE, _TRIES = 512, 8
_WORTH_BF16 = 1.5


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

    It is quick for networks of dense layers on processors that multiply bf16 in hardware. Measured
    on ViT-S/14: trained in bf16 it is two to four times as fast with AMX, twice with AMD's AVX-512
    and half as fast with Intel's; depthwise convolutions gain next to nothing on any of them.
    """
    if loop.precision != "auto":
        return loop.precision
    if accelerator == "cpu":
        quick = model is not None and is_dense(model.backbone) and bf16_is_quick()
        return "bf16" if quick else "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


@cache
def bf16_is_quick() -> bool:
    """Whether this processor multiplies matrices in bf16 well faster than in float32.

    Its flags do not tell: AVX-512's bf16 is quick on some and slow on others. Takes some 20 ms.
    """
    return _seconds(torch.float32) > _WORTH_BF16 * _seconds(torch.bfloat16)


def _seconds(dtype: torch.dtype) -> float:
    """The least time of a product of two square matrices."""
    matrix = torch.ones(_TRIED_SIDE, _TRIED_SIDE, dtype=dtype)
    times = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - began)
    return min(times)


def tune_attention(model: nn.Module, precision: str, accelerator: str) -> None:
    """On a CPU in bf16, timm's attention by plain products: the fused one is slower there.

    Measured on AMD's AVX-512: a step of ViT-S/14 in bf16 takes 1.2 to 1.3 times as long with
    torch's fused attention, and as long in float32.
    """
    if (accelerator, precision) == ("cpu", "bf16"):
        for layer in model.modules():
            if hasattr(layer, "fused_attn"):
                layer.fused_attn = False  # type: ignore[assignment]


@cache
def is_dense(backbone: str) -> bool:
    """Whether no layer of a timm model is a grouped or depthwise convolution."""
    if not timm.is_model(backbone):
        return False  # the model's own error tells
    with torch.device("meta"):
        network = timm.create_model(backbone, pretrained=False)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return all(layer.groups == 1 for layer in convolutions)
