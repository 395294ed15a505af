"""Store the scores of generated media, so that a test can tell whether making it faster moved them.

    python scripts/store_scores.py

Run it when scores are meant to change (another bundled model, other crops), never to make the test
of ``tests/verbs/test_scores_stay.py`` pass. Every medium takes another way to its crops: sizes,
codecs, a turned camera, two people, faces that are shrunk or enlarged.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from make_media import Image, portrait_frames, two_people_frames, write_video
from make_model import write_blueness
from unmask import Verdict, weights
from unmask.verbs.detect import detect

STORED = Path(__file__).resolve().parents[1] / "tests" / "verbs" / "scores.json"

FRAMES = {"blueness": 16, weights.DEFAULT_DETECTOR: 8}
"""Looked at by each model; the bundled one is slow."""


def main() -> None:
    """Score everything and write `STORED`."""
    with tempfile.TemporaryDirectory() as folder:
        media = make_all(Path(folder))
        scores = {name: scores_of(name, media, Path(folder)) for name in FRAMES}
    STORED.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")


def make_all(folder: Path) -> dict[str, Path]:
    """Write every medium; by name."""
    x264 = {"preset": "veryfast", "x264-params": "mbtree=0"}  # with mbtree, no two runs are alike
    media: dict[str, tuple[Iterator[Image], dict[str, Any]]] = {
        "portrait.mp4": (portrait_frames(32), {"options": x264}),
        "two_people.mkv": (two_people_frames(32, seed=4), {"options": x264 | {"g": "12"}}),
        "full_hd.mp4": (portrait_frames(8, 1920, 1080, seed=2), {"options": x264}),
        "upright.mov": (
            portrait_frames(24, 270, 480, seed=3),
            {"options": x264, "rotation_deg": 90},
        ),
        "small.avi": (portrait_frames(24, 320, 240, seed=5), {"codec": "mpeg4"}),
    }
    return {
        name: write_video(folder / name, bluish(frames), fps=5, **settings)
        for name, (frames, settings) in media.items()
    }


def bluish(frames: Iterator[Image]) -> Iterator[Image]:
    """Tint pictures so that skin is about as blue as it is red.

    There the score of `make_model.write_blueness` is steepest: it shows small changes best.
    """
    for frame in frames:
        yield np.clip(frame * [0.75, 0.9, 1.15], 0, 255).astype(np.uint8)


def scores_of(name: str, media: dict[str, Path], folder: Path) -> dict[str, Any]:
    """What one model says of every medium: the digest of its weights, and scores by medium."""
    model = write_blueness(folder / "blueness.onnx") if name == "blueness" else name
    verdicts = {
        medium: detect(path, model=model, frames=FRAMES[name]) for medium, path in media.items()
    }
    (digest,) = {verdict.model["weights_sha256"] for verdict in verdicts.values()}
    return {
        "weights_sha256": digest,
        "media": {medium: scores_in(verdict) for medium, verdict in verdicts.items()},
    }


def scores_in(verdict: Verdict) -> dict[str, Any]:
    """Everything in a verdict that is a score, rounded to six digits."""
    return {
        "label": verdict.label,
        "score": None if verdict.score is None else round(verdict.score, 6),
        "frames": [
            [round(frame["score"], 6) for frame in person.frames_detail]
            for person in verdict.people
        ],
    }


if __name__ == "__main__":
    main()
