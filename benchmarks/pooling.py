"""By which rule do a video's frames become one logit? Rules side by side, on labelled videos.

    python benchmarks/pooling.py MODEL --data DATA:val [--data STORE:test ...]

For detectors of single frames, whose clip logit is the mean of their frames'. AUC with its 95 %
interval over resampled groups. Besides, videos that are manipulated in part: the rest of
their frames is taken from an authentic one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unmask.evaluation import Prediction
from unmask.metrics import summarize
from unmask.types import FAKE, REAL
from unmask.verbs.evaluate import score_split

Floats = NDArray[np.float64]
LEAST_FRAMES = 4


def highest(share: float) -> Callable[[Floats], float]:
    """The mean of this share of the frames, those with the highest logits."""
    return lambda logits: float(np.sort(logits)[-max(1, round(share * len(logits))) :].mean())


def trimmed(share: float) -> Callable[[Floats], float]:
    """The mean without this share of the frames at either end."""

    def rule(logits: Floats) -> float:
        cut = int(share * len(logits))
        return float(np.sort(logits)[cut : len(logits) - cut].mean())

    return rule


RULES: dict[str, Callable[[Floats], float]] = {
    "mean of logits (`PoolingSpec`)": lambda logits: float(logits.mean()),
    "mean of scores": lambda logits: float((1 / (1 + np.exp(-logits))).mean()),
    "median": lambda logits: float(np.median(logits)),
    "mean without a tenth at either end": trimmed(0.1),
    "mean of the highest half": highest(0.5),
    "mean of the highest quarter": highest(0.25),
    "highest": lambda logits: float(logits.max()),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Score once, pool by every rule, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", action="append", required=True, help="DATA:SPLIT")
    options = parser.parse_args(arguments)
    rows: list[Prediction] = []
    for place in options.data:
        data, _, split = place.rpartition(":")
        found = score_split(options.model, Path(data), split).predictions
        rows += [row for row in found if len(row.frame_logits) >= LEAST_FRAMES]
    labels = np.array([row.label for row in rows])
    groups = np.array([row.group for row in rows])
    print(f"{(labels == REAL).sum()} authentic and {(labels == FAKE).sum()} manipulated videos\n")
    shares = (1.0, 0.5, 0.25)
    print(f"| rule | {' | '.join(f'{share:.0%} manipulated' for share in shares)} |")
    print("|---" * (1 + len(shares)) + "|")
    for name, rule in RULES.items():
        cells = []
        for share in shares:
            logits = np.array([rule(frames) for frames in in_part(rows, share)])
            auc = summarize(labels, 1 / (1 + np.exp(-logits)), 0.5, groups)["auc_roc"]
            cells.append(f"{auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]")
        print(f"| {name} | {' | '.join(cells)} |")


def in_part(rows: Sequence[Prediction], share: float) -> list[Floats]:
    """Frame logits of every video, of which manipulated ones keep only this share of their own and
    take the rest from an authentic one, another for each."""
    authentic = [np.array(row.frame_logits) for row in rows if row.label == REAL]
    frames, turn = [], 0
    for row in rows:
        own = np.array(row.frame_logits)
        if row.label == FAKE and share < 1:
            keep = max(1, round(share * len(own)))
            other = authentic[turn % len(authentic)]
            own = np.concatenate([own[:keep], np.resize(other, len(own) - keep)])
            turn += 1
        frames.append(own)
    return frames


if __name__ == "__main__":
    main()
