"""One exported network, opened and checked, and its logits."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from unmask.config import METADATA_KEY, ClipSpec, from_dict
from unmask.errors import ConfigError, ModelError
from unmask.inference.model import Model
from unmask.types import BoolArray, FloatArray, UInt8Array

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
class OnnxModel(Model):
    """One exported network. Clips run in pieces, side by side."""

    session: ort.InferenceSession = field(repr=False, compare=False)

    def logits_and_features(
        self, frames: UInt8Array, mask: BoolArray
    ) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """As `Model.logits_and_features`; files of earlier versions have no features."""
        self.check(frames, mask)
        count, length = mask.shape
        frame_logits = np.zeros((count, length), np.float32)
        clip_logit = np.zeros(count, np.float32)
        wanted = [*_OUTPUTS, _FEATURES] if self._gives(_FEATURES) else _OUTPUTS
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
    def has_patches(self) -> bool:
        """Only of networks with a patch map."""
        return self._gives(_PATCHES)

    def patch_logits(self, frames: UInt8Array, mask: BoolArray) -> FloatArray:
        """As `Model.patch_logits`."""
        if not self.has_patches:
            raise ValueError(f"{self.name} has no output {_PATCHES}")
        feed = {"clips": np.ascontiguousarray(frames), "mask": mask}
        return np.asarray(self.session.run([_PATCHES], feed)[0], np.float32)

    def _gives(self, output: str) -> bool:
        return output in [value.name for value in self.session.get_outputs()]


def open_onnx(path: Path, threads: int, device: str) -> OnnxModel:
    """Open an exported file.

    Args:
        path: of the file.
        threads: of the CPU.
        device: as `unmask.inference.load_model`.

    Raises:
        ModelError: ``model_foreign`` (not exported by unmask), ``model_device``.
    """
    content = path.read_bytes()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # A thread that waits for work by spinning takes the core from a piece that has some.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = _open(content, options, device)
    except _UNREADABLE as error:
        raise foreign(path, "ONNX Runtime cannot read it") from error
    about = _about(path, session)
    try:
        return OnnxModel(
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
        raise foreign(path, f"its description lacks or garbles {error}") from error


def _open(content: bytes, options: ort.SessionOptions, device: str) -> ort.InferenceSession:
    """A session where ``device`` says. An ONNX Runtime built for GPUs may find none that works: it
    falls back by itself, and writes so on standard output, unless it is told not to."""
    wanted = providers(device)
    try:
        session = ort.InferenceSession(content, options, providers=wanted, enable_fallback=0)
    except (RuntimeError, ValueError):
        if device == "cuda":
            raise _no_gpu("ONNX Runtime cannot use a GPU here.") from None
        if _DEVICES[wanted[0]] == "cpu":
            raise
        return _open(content, options, "cpu")
    if device == "cuda" and session.get_providers()[0] != wanted[0]:
        raise _no_gpu("ONNX Runtime cannot use a GPU here.")
    return session


def _no_gpu(message: str) -> ModelError:
    hint = "Run: pip install onnxruntime-gpu, with a driver that fits it; or take device 'cpu'."
    return ModelError(message, code="model_device", hint=hint)


def runs_on_gpu(device: str) -> bool:
    """Whether `open_onnx` would try a GPU for this device; what it opened says if it has one."""
    return _DEVICES[providers(device)[0]] == "cuda"


def _about(path: Path, session: ort.InferenceSession) -> dict[str, Any]:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise foreign(path, "it carries no description")
    try:
        about = json.loads(text)
    except json.JSONDecodeError as error:
        raise foreign(path, "its description is not JSON") from error
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]
    if not isinstance(about, dict) or inputs != _INPUTS or outputs[:2] != _OUTPUTS:
        raise foreign(path, f"it maps {inputs} to {outputs}")
    return about


def providers(device: str) -> list[str]:
    """ONNX Runtime's names of what a device means, the best first.

    Raises:
        ModelError: ``model_device``: no such device.
        ValueError: no name of a device.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda, got {device!r}")
    gpu = "CUDAExecutionProvider" in ort.get_available_providers()
    if device == "cuda" and not gpu:
        raise _no_gpu("This ONNX Runtime has no CUDA.")
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    return both if gpu and device != "cpu" else both[1:]


def foreign(path: Path, why: str) -> ModelError:
    """The error for a file that `open_onnx` cannot use."""
    hint = "Give an .onnx file that 'unmask export' wrote."
    if path.suffix in (".pth", ".safetensors"):
        hint = f"Run: unmask export {path}"
    return ModelError(
        f"'{path.name}' is not a model exported by unmask: {why}.", code="model_foreign", hint=hint
    )
