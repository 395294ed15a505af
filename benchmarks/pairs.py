"""Models side by side on the validation pairs of a bank of faces, by kind of fake.

    python benchmarks/pairs.py faces.npz unmask-base unmask-lite [--under h264_crf_23 ...]

A kind's fakes stand against the authentic faces of all kinds, one frame each. Pairs come degraded
as training's do; ``--under`` harms them all once more (`unmask.augment.conditions`). Training
looked at the same pairs to choose its best epoch.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unmask.augment.conditions import AS_IT_IS, BY_KEY, Condition
from unmask.config import PairsConfig, TrainConfig
from unmask.data.facebank import FaceBank
from unmask.data.pairs import pair_loaders
from unmask.data.pseudo import KIND_NAMES
from unmask.metrics import summarize
from unmask.types import FAKE, REAL, UInt8Array
from unmask.verbs.scorer import Scorer, open_scorer

BATCH = 32
Tree = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the pairs once, score them by every model under every condition, print tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bank", type=Path)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--under", action="append", default=[], choices=sorted(BY_KEY))
    parser.add_argument("--per-kind", type=int, default=PairsConfig.val_pairs)
    parser.add_argument("--kept", type=Path, default=Path("validation.npz"))
    options = parser.parse_args(arguments)
    bank = FaceBank.load(options.bank)
    scorers = [open_scorer(model) for model in options.models]
    pairs = PairsConfig(val_pairs=options.per_kind)
    config = TrainConfig(clip=scorers[0].config.clip, pairs=pairs)
    pair_loaders(bank, config, torch.device("cpu"), options.kept)
    with np.load(options.kept, allow_pickle=False) as columns:
        images, labels, kind, row = (columns[n] for n in ("images", "labels", "kind", "row"))
    for condition in (AS_IT_IS, *(BY_KEY[key] for key in options.under)):
        seen = harmed(images, condition)
        print(f"\n{condition.name}:\n")
        rows = [
            auc_by_kind(score(scorer, seen), labels, kind, bank.group[row]) for scorer in scorers
        ]
        print(table([path.name for path in options.models], rows))


def score(scorer: Scorer, images: UInt8Array) -> NDArray[np.float64]:
    """Calibrated scores of clips ``(N, T, S, S, 3)``: ``(N,)``."""
    parts = (images[at : at + BATCH] for at in range(0, len(images), BATCH))
    logits = [scorer.run(part, np.ones(part.shape[:2], np.bool_)).clip_logits for part in parts]
    return np.asarray(scorer.calibration.scores(np.concatenate(logits)))


def auc_by_kind(
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    kind: NDArray[np.int64],
    groups: NDArray[Any],
) -> dict[str, Tree]:
    """AUC with its 95 % interval over resampled groups, of each kind's fakes and of all."""
    found = {}
    for number in np.unique(kind[labels == FAKE]):
        part = (labels == REAL) | (kind == number)
        found[KIND_NAMES[number]] = auc(labels, scores, groups, part)
    return {**found, "all": auc(labels, scores, groups, np.ones(len(labels), np.bool_))}


def auc(
    labels: NDArray[Any], scores: NDArray[Any], groups: NDArray[Any], part: NDArray[np.bool_]
) -> Tree:
    """AUC with its 95 % interval over resampled groups, of some rows."""
    found = summarize(labels[part], scores[part], 0.5, groups[part])["auc_roc"]
    return {"value": found.value, "low": found.low, "high": found.high}


def harmed(images: UInt8Array, condition: Condition) -> UInt8Array:
    """Every clip under a condition, with a seed of its own."""
    there = np.ones(images.shape[1], np.bool_)
    return np.stack([condition(clip, there, seed) for seed, clip in enumerate(images)])


def table(names: Sequence[str], rows: Sequence[dict[str, Tree]]) -> str:
    """In Markdown: a row a model, a column a kind."""
    kinds = list(rows[0])
    lines = [f"| model | {' | '.join(kinds)} |", "|---" * (1 + len(kinds)) + "|"]
    for name, row in zip(names, rows, strict=True):
        cells = [
            f"{row[kind]['value']:.3f} [{row[kind]['low']:.3f}, {row[kind]['high']:.3f}]"
            for kind in kinds
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
