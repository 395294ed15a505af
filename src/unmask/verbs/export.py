"""The verb `export`: a run's best checkpoint becomes the ONNX file that `detect` runs."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from unmask.config import to_dict
from unmask.errors import ModelError
from unmask.files import atomic_path
from unmask.inference import METADATA_KEY, ensemble, load_model
from unmask.inference.precision import Precision, quantize, store_half
from unmask.models import TRANSPOSED, Checkpoint, Detector, Output, load_checkpoint
from unmask.weights import FOLDER, locate

TOLERANCE: dict[Precision, float] = {"fp32": 1e-3, "fp16": 2e-2, "int8": 0.5}
"""Largest difference of a logit between torch and ONNX Runtime that is let through."""

LIMITATIONS = (
    "Looks at faces only: sound, bodies, backgrounds and text are not judged.",
    "Finds best what resembles its training data; a new kind of manipulation may pass unnoticed.",
    "Strong compression, beauty filters and small or turned faces make it less certain.",
)

OUTPUTS = ["frame_logits", "clip_logit", "features", "patch_logits"]
"""Of the file; the last, ``(B, T, g, g)``, only of models with a patch map."""
_OPSET = 20  # the first with GELU as one operator, 8 % faster than its parts
_CHECKED_SHAPES = ((1, 1), (2, 3), (3, 2))  # (B, T), none of them what was traced


def export(
    run_or_pth: Path | str, out: Path | str | None = None, *, precision: Precision = "fp32"
) -> Path:
    """Write the ONNX file of a trained detector, checked against torch before it is put in place.

    Args:
        run_or_pth: a run's folder, its ``best_model.pth`` or ``best_model.safetensors``, or an
            exported file in ``fp32`` or ``fp16``, which a bundled model's name stands for.
        out: the file to write; by default beside the checkpoint, ending ``.onnx``.
        precision: ``fp32``; ``fp16``: half the size, computed in float32 all the same; ``int8``: a
            quarter of the size, matrix products in integers (docs/models.md tells what each costs).

    Returns:
        The path that was written.

    Raises:
        ModelError: ``model_missing``, ``model_foreign``, ``model_mismatch`` (see
            `unmask.models.load_checkpoint`), ``model_parity`` (the logits differ by more than
            `TOLERANCE`), ``model_exported`` (an exported file without ``out``), ``model_suffix``
            (``out`` does not end in ``.onnx``).
    """
    if precision not in TOLERANCE:
        raise ValueError(f"precision must be one of {', '.join(TOLERANCE)}, got {precision!r}")
    source, out = source_and_target(run_or_pth, out, ".onnx")
    detector, checkpoint = load_checkpoint(source)
    program = _trace(detector)
    _strip_traces(program.model)
    _name_matrices(program.model)
    about = describe(checkpoint)
    program.model.metadata_props[METADATA_KEY] = json.dumps(about)
    with atomic_path(out) as temporary:
        program.save(temporary, external_data=False)
        _checked(detector, temporary, "fp32")
        if precision != "fp32":
            {"fp16": store_half, "int8": quantize}[precision](temporary, temporary)
            difference = _checked(detector, temporary, precision)
            about["precision"] = {"weights": precision, "largest_logit_difference": difference}
            _put_metadata(temporary, about)
    return out


def model_file(path: Path) -> Path:
    """The file that a run's folder or a path stands for."""
    return path / "models" / "best_model.pth" if path.is_dir() else path


def source_and_target(model: Path | str, out: Path | str | None, suffix: str) -> tuple[Path, Path]:
    """The file to read a trained model from, and the one to write: beside it unless ``out`` says
    where.

    Raises:
        ModelError: ``model_exported``: an exported file, with nothing that says where;
            ``model_suffix``: a place whose name stands for another kind of file.
    """
    source = model_file(locate(model, in_float=True))
    if source.suffix == ensemble.SUFFIX:
        suffix = ensemble.SUFFIX
    if out is not None and Path(out).suffix != suffix:
        raise ModelError(
            f"What is written is a {suffix} file, and '{out}' is called otherwise.",
            code="model_suffix",
            hint=f"Let the name after --out end in {suffix}.",
        )
    if out is None and (source.suffix == ".onnx" or source.parent == FOLDER):
        raise ModelError(
            f"'{model}' is an exported file; what is made of it needs a place of its own.",
            code="model_exported",
            hint=f"Name the {suffix} to write with --out.",
        )
    return source, Path(out) if out else source.with_suffix(suffix)


def _checked(detector: Detector, path: Path, precision: Precision) -> float:
    difference = parity(detector, path, patches=precision == "fp32")
    if not difference <= TOLERANCE[precision]:
        raise ModelError(
            f"The exported {precision} logits differ from torch's by up to {difference:.2g}.",
            code="model_parity",
            hint="Nothing was written. Try another precision, another backbone or a newer torch.",
        )
    return difference


def _put_metadata(path: Path, about: dict[str, Any]) -> None:
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(about)})
    onnx.save(model, path)


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """The JSON that travels inside the exported file."""
    config = to_dict(checkpoint.config)
    clip, model = config.pop("clip"), config.pop("model")
    # Whose folders the files lay in is nobody's business.
    for part, key in (
        (model, "weights"),
        (config["loop"], "start_from"),
        (config["loss"], "teacher"),
    ):
        part[key] = Path(part[key]).name
    return {
        "format_version": 1,
        "name": checkpoint.name,
        "version": checkpoint.version,
        "clip": clip,
        "model": model,
        "calibration": checkpoint.calibration,
        "training": {"metrics": checkpoint.metrics, "config": config, "torch": torch.__version__},
        "limitations": list(LIMITATIONS),
    }


def parity(detector: Detector, path: Path, *, patches: bool = False) -> float:
    """Largest absolute difference of a frame's or clip's logit, with ``patches`` of a patch's as
    well, torch against ONNX Runtime, on random clips."""
    model = load_model(path, device="cpu")
    generator = np.random.default_rng(0)
    side = detector.size_px
    worst = 0.0
    for batch, length in _CHECKED_SHAPES:
        frames = generator.integers(0, 256, (batch, length, side, side, 3), dtype=np.uint8)
        mask = generator.random((batch, length)) < 0.6
        mask[:, 0] |= ~mask.any(axis=1)
        with torch.no_grad():
            expected = _ChannelsLast(detector)(torch.from_numpy(frames), torch.from_numpy(mask))
        pairs = list(zip(expected[:2], model.logits(frames, mask), strict=True))
        if patches and model.has_patches:
            there = model.patch_logits(frames, mask)[mask]
            pairs.append((expected[3][torch.from_numpy(mask)], there))
        for ours, theirs in pairs:
            worst = max(worst, float(np.abs(ours.numpy() - theirs).max()))
    return worst


class _ChannelsLast(nn.Module):
    """The detector as the file offers it: clips ``(B, T, H, W, 3)``, as they lie in memory."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, clips: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        output: Output = self.detector(clips.permute(0, 1, 4, 2, 3), mask)
        if output.features is None:
            raise ValueError("the detector tells no features")
        always = (output.frame_logits, output.clip_logit, output.features.float())
        if output.patch_logits is None:
            return always
        return *always, output.patch_logits[:, :, 0]


def _trace(detector: Detector) -> torch.onnx.ONNXProgram:
    side = detector.size_px
    clips = torch.zeros(2, 3, side, side, 3, dtype=torch.uint8)
    mask = torch.ones(2, 3, dtype=torch.bool)
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    keeps_statistics = _keeps_statistics(detector)
    with _quiet():
        program = torch.onnx.export(
            _ChannelsLast(detector),
            (clips, mask),
            dynamo=True,
            dynamic_shapes={"clips": free, "mask": free},
            input_names=["clips", "mask"],
            output_names=OUTPUTS[: 4 if detector.config.patch_map else 3],
            opset_version=_OPSET,
            optimize=not keeps_statistics,
            verbose=False,
        )
    if program is None:
        raise ModelError("torch exported nothing.", code="model_parity")
    if keeps_statistics:
        # Half a second to import, which the verbs that only build on this one need not wait for.
        from onnxscript.optimizer import fold_constants, remove_unused_nodes

        fold_constants(program.model)
        remove_unused_nodes(program.model)
    return program


def _keeps_statistics(detector: Detector) -> bool:
    """Whether batch statistics stay layers of their own, so that the file can be trained further.

    torch's exporter would fold them into convolutions, as ONNX Runtime does when it opens the file.
    With recurrent layers, which are not read back, it may.
    """
    layers = list(detector.modules())
    return any(isinstance(layer, nn.BatchNorm2d) for layer in layers) and not any(
        isinstance(layer, nn.RNNBase) for layer in layers
    )


def _strip_traces(model: Any) -> None:
    """Take off the exporter's notes: stack traces with this machine's paths, in every node."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


def _name_matrices(model: Any) -> None:
    """Give back the names of weight matrices, which the exporter folds into nameless constants:
    the product that a bias is added to has that bias's matrix, and `load_checkpoint` finds it."""
    known = model.graph.initializers
    for node in model.graph:
        matrix = node.inputs[1] if node.op_type == "MatMul" else None
        if matrix is None or not matrix.is_initializer():
            continue
        added = [use for use in node.outputs[0].consumers() if use.op_type == "Add"]
        for bias in (value for use in added for value in use.inputs if value.is_initializer()):
            name = bias.name.removesuffix("bias") + TRANSPOSED
            if bias.name.endswith(".bias") and name not in known:
                matrix.name = name


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which prints, warns and logs about its own insides."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
