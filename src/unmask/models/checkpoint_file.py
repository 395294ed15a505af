"""The best model of a run as files: ``.pth`` and ``.safetensors`` with everything to rebuild it.

What was exported to ONNX in ``fp32`` or ``fp16`` is read as well, so that a model that came as
that file alone, as the bundled ones do, can be trained further or teach another.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unmask.config import METADATA_KEY, TrainConfig, from_dict, to_dict
from unmask.errors import ConfigError, ModelError, RunError
from unmask.files import atomic_path
from unmask.models.detector import Detector
from unmask.models.registry import build
from unmask.models.weights_files import unpickle

FORMAT_VERSION = 1

TRANSPOSED = "weight.T"
"""What a matrix is called in an exported graph, where products take it transposed."""

_IN_EXPORT = "detector."
_CONSTANTS = ("backbone.mean", "backbone.std")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a model file says besides its weights."""

    config: TrainConfig
    calibration: dict[str, Any]
    metrics: dict[str, Any]
    name: str
    version: str


def save_model(
    path_pth: Path,
    path_safetensors: Path,
    model: Detector,
    config: TrainConfig,
    calibration: dict[str, Any],
    metrics: dict[str, Any],
    *,
    name: str = "",
    version: str = "1",
) -> None:
    """Write the same model to both files, each atomically.

    Args:
        path_pth: a dictionary for ``torch.load(..., weights_only=True)``.
        path_safetensors: the weights; the rest as JSON in the metadata key ``unmask``.
        model: on any device.
        config: the settings that the run resolved to.
        calibration: plain JSON values.
        metrics: plain JSON values.
        name: of the model; the detector's name if empty.
        version: of the model.

    Raises:
        RunError: ``run_disk`` when the disk is full or cannot be written; files that were there
            before are still whole.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    about = {
        "format_version": FORMAT_VERSION,
        "name": name or config.model.name,
        "version": version,
        "config": to_dict(config),
        "calibration": json.loads(json.dumps(calibration)),
        "metrics": json.loads(json.dumps(metrics)),
    }
    try:
        with atomic_path(path_pth) as temporary:
            torch.save({"state_dict": state, **about}, temporary)
        with atomic_path(path_safetensors) as temporary:
            save_file(state, temporary, metadata={METADATA_KEY: json.dumps(about)})
    except (OSError, RuntimeError, SafetensorError) as error:
        raise RunError(
            f"The model could not be written to {path_pth.parent}: {error}",
            code="run_disk",
            hint="Free some space, then run the same command again: it resumes.",
        ) from error


def save_calibrated(
    path_pth: Path, model: Detector, about: Checkpoint, calibration: dict[str, Any]
) -> None:
    """Write a model that was read from a file with another calibration, and all else as it was.

    Args:
        path_pth: where to; the ``.safetensors`` goes beside it.
        model: on any device.
        about: what its file said, with the name and version that it shall have.
        calibration: plain JSON values.

    Raises:
        RunError: as `save_model`.
    """
    save_model(
        path_pth,
        path_pth.with_suffix(".safetensors"),
        model,
        about.config,
        calibration=calibration,
        metrics=about.metrics,
        name=about.name,
        version=about.version,
    )


def load_checkpoint(path: Path) -> tuple[Detector, Checkpoint]:
    """The detector of a ``.pth``, ``.safetensors`` or ``.onnx``, in eval mode, and what it says.

    Raises:
        ModelError: ``model_missing``, ``model_foreign`` (not a file of `save_model` or `export`),
            ``model_format`` (a later format), ``model_mismatch`` (weights that do not fit).
    """
    if not path.is_file():
        raise ModelError(f"There is no model file '{path}'.", code="model_missing")
    state, about = _READERS.get(path.suffix, _read_pth)(path)
    if about.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"'{path.name}' has format {about.get('format_version')}, this unmask reads "
            f"{FORMAT_VERSION}.",
            code="model_format",
        )
    try:
        checkpoint = Checkpoint(
            config=from_dict(TrainConfig, about["config"]),
            calibration=about["calibration"],
            metrics=about["metrics"],
            name=about["name"],
            version=about["version"],
        )
    except (KeyError, ConfigError) as error:
        raise _foreign(path) from error
    config = checkpoint.config
    # Every weight comes from the file itself, so whatever it began with need not be at hand.
    detector = build(dataclasses.replace(config.model, weights="random"), config.clip.size_px)
    if path.suffix == ".onnx":
        # The exporter keeps one of two equal tensors, and these are the settings' in any case.
        own = detector.state_dict()
        state = {name: own[name] for name in _CONSTANTS} | state
    try:
        detector.load_state_dict(state)
    except RuntimeError as error:
        raise _mismatch(path, str(error)) from error
    return detector.eval(), checkpoint


def load_detector(path: Path) -> tuple[Detector, TrainConfig, dict[str, Any]]:
    """`load_checkpoint`, in short: the detector, its settings and its calibration."""
    detector, checkpoint = load_checkpoint(path)
    return detector, checkpoint.config, checkpoint.calibration


def _read_pth(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        content = unpickle(path)
    except ModelError as error:
        raise _foreign(path) from error
    if not isinstance(content, dict) or "state_dict" not in content or "config" not in content:
        raise _foreign(path)
    return content.pop("state_dict"), content


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(METADATA_KEY, "null"))
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise _foreign(path) from error
    if not isinstance(about, dict):
        raise _foreign(path)
    return state, about


def _read_onnx(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Whole only for detectors of single frames, in no file where batch statistics were folded into
    convolutions (those of unmask 0.1): recurrent layers become other tensors. ``fp16`` gives
    weights of that rounding, ``int8`` none of its matrices."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx.numpy_helper import to_array

    try:
        model = onnx.load(str(path))
        about = json.loads(next(p.value for p in model.metadata_props if p.key == METADATA_KEY))
        config = about["training"]["config"] | {"clip": about["clip"], "model": about["model"]}
        about = about | {"config": config, "metrics": about["training"]["metrics"]}
    except (DecodeError, StopIteration, json.JSONDecodeError, KeyError, TypeError) as error:
        raise _foreign(path) from error
    state = {}
    for tensor in model.graph.initializer:
        name = tensor.name.removesuffix("_half")
        if name.startswith(_IN_EXPORT):
            value = to_array(tensor)
            if name.endswith(TRANSPOSED):
                name, value = name.removesuffix(".T"), value.T
            kind = np.float32 if value.dtype.kind == "f" else value.dtype
            value = np.array(value, kind, order="C")
            state[name.removeprefix(_IN_EXPORT)] = torch.from_numpy(value)
    counts = [name.replace("running_mean", "num_batches_tracked") for name in state]
    state |= {name: torch.tensor(0) for name in counts if name not in state}
    return state, about


_READERS = {".safetensors": _read_safetensors, ".onnx": _read_onnx}


def _mismatch(path: Path, reason: str) -> ModelError:
    if path.suffix == ".onnx":
        return ModelError(
            f"The exported file '{path.name}' does not hold every weight of its network.",
            code="model_mismatch",
            hint="Exports of detectors of single frames in fp32 or fp16 do. Else take the .pth.",
        )
    return ModelError(
        f"The weights of '{path.name}' do not fit its own configuration: {reason}",
        code="model_mismatch",
    )


def _foreign(path: Path) -> ModelError:
    hint = "An ensemble has no weights of its own: name one of its members."
    return ModelError(
        f"'{path.name}' is not a model saved by unmask.",
        code="model_foreign",
        hint=hint if path.suffix == ".json" else "",
    )
