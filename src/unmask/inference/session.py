"""An exported detector, opened and checked, and its logits."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from unmask import weights
from unmask.config import METADATA_KEY, ClipSpec, from_dict
from unmask.errors import ConfigError, ModelError
from unmask.types import BoolArray, FloatArray, UInt8Array

TASK = "deepfake_detection"
CROPS_AT_ONCE = {"cpu": 4, "cuda": 64}
"""Crops that go through the network in one piece, unless a single clip has more. On the CPU so few
that what lies between two layers stays in the cache: 32 at once cost a third more."""

_INPUTS, _OUTPUTS = ["clips", "mask"], ["frame_logits", "clip_logit"]
_PATCHES, _FEATURES = "patch_logits", "features"  # further outputs that some networks have
_DEVICES = {"CUDAExecutionProvider": "cuda", "CPUExecutionProvider": "cpu"}
_UNREADABLE = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
)


@dataclass(frozen=True)
class Model:
    """A detector ready to run, and everything that travels with its file."""

    name: str
    version: str
    sha256: str
    """Of the file's content: of exactly the bytes that run."""
    spec: ClipSpec
    """The clips that it was trained on."""
    calibration: dict[str, Any]
    """As `unmask.scoring.Calibration.from_dict` reads it; empty if never fitted."""
    metadata: dict[str, Any]
    """The file's whole JSON."""
    device: str
    """``"cpu"`` or ``"cuda"``."""
    threads: int
    """Of the CPU; as many pieces of a batch run at the same time."""
    session: ort.InferenceSession = field(repr=False, compare=False)

    def logits(self, frames: UInt8Array, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Raw logits of clips; above 0 leans to manipulated. Clips run in pieces, side by side.

        Args:
            frames: ``(B, T, size_px, size_px, 3)`` RGB uint8.
            mask: ``(B, T)`` bool, True where there is a crop.

        Returns:
            ``frame_logits (B, T)`` and ``clip_logit (B,)``, float32; a frame logit means nothing
            where the mask is False.
        """
        return self.logits_and_features(frames, mask)[:2]

    def logits_and_features(
        self, frames: UInt8Array, mask: BoolArray
    ) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """`logits` and, in the same run, the features that they are read from.

        Args:
            frames: as `logits`.
            mask: as `logits`.

        Returns:
            ``frame_logits (B, T)``, ``clip_logit (B,)`` and ``features (B, T, F)`` float32, which
            mean nothing where the mask is False; None where the file has no such output, as those
            of earlier versions.
        """
        side = self.spec.size_px
        if frames.ndim != 5 or frames.shape[2:] != (side, side, 3) or frames.dtype != np.uint8:
            raise ValueError(
                f"frames must be (B, T, {side}, {side}, 3) uint8, got {frames.shape} {frames.dtype}"
            )
        if mask.shape != frames.shape[:2] or mask.dtype != np.bool_:
            raise ValueError(f"mask must be {frames.shape[:2]} bool, got {mask.shape} {mask.dtype}")
        count, length = mask.shape
        frame_logits = np.zeros((count, length), np.float32)
        clip_logit = np.zeros(count, np.float32)
        wanted = [*_OUTPUTS, _FEATURES] if self.has_features else _OUTPUTS
        step = max(1, CROPS_AT_ONCE[self.device] // max(1, length))
        pieces = [slice(start, start + step) for start in range(0, count, step)]

        def run(piece: slice) -> list[FloatArray]:
            feed = {"clips": np.ascontiguousarray(frames[piece]), "mask": mask[piece]}
            frame_logits[piece], clip_logit[piece], *more = self.session.run(wanted, feed)
            return list(more)

        with ThreadPoolExecutor(self.threads if self.device == "cpu" else 1) as pool:
            features = [part for more in pool.map(run, pieces) for part in more]  # in order
        return frame_logits, clip_logit, np.concatenate(features) if features else None

    @property
    def has_features(self) -> bool:
        """Whether `logits_and_features` has features to give."""
        return _FEATURES in [value.name for value in self.session.get_outputs()]

    @property
    def has_patches(self) -> bool:
        """Whether `patch_logits` has something to give."""
        return _PATCHES in [value.name for value in self.session.get_outputs()]

    def patch_logits(self, frames: UInt8Array, mask: BoolArray) -> FloatArray:
        """Raw logits of "this patch was manipulated", ``(B, T, g, g)`` float32.

        Args:
            frames: as `logits`; few clips, since they go through the network at once.
            mask: as `logits`.

        Raises:
            ValueError: the network has no such output (see `has_patches`).
        """
        if not self.has_patches:
            raise ValueError(f"{self.name} has no output {_PATCHES}")
        feed = {"clips": np.ascontiguousarray(frames), "mask": mask}
        return np.asarray(self.session.run([_PATCHES], feed)[0], np.float32)


def load_model(model: str | Path, *, threads: int | None = None, device: str = "auto") -> Model:
    """Open a bundled model by name, an exported ``.onnx`` file, or the one of a run's folder.

    Args:
        model: e.g. ``"sbi"``, ``"best_model.onnx"`` or ``"runs/first"``.
        threads: of the CPU; None takes all that this process may use.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"``: a GPU where ONNX Runtime has one.

    Raises:
        ModelError: ``model_missing``, ``model_altered`` (a bundled file that is not what its card
            says), ``model_foreign`` (not exported by unmask), ``model_device`` (no such device).
    """
    providers = _providers(device)
    # A GPU multiplies floats faster than it quantises.
    path = _locate(model, in_float=_DEVICES[providers[0]] == "cuda")
    content = path.read_bytes()
    threads = threads or _usable_cores()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # A thread that waits for work by spinning takes the core from a piece that has some.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(content, options, providers=providers)
    except _UNREADABLE as error:
        raise _foreign(path, "ONNX Runtime cannot read it") from error
    about = _about(path, session)
    try:
        return Model(
            name=about["name"],
            version=about["version"],
            sha256=hashlib.sha256(content).hexdigest(),
            spec=from_dict(ClipSpec, about["clip"], "clip"),
            calibration=about["calibration"],
            metadata=about,
            device=_DEVICES.get(session.get_providers()[0], "cpu"),
            threads=threads,
            session=session,
        )
    except (KeyError, ConfigError) as error:
        raise _foreign(path, f"its description lacks or garbles {error}") from error


def _locate(model: str | Path, *, in_float: bool) -> Path:
    path = Path(model).expanduser()
    if path.is_dir() and (path / "models" / "best_model.onnx").is_file():
        return path / "models" / "best_model.onnx"
    if path.is_file():
        return path
    if isinstance(model, str) and model in weights.names():
        return weights.load(model, in_float=in_float)
    bundled = [name for name in weights.names() if weights.read_card(name).task == TASK]
    nearby = sorted(str(found) for found in path.parent.glob("*.onnx"))
    raise ModelError(
        f"There is no model '{model}'.",
        code="model_missing",
        hint=f"Bundled: {', '.join(bundled) or 'none'}. "
        f"In {path.parent}: {', '.join(nearby) or 'no .onnx file'}.",
    )


def _about(path: Path, session: ort.InferenceSession) -> dict[str, Any]:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise _foreign(path, "it carries no description")
    try:
        about = json.loads(text)
    except json.JSONDecodeError as error:
        raise _foreign(path, "its description is not JSON") from error
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]
    if not isinstance(about, dict) or inputs != _INPUTS or outputs[:2] != _OUTPUTS:
        raise _foreign(path, f"it maps {inputs} to {outputs}")
    return about


def _providers(device: str) -> list[str]:
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda, got {device!r}")
    gpu = "CUDAExecutionProvider" in ort.get_available_providers()
    if device == "cuda" and not gpu:
        raise ModelError(
            "This ONNX Runtime has no CUDA.",
            code="model_device",
            hint="Run: pip install onnxruntime-gpu",
        )
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    return both if gpu and device != "cpu" else both[1:]


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _foreign(path: Path, why: str) -> ModelError:
    hint = "Give an .onnx file that 'unmask export' wrote."
    if path.suffix in (".pth", ".safetensors"):
        hint = f"Run: unmask export {path}"
    return ModelError(
        f"'{path.name}' is not a model exported by unmask: {why}.", code="model_foreign", hint=hint
    )
