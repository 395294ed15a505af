"""The verb `calibrate`: fit score, threshold and evidence words of a trained model on videos.

Training calibrates on its own validation split. Where the videos to be judged are of another kind,
or a model was trained on a bank of faces, this fits anew on labelled videos that it never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask.errors import DatasetError
from unmask.inference import ensemble
from unmask.models import load_checkpoint, save_calibrated
from unmask.progress import say
from unmask.scoring import Calibration, Guard, fit, fit_familiarity
from unmask.verbs.evaluate import score_split
from unmask.verbs.export import export, source_and_target


@dataclass(frozen=True)
class CalibrationReport:
    """What a calibration came to."""

    model: Path
    """The ``.pth`` that was written, beside which ``.safetensors`` and ``.onnx`` lie, or the
    ``.json`` of an ensemble."""
    calibration: Calibration
    videos: dict[str, int]
    """Judged videos by the data that they came from."""


def calibrate(
    model: Path,
    data: Sequence[Path],
    *,
    split: str = "val",
    name: str = "",
    version: str = "",
    out: Path | None = None,
) -> CalibrationReport:
    """Fit temperature, offset, threshold, cut points and the guard's reference of familiar faces,
    and write the model with them. The reference needs faces of two sources or more.

    Args:
        model: a run's folder, its ``.pth`` or ``.safetensors``, an ``.onnx`` in ``fp32`` or
            ``fp16``, the ``.json`` of an ensemble, or a bundled model's name.
        data: stores or dataset folders with both classes; every one of them weighs by its videos.
        split: of each; it must be one that the model was not trained on.
        name: of the model, if it is to have another.
        version: of the model, if it is to have another.
        out: the ``.pth`` or ``.json`` to write; by default the one that was read.

    Raises:
        DatasetError: no video can be judged.
        ModelError: ``model_exported``: an exported file without ``out``.
        StoreError, ModelError: see `unmask.errors`.
    """
    source, out = source_and_target(model, out, ".pth")
    logits: list[float] = []
    labels: list[int] = []
    features: list[NDArray[np.float32]] = []
    sources: list[str] = []
    videos: dict[str, int] = {}
    for folder in data:
        found = score_split(source, folder, split)
        rows = [row for row in found.predictions if row.logit is not None]
        features.append(found.features)
        sources += [f"{folder}:{name}" for name in found.sources]
        logits += [row.logit for row in rows if row.logit is not None]
        labels += [row.label for row in rows]
        videos[str(folder)] = len(rows)
    if not logits:
        raise DatasetError(
            f"No video of the {split} split can be judged.",
            code="dataset_empty_split",
            hint="Choose another --split, or see problems.csv in the store.",
        )
    calibration = fit(np.array(logits), np.array(labels))
    for note in calibration.notes:
        say(f"Calibration: {note}")
    known = fit_familiarity(np.concatenate(features), np.array(sources)) if sources else None
    if known is None:
        say("The guard will not look at features: that takes faces of two sources or more.")
    guard = Guard(familiarity=known)
    _write(source, out, name, version, calibration.to_dict() | guard.to_record())
    return CalibrationReport(out, calibration, videos)


def _write(source: Path, out: Path, name: str, version: str, fitted: dict[str, Any]) -> None:
    """What was read, with another calibration and, where they are given, name and version."""
    if source.suffix == ensemble.SUFFIX:
        record = ensemble.read(source)
        ensemble.write(
            replace(
                record,
                name=name or record.name,
                version=version or record.version,
                calibration=fitted,
            ),
            out,
        )
        return
    detector, about = load_checkpoint(source)
    about = replace(about, name=name or about.name, version=version or about.version)
    save_calibrated(out, detector, about, fitted)
    export(out)
