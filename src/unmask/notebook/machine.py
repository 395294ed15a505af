"""The machine that a notebook runs on: its GPUs, and the settings that make them quick."""

from __future__ import annotations

import os

import torch

from unmask.config import TrainConfig
from unmask.report.table import Table
from unmask.training.environment import describe_environment
from unmask.training.fabric import pick_accelerator
from unmask.verbs.doctor import unsupported


def gpus() -> int:
    """GPUs that this torch can use; 0 on a machine without one."""
    if not torch.cuda.is_available():
        return 0
    count = torch.cuda.device_count()
    capabilities = [torch.cuda.get_device_capability(index) for index in range(count)]
    return count - len(unsupported(capabilities, torch.cuda.get_arch_list()))


def tune_machine() -> Table:
    """Set what is worth setting before the first tensor, and tell what there is.

    cuDNN tries its algorithms once a shape, fp32 products may use TF32, and CUDA memory grows by
    segments, which leaves fewer gaps. Processes are started by spawning wherever unmask starts
    some, so that CUDA works in them.
    """
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    facts = describe_environment()
    usable = gpus()
    rows = [
        ("GPUs", ", ".join(facts["gpus"]) or "none: everything runs on the CPU, only slower"),
        *[
            (f"GPU {index} memory", f"{_memory_gib(index):.1f} GiB")
            for index in range(len(facts["gpus"]))
        ],
        ("CUDA", str(facts["cuda"] or "this torch has none")),
        ("processor", f"{facts['processor']}, {facts['cores']} cores"),
        ("Python", facts["python"]),
        *[(name, version or "not installed") for name, version in facts["packages"].items()],
    ]
    notes: tuple[str, ...] = ()
    if usable < len(facts["gpus"]):
        notes = (
            f"This torch has no code for {len(facts['gpus']) - usable} of the GPUs. On Kaggle "
            "choose the accelerator 'GPU T4 x2'.",
        )
    return Table("Machine", ("", ""), tuple(rows), notes)


def device_of(settings: TrainConfig) -> torch.device:
    """The (first) device that the training will use."""
    return torch.device(pick_accelerator(settings.loop), 0)


def _memory_gib(index: int) -> float:
    return float(torch.cuda.get_device_properties(index).total_memory / 2**30)
