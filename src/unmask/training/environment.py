"""What a run ran on, for ``environment.json``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import torch

PACKAGES = (
    "unmask",
    "torch",
    "torchvision",
    "timm",
    "lightning-fabric",
    "numpy",
    "av",
    "onnx",
    "onnxruntime",
    "opencv-python-headless",
)


def describe_environment() -> dict[str, Any]:
    """Versions, processor and GPUs, as plain values; no user or host name."""
    gpus = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "cuda": torch.version.cuda,
        "gpus": [torch.cuda.get_device_name(index) for index in gpus],
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - not a stored file
            models = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        models = []
    return models[0] if models else platform.processor()
