"""From predictions to the results tree of ``experiment_results.json``.

Video level, keyed by the video's path, is the headline; frame level judges every crop by itself
with the same calibration and threshold. Videos without a score (no face, undecodable) are counted
and named by reason, and left out of every measure: a convention that is stated beside the numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unmask.evaluation.predictions import JUDGED, Prediction
from unmask.metrics import Estimate, summarize
from unmask.scoring import Calibration

SCHEMA_VERSION = "1.0"
FACE_BANDS_PX = (0, 48, 96, 192)  # lower edges; the last band is open
CONVENTION = (
    "Videos without a score are counted by reason and left out of every measure. A score at or "
    "above the threshold is called manipulated; threshold and calibration come from validation. "
    "Frame level judges every crop by itself with its video's label."
)
INTERVALS = "percentile bootstrap over groups, 95 %"

Tree = dict[str, Any]


def results_of(
    predictions: Sequence[Prediction],
    calibration: Calibration,
    *,
    timings: Mapping[str, Any] | None = None,
    versions: Mapping[str, Any] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Tree:
    """Everything that is measured, as plain values without NaN.

    Args:
        predictions: one a video, abstentions included.
        calibration: that the scores were made with.
        timings: put into the tree as they are.
        versions: put into the tree as they are.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        ``counts``, ``video`` and ``frame`` (every measure with value, low, high), ``by_method``,
        ``by_source``, ``by_face_size``, ``calibration``, ``convention``, ``intervals``,
        ``timings``, ``versions``.
    """
    judged = [row for row in predictions if row.status == JUDGED]
    how = {"resamples": resamples, "seed": seed}
    return {
        "schema_version": SCHEMA_VERSION,
        "split": sorted({row.split for row in predictions}),
        "counts": _counts(predictions, judged),
        "video": _level(judged, calibration, frames=False, **how),
        "frame": _level(judged, calibration, frames=True, **how),
        "by_method": _by_method(judged, calibration, **how),
        "by_source": _by_source(judged, calibration, **how),
        "by_face_size": _by_face_size(judged, calibration, **how),
        "calibration": calibration.to_dict(),
        "convention": CONVENTION,
        "intervals": {"kind": INTERVALS, **how},
        "timings": dict(timings or {}),
        "versions": dict(versions or {}),
    }


def _counts(predictions: Sequence[Prediction], judged: Sequence[Prediction]) -> Tree:
    reasons = Counter(row.status for row in predictions if row.status != JUDGED)
    return {
        "videos": len(predictions),
        "judged": len(judged),
        "judged_share": len(judged) / len(predictions) if predictions else None,
        "authentic": sum(row.label == 0 for row in judged),
        "manipulated": sum(row.label == 1 for row in judged),
        "groups": len({row.group for row in judged}),
        "frames": sum(row.frames_used for row in judged),
        "not_judged": dict(sorted(reasons.items())),
    }


def _level(
    rows: Sequence[Prediction],
    calibration: Calibration,
    *,
    frames: bool,
    resamples: int,
    seed: int,
) -> Tree:
    labels, scores, groups = table(rows, calibration, frames=frames)
    found = summarize(labels, scores, calibration.threshold, groups, resamples=resamples, seed=seed)
    return {name: _plain(estimate) for name, estimate in found.items()}


def table(
    rows: Sequence[Prediction], calibration: Calibration, *, frames: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores and group numbers, ``(N,)`` each, of judged videos or of all their frames."""
    numbers = {name: k for k, name in enumerate(sorted({row.group for row in rows}))}
    repeats = [row.frames_used if frames else 1 for row in rows]
    labels = np.repeat(np.array([row.label for row in rows], int), repeats)
    groups = np.repeat(np.array([numbers[row.group] for row in rows], int), repeats)
    if frames:
        logits = np.array([logit for row in rows for logit in row.frame_logits], float)
        return labels, calibration.scores(logits), groups
    return labels, np.array([row.score for row in rows], float), groups


def _by_method(
    rows: Sequence[Prediction], calibration: Calibration, *, resamples: int, seed: int
) -> Tree:
    """Each manipulation method's videos against all the authentic ones."""
    authentic = [row for row in rows if row.label == 0]
    found = {}
    for method in sorted({row.method for row in rows if row.label == 1 and row.method}):
        fakes = [row for row in rows if row.label == 1 and row.method == method]
        found[method] = _part([*authentic, *fakes], calibration, resamples, seed)
    return found


def _by_source(
    rows: Sequence[Prediction], calibration: Calibration, *, resamples: int, seed: int
) -> Tree:
    """Each collection by itself, both classes of it against each other."""
    return {
        name: _part([row for row in rows if row.dataset == name], calibration, resamples, seed)
        for name in sorted({row.dataset for row in rows if row.dataset})
    }


def _by_face_size(
    rows: Sequence[Prediction], calibration: Calibration, *, resamples: int, seed: int
) -> Tree:
    """Bands of the median face size, both classes of a band against each other."""
    known = [(row.face_px, row) for row in rows if row.face_px is not None]
    found = {}
    for low, high in zip(FACE_BANDS_PX, [*FACE_BANDS_PX[1:], np.inf], strict=True):
        part = [row for size, row in known if low <= size < high]
        if part:
            name = f"{low}-{high - 1}_px" if np.isfinite(high) else f"{low}_px_and_more"
            found[name] = _part(part, calibration, resamples, seed)
    return found


def _part(rows: Sequence[Prediction], calibration: Calibration, resamples: int, seed: int) -> Tree:
    level = _level(rows, calibration, frames=False, resamples=resamples, seed=seed)
    counts = {
        "authentic": sum(row.label == 0 for row in rows),
        "manipulated": sum(row.label == 1 for row in rows),
    }
    return {**counts, **{name: level[name] for name in ("auc_roc", "eer", "apcer", "bpcer")}}


def _plain(estimate: Estimate) -> Tree:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


_PARTS = {"by_source": "source", "by_method": "method", "by_face_size": "face"}


def card_metrics(results: Mapping[str, Any]) -> str:
    """A results tree as the Markdown table that a model's card holds: overall, by source, by
    method and by face size."""
    counts, level = results["counts"], results["video"]
    rows = [("all", {**counts, **level})]
    for key, words in _PARTS.items():
        rows += [
            (f"{words} {name.replace('_', ' ')}", part)
            for name, part in results.get(key, {}).items()
        ]
    lines = [
        "| videos | authentic | manipulated | AUC | BPCER | APCER |",
        "|---|---|---|---|---|---|",
    ]
    for name, part in rows:
        figures = (Estimate(**part[measure]).text for measure in ("auc_roc", "bpcer", "apcer"))
        cells = (name, str(part["authentic"]), str(part["manipulated"]), *figures)
        lines.append(f"| {' | '.join(cells)} |")
    not_judged = counts["videos"] - counts["judged"]
    lines += [
        "",
        f"Split {', '.join(results['split'])}, {counts['groups']} groups, {not_judged} videos not "
        "judged; BPCER and APCER at the threshold that ships; 95 % bootstrap intervals by group. "
        "Methods stand against all authentic videos.",
    ]
    return "\n".join(lines) + "\n"
