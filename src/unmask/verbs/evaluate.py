"""The verb `evaluate`: a model and a labelled split in, metrics, predictions and plots out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask import evaluation, report
from unmask.augment.conditions import Condition
from unmask.clips import ClipStore, check_spec, is_store
from unmask.config import FRAMES_LOOKED_AT, DataConfig, TrainConfig
from unmask.evaluation import Prediction
from unmask.evaluation.plots import plot_evaluation
from unmask.files import write_json, write_text
from unmask.progress import say
from unmask.scoring import Calibration
from unmask.training.environment import describe_environment
from unmask.training.validate import ClipScores, Floats, crop_features, crop_sources
from unmask.verbs.prepare import prepare
from unmask.verbs.scorer import items_of, open_scorer, predictions_of, under
from unmask.weights import put_field

SPLITS = ("train", "val", "test")


def evaluate(
    model: Path | str,
    data: Path | str,
    *,
    split: str = "test",
    out: Path | str | None = None,
    training: Mapping[str, Any] | None = None,
    card: Path | str | None = None,
    performance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Score a split by the rule that `detect` uses and leave the result files.

    Args:
        model: a run's folder (its best checkpoint), a ``.pth``, an exported ``.onnx``, an
            ensemble's ``.json``, or a bundled model's name.
        data: a store, or a dataset folder (prepared beside ``out`` with the model's ClipSpec).
            Splits that the folder does not give are made as in the model's training, so that the
            videos it was trained on never are its test.
        split: ``train``, ``val`` or ``test``.
        out: folder of the results; default ``results-<data>-<split>`` in the run's folder, or in
            the working folder for a model that is part of no run.
        training: facts about the training, put into the report.
        card: a model's card (YAML) whose field ``metrics`` is to hold the measures.
        performance: where the training's time went, put into the report.

    Returns:
        The tree of ``experiment_results.json`` (docs/metrics.md).

    Raises:
        DatasetError, StoreError, ModelError: see `unmask.errors`.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    scorer = open_scorer(Path(model))
    out = Path(out) if out else scorer.results_folder(Path(data), split)
    store = clips_for(Path(data), out, scorer.config)
    items = items_of(store, split)
    began = time.perf_counter()
    scores = scorer.score(store, items)
    seconds = time.perf_counter() - began
    predictions = predictions_of(store, split, items, scores, scorer.calibration)
    tree = evaluation.results_of(
        predictions,
        scorer.calibration,
        timings={
            "score_seconds": round(seconds, 2),
            "crops_per_second": round(sum(int(np.sum(i.ref.mask)) for i in items) / seconds, 1),
        },
        versions=describe_environment()["packages"],
    )
    tree |= {"model": scorer.facts, "training": dict(training or {})}
    if performance is not None:
        tree["performance"] = dict(performance)
    _write(out, tree, predictions, scorer.calibration)
    if card:
        put_field(Path(card), "metrics", evaluation.card_metrics(tree))
    say(f"Results of {len(predictions)} {split} videos are in {out}.")
    return tree


@dataclass(frozen=True)
class SplitScores:
    """What `score_split` found."""

    predictions: list[Prediction]
    """One a video, judged or not."""
    harmed: list[Prediction]
    """As many once more for each condition."""
    features: Floats
    """``(M, F)`` of every crop; ``(0, 0)`` where the model tells none."""
    sources: NDArray[np.str_]
    """``(M,)`` the collection that each of them is from."""


def score_split(
    model: Path, data: Path, split: str, conditions: Sequence[Condition] = ()
) -> SplitScores:
    """Only the rows of `evaluate` and the features behind them; nothing is written but clips.

    Args:
        model: as in `evaluate`.
        data: as in `evaluate`; a folder of videos is prepared in the model's run, or in the
            working folder where it is part of none.
        split: as in `evaluate`.
        conditions: harms under which every video is scored once more.
    """
    scorer = open_scorer(model)
    store = clips_for(data, scorer.run_folder / f"clips-{data.resolve().name}", scorer.config)
    items = items_of(store, split)
    scores = scorer.score(store, items)
    rows = predictions_of(store, split, items, scores, scorer.calibration)
    told = crop_features(items, scores)
    sources = crop_sources(items)[: len(told)]
    harmed: list[Prediction] = []
    for condition in conditions:
        parts = [scorer.run(batch.frames, batch.masks) for batch in under(condition, store, items)]
        joined = ClipScores.joined(parts)
        harmed += predictions_of(store, split, items, joined, scorer.calibration)
    return SplitScores(rows, harmed, told, sources)


def _write(
    out: Path, tree: dict[str, Any], predictions: list[Prediction], calibration: Calibration
) -> None:
    write_json(out / "experiment_results.json", tree)
    write_text(out / "experiment_report.txt", report.experiment_text(tree))
    evaluation.write_predictions(out / "test_predictions.csv", predictions)
    plot_evaluation(predictions, calibration, out / "evaluation")


def clips_for(data: Path, out: Path, config: TrainConfig) -> ClipStore:
    """The store that ``data`` is, with as many clips a video as it likes; or one made of it that
    splits videos as the model's training did.

    Copies of a recording are kept in one split by what their clips show, so the clips are those of
    training; a model of single frames looks at as many as `detect` does, since one says too little.
    """
    spec = config.clip
    if is_store(data):
        store = ClipStore.open(data)
        check_spec(data, replace(store.spec, clips=spec.clips), spec)
        return store
    folder = out / "clips"
    spec = spec.looking_at(FRAMES_LOOKED_AT) if spec.frames == 1 else spec
    usual = DataConfig()  # it may run elsewhere
    every = replace(config.data, videos_per_class=0, decoder=usual.decoder, workers=usual.workers)
    prepare(data, folder, clip=spec, data_config=every, seed=config.loop.seed)
    store = ClipStore.open(folder, spec)
    splits = Counter(entry.record.split for entry in store.entries)
    say("Videos by split: " + ", ".join(f"{name} {n}" for name, n in sorted(splits.items())) + ".")
    return store
