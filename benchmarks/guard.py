"""Where a detector stops being able to tell: what the limits of its guard rest on (docs/guard.md).

Held-out faces of both classes are darkened, overexposed, shrunk and blurred step by step. All
crops of a kind of harm are pooled and put into bands of what the guard measures in a crop; a band
is beyond the limit where less than half of the untouched crops' skill is left (2 AUC - 1), where
the share of authentic crops called manipulated is more than twice that of the untouched ones, or
where less than a quarter of the manipulated crops that are found untouched are found.

    python benchmarks/guard.py MODEL.onnx STORE --crops 240
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.clips import ClipStore
from unmask.inference import Model, load_model
from unmask.metrics import roc_auc
from unmask.scoring import Calibration, fit_familiarity
from unmask.scoring.sharpness import look

Harm = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]
LEAST = 20  # crops in a band that say anything
NOISE = 1.5  # of 255: what a sensor adds whatever the light


def light(gain: float) -> Harm:
    """Less or more light with the sensor's noise as before, in whole numbers."""

    def harm(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        lit = crop.astype(np.float32) * gain + rng.normal(0, NOISE, crop.shape)
        return np.clip(lit, 0, 255).round().astype(np.uint8)

    return harm


def shrink(face_px: int, margin: float) -> Harm:
    """As if the face had been this large in the frame."""

    def harm(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        side, small = crop.shape[0], max(4, round(face_px * margin))
        if small >= side:
            return crop
        tiny = cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(tiny, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)

    return harm


def blur(share: float, margin: float) -> Harm:
    """Gaussian, by this share of the face's width."""
    return lambda crop, rng: np.asarray(
        cv2.GaussianBlur(crop, (0, 0), share * crop.shape[0] / margin), np.uint8
    )


def harms(margin: float) -> dict[str, tuple[str, dict[str, Harm]]]:
    """By kind: the measure that sees it, and its steps."""
    return {
        "dark": ("brightness", {f"{g:g} times the light": light(g) for g in DARK}),
        "overexposed": ("glare", {f"{g:g} times the light": light(g) for g in BRIGHT}),
        "small": ("sharpness", {f"face of {n} px": shrink(n, margin) for n in SIZES}),
        "blurred": ("sharpness", {f"blur of {s:.0%}": blur(s, margin) for s in BLURS}),
    }


DARK, BRIGHT = (0.25, 0.18, 0.12, 0.09, 0.06), (2.0, 3.0, 5.0)
SIZES, BLURS = (64, 40, 32, 24), (0.01, 0.02, 0.04, 0.06)
BANDS = {  # of what is measured in a crop
    "brightness": (0, 10, 15, 20, 25, 30, 40, 60, 100, 256),
    "glare": (0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 1.01),
    "sharpness": (0, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.05, 9),
}


class Measured:
    """Scores, labels and looks of the crops under one harm."""

    def __init__(self, model: Model, crops: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        logits, _, features = model.logits_and_features(
            crops[:, None], np.ones((len(crops), 1), np.bool_)
        )
        calibration = Calibration.from_dict(model.calibration)
        self.labels, self.scores = labels, calibration.scores(logits[:, 0])
        self.called = self.scores >= calibration.threshold
        self.features = None if features is None else features[:, 0]
        seen = [look(crop) for crop in crops]
        self.looks = {name: np.array([getattr(one, name) for one in seen]) for name in BANDS}


def figures(parts: list[Measured], keep: NDArray[np.bool_] | None = None) -> tuple[float, ...]:
    """AUC, BPCER and APCER of pooled crops; NaN where undefined."""
    labels = np.concatenate([part.labels for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    called = np.concatenate([part.called for part in parts])
    keep = np.ones(len(labels), np.bool_) if keep is None else keep
    auc = roc_auc(labels[keep], scores[keep])
    real, fake = keep & (labels == 0), keep & (labels == 1)
    return (
        np.nan if auc is None else auc,
        called[real].mean() if real.any() else np.nan,
        1 - called[fake].mean() if fake.any() else np.nan,
    )


def beyond(found: tuple[float, ...], clean: tuple[float, ...]) -> bool:
    """Whether a band lies beyond the limit."""
    lost = 2 * found[0] - 1 < (2 * clean[0] - 1) / 2
    missed = 1 - found[2] < (1 - clean[2]) / 4
    return bool(lost or missed or found[1] > 2 * clean[1])


def main() -> None:
    """Print the tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a file or a bundled name")
    parser.add_argument("store", type=Path)
    parser.add_argument("--crops", type=int, default=240)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    model, store = load_model(options.model), ClipStore.open(options.store)
    crops, labels = some(store, options.crops)
    margin = store.spec.margin
    clean = Measured(model, crops, labels)
    untouched = figures([clean])
    print("| harm | AUC | BPCER | APCER |\n|---|---|---|---|")
    print(f"| none | {row(untouched)} |", flush=True)
    pools: dict[str, list[Measured]] = {name: [clean] for name in BANDS}
    for measure, steps in harms(margin).values():
        for name, harm in steps.items():
            rng = np.random.default_rng(1)
            found = Measured(model, np.stack([harm(crop, rng) for crop in crops]), labels)
            pools[measure].append(found)
            print(f"| {name} | {row(figures([found]))} |", flush=True)
    for measure, parts in pools.items():
        bands(measure, parts, untouched)
    distance(clean, [part for parts in pools.values() for part in parts[1:]], untouched)


def bands(measure: str, parts: list[Measured], untouched: tuple[float, ...]) -> None:
    """The pooled crops by what the guard measures in them."""
    values = np.concatenate([part.looks[measure] for part in parts])
    print(f"\n| {measure} | crops | AUC | BPCER | APCER | |\n|---|---|---|---|---|---|")
    edges = BANDS[measure]
    for low, high in pairwise(edges):
        inside = (values >= low) & (values < high)
        if inside.sum() >= LEAST:
            found = figures(parts, inside)
            mark = "beyond" if beyond(found, untouched) else ""
            print(f"| {low:g}-{high:g} | {inside.sum()} | {row(found)} | {mark} |")


def distance(clean: Measured, harmed: list[Measured], untouched: tuple[float, ...]) -> None:
    """The harmed crops by the distance of their features to the untouched ones."""
    if clean.features is None:
        return
    # Both classes stand for two sources: here the limit only serves as a unit.
    reference = fit_familiarity(clean.features, clean.labels)
    if reference is None:
        return
    # The model that gave features of the untouched crops gave them of all.
    features = [part.features for part in harmed if part.features is not None]
    far = np.concatenate([reference.distances(each) for each in features]) / reference.limit
    print("\n| distance, by the limit | crops | AUC | BPCER | APCER | |\n|---|---|---|---|---|---|")
    for low, high in ((0, 0.5), (0.5, 0.75), (0.75, 1.0), (1.0, 1.25), (1.25, np.inf)):
        inside = (far >= low) & (far < high)
        if inside.sum() >= LEAST:
            found = figures(harmed, inside)
            mark = "beyond" if beyond(found, untouched) else ""
            print(f"| {low:g}-{high:g} | {inside.sum()} | {row(found)} | {mark} |")


def some(store: ClipStore, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One crop of each of ``count`` videos that training never saw, half of each class."""
    rng = np.random.default_rng(0)
    chosen = []
    for label in (0, 1):
        entries = [
            entry
            for entry in store.entries
            if entry.record.label == label and entry.record.split != "train" and entry.clips
        ]
        chosen += [entries[at] for at in rng.permutation(len(entries))[: count // 2]]
    crops = [store.frames(e.clips[0])[int(np.argmax(e.clips[0].mask))] for e in chosen]
    return np.stack(crops), np.array([entry.record.label for entry in chosen])


def row(found: tuple[float, ...]) -> str:
    """AUC and error rates as cells."""
    auc, bpcer, apcer = found
    return f"{auc:.3f} | {100 * bpcer:.1f} % | {100 * apcer:.1f} %"


if __name__ == "__main__":
    main()
