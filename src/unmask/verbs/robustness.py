"""How much of a detector's skill compression, scaling, blur, noise and light leave: one table.

Every clip of a seeded sample is harmed in its stored crops, one condition after the other, and
scored as it would be without: the faces are those that were found in the untouched videos.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from unmask.augment.conditions import AS_IT_IS, CONDITIONS, Condition
from unmask.clips import ClipStore
from unmask.data.loader import ClipItem, by_video
from unmask.evaluation.robustness import (
    RobustnessRow,
    robustness_csv,
    robustness_markdown,
    robustness_row,
    robustness_tree,
)
from unmask.files import write_json, write_text
from unmask.progress import say
from unmask.scoring import speaking
from unmask.training.validate import ClipScores
from unmask.verbs.evaluate import clips_for
from unmask.verbs.scorer import Scorer, items_of, open_scorer, predictions_of, under
from unmask.weights import put_field

VIDEOS = 200
"""In the sample, unless asked otherwise."""
CROPS_A_VIDEO = 8
"""Looked at under each condition, rounded up to whole clips."""


def robustness(
    model: Path | str,
    data: Path | str,
    *,
    split: str = "test",
    out: Path | str | None = None,
    videos: int = VIDEOS,
    seed: int = 0,
    card: Path | str | None = None,
) -> dict[str, Any]:
    """Measure a model under every condition of `unmask.augment.conditions`.

    Args:
        model: as in `unmask.evaluate`.
        data: as in `unmask.evaluate`.
        split: ``train``, ``val`` or ``test``.
        out: folder of ``robustness.csv``, ``.md`` and ``.json``; default as in `unmask.evaluate`.
        videos: at most this many, half of each class, drawn by ``seed``.
        seed: of the sample and of the noise.
        card: a model's card (YAML) whose field ``robustness`` is to hold the table.

    Returns:
        The tree of ``robustness.json``.

    Raises:
        DatasetError, StoreError, ModelError: see `unmask.errors`.
    """
    if videos < 2:
        raise ValueError(f"videos must be at least 2, got {videos}")
    scorer = open_scorer(Path(model))
    folder = Path(out) if out else scorer.results_folder(Path(data), split)
    store = clips_for(Path(data), folder, scorer.config)
    items = sample(items_of(store, split), videos, seed)
    rows = []
    for condition in (AS_IT_IS, *CONDITIONS):
        rows.append(_measure(condition, scorer, store, split, items, seed))
        auc = rows[-1].auc_roc.value
        say(f"{condition.name}: AUC {'not defined' if auc is None else f'{auc:.3f}'}")
    about = {
        "model": scorer.facts,
        "split": split,
        "seed": seed,
        "threshold": scorer.calibration.threshold,
    }
    tree = robustness_tree(rows, about)
    table = robustness_markdown(rows)
    write_json(folder / "robustness.json", tree)
    write_text(folder / "robustness.csv", robustness_csv(rows))
    write_text(folder / "robustness.md", table)
    if card:
        put_field(Path(card), "robustness", table)
    say(f"The robustness table is in {folder}.")
    return tree


def sample(items: Sequence[ClipItem], videos: int, seed: int) -> list[ClipItem]:
    """Some clips of some videos: half of each class where there are enough, spread over time."""
    whole = by_video(items)
    labels = np.array([items[positions[0]].record.label for positions in whole])
    turn = np.random.default_rng(seed).permutation(len(whole))
    chosen: list[int] = []
    for label in (0, 1):
        chosen += turn[labels[turn] == label][: videos // 2].tolist()
    kept = []
    for number in sorted(chosen):
        for positions in _who_speak(items, whole[number]):
            most = -(-CROPS_A_VIDEO // len(items[positions[0]].ref.mask))
            spread = np.linspace(0, len(positions) - 1, min(most, len(positions)))
            kept += [items[positions[int(at)]] for at in np.unique(spread.round())]
    return kept


def _who_speak(items: Sequence[ClipItem], positions: Sequence[int]) -> list[list[int]]:
    """Clips by track, of those that speak for the video: told before any are left out."""
    refs = [items[p].ref for p in positions]
    speak = speaking([ref.track_id for ref in refs], [sum(ref.mask) for ref in refs])
    return list(_by_track(items, [p for p, says in zip(positions, speak, strict=True) if says]))


def _by_track(items: Sequence[ClipItem], positions: Sequence[int]) -> Iterator[list[int]]:
    ordered = sorted(positions, key=lambda p: items[p].ref.track_id)
    tracks = np.array([items[p].ref.track_id for p in ordered])
    cuts = [0, *(np.flatnonzero(np.diff(tracks)) + 1).tolist(), len(ordered)]
    return (sorted(ordered[start:end]) for start, end in pairwise(cuts))


def _measure(
    condition: Condition,
    scorer: Scorer,
    store: ClipStore,
    split: str,
    items: Sequence[ClipItem],
    seed: int,
) -> RobustnessRow:
    parts = []
    left_out = crops = 0
    for batch in under(condition, store, items, seed):
        frames, masks = batch.frames, batch.masks
        scores = scorer.run(frames, masks)
        codes = np.stack(
            [
                scorer.guard.check_crops(f, m, i.ref.boxes_xyxy_px, i.ref.keypoints_px)
                for f, m, i in zip(frames, masks, batch.items, strict=True)
            ]
        )
        strange = scorer.guard.unfamiliar(scores.features, masks)
        left_out += int(((codes != "") | (strange != "")).sum())
        crops += int(masks.sum())
        parts.append(scores)
    predictions = predictions_of(store, split, items, ClipScores.joined(parts), scorer.calibration)
    return robustness_row(
        condition.key, condition.name, predictions, scorer.calibration, left_out / crops
    )
