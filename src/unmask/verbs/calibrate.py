"""The verb `calibrate`: fit score, threshold and evidence words of a trained model on videos.

Training calibrates on its own validation split. Where the videos to be judged are of another kind,
or a model was trained on a bank of faces, this fits anew on labelled videos that it never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask.augment.conditions import AS_IT_IS, BY_KEY, Condition
from unmask.errors import ConfigError, DatasetError
from unmask.evaluation import Prediction
from unmask.inference import ensemble
from unmask.metrics import summarize
from unmask.models import load_checkpoint, save_calibrated
from unmask.progress import say
from unmask.scoring import Calibration, Guard, cross_fit, fit, fit_familiarity
from unmask.types import REAL
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
    cross_fitted: dict[str, Any]
    """``ece``, ``bpcer`` and ``apcer`` (each ``value``, ``low``, ``high``) of the videos as they
    are, each judged by a fit that saw nothing of its group; empty with too few groups."""


def calibrate(
    model: Path,
    data: Sequence[Path],
    *,
    split: str = "val",
    name: str = "",
    version: str = "",
    out: Path | None = None,
    conditions: Sequence[str] = (),
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
        conditions: keys of `unmask.augment.conditions`, under which every video counts once more:
            the threshold then keeps its promise for videos that were uploaded and compressed, too.

    Raises:
        ConfigError: a condition that there is not.
        DatasetError: no video can be judged, or (``dataset_one_class``) none of a class.
        ModelError: ``model_exported``: an exported file without ``out``; ``model_suffix``: ``out``
            does not end as it must.
        StoreError, ModelError: see `unmask.errors`.
    """
    source, out = source_and_target(model, out, ".pth")
    harms = _conditions(conditions)
    rows: list[Prediction] = []
    harmed: list[Prediction] = []
    features: list[NDArray[np.float32]] = []
    sources: list[str] = []
    videos: dict[str, int] = {}
    for folder in data:
        found = score_split(source, folder, split, harms)
        judged = _judged(found.predictions, folder)
        rows += judged
        harmed += _judged(found.harmed, folder)
        features.append(found.features)
        sources += [f"{folder}:{name}" for name in found.sources]
        videos[str(folder)] = len(judged)
    of_each = _of_each_class(rows, split)
    everything = (*rows, *harmed)
    logits, labels = np.array([(row.logit, row.label) for row in everything], float).T
    # Copies of a video are no further videos.
    calibration = fit(logits, labels.astype(int), videos=of_each)
    for note in calibration.notes:
        say(f"Calibration: {note}")
    honest = _cross_fitted(logits, labels, everything, len(rows))
    known = fit_familiarity(np.concatenate(features), np.array(sources)) if sources else None
    if known is None:
        say("The guard will not look at features: that takes faces of two sources or more.")
    guard = Guard(familiarity=known)
    record = calibration.to_dict() | guard.to_record()
    record |= {"under": [AS_IT_IS.key, *conditions], "cross_fitted": honest}
    _write(source, out, name, version, record)
    return CalibrationReport(out, calibration, videos, honest)


def _judged(rows: Sequence[Prediction], folder: Path) -> list[Prediction]:
    """Those that have a logit, in groups of the folder's own: folders may number people alike."""
    return [replace(row, group=f"{folder}:{row.group}") for row in rows if row.logit is not None]


def _of_each_class(rows: Sequence[Prediction], split: str) -> tuple[int, int]:
    """How many authentic and manipulated videos there are: some of each."""
    if not rows:
        raise DatasetError(
            f"No video of the {split} split can be judged.",
            code="dataset_empty_split",
            hint="Choose another --split, or see problems.csv in the store.",
        )
    authentic = sum(row.label == REAL for row in rows)
    manipulated = len(rows) - authentic
    if not (authentic and manipulated):
        raise DatasetError(
            f"Of the {split} split {authentic} authentic and {manipulated} manipulated videos can "
            "be judged: both classes are needed.",
            code="dataset_one_class",
            hint="Add videos of the other class, or see problems.csv in the store.",
        )
    return authentic, manipulated


def _cross_fitted(
    logits: NDArray[np.float64],
    labels: NDArray[np.float64],
    rows: Sequence[Prediction],
    untouched: int,
) -> dict[str, Any]:
    """What the fit is worth on videos that it did not see, copies of theirs included; told of the
    first ``untouched`` rows, which are the videos as they are."""
    groups = [row.group for row in rows]
    judged = cross_fit(logits, labels, groups)
    if judged is None:
        return {}
    truth, of = labels[:untouched], groups[:untouched]
    scores, called = (column[:untouched] for column in judged)
    found = {"ece": summarize(truth, scores, 0.5, of)["ece"]}
    decided = summarize(truth, called.astype(float), 0.5, of)
    found |= {name: decided[name] for name in ("bpcer", "apcer")}
    return {name: asdict(estimate) for name, estimate in found.items()}


def _conditions(keys: Sequence[str]) -> list[Condition]:
    for key in keys:
        if key not in BY_KEY:
            known = ", ".join(BY_KEY)
            raise ConfigError(f"There is no condition '{key}'.", hint=f"Known: {known}.")
    return [BY_KEY[key] for key in keys]


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
