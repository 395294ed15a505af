"""Whatever is made faster, verdicts stay: scores of generated media against stored ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import store_scores
from unmask import weights
from unmask.inference import load_model

STORED: dict[str, Any] = json.loads(store_scores.STORED.read_text(encoding="utf-8"))
FARTHEST = 1e-3


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return store_scores.make_all(tmp_path_factory.mktemp("media"))


@pytest.mark.parametrize("name", store_scores.FRAMES)
def test_no_score_moves(name: str, media: dict[str, Path], tmp_path: Path) -> None:
    if name in weights.names():
        assert load_model(name).sha256 == STORED[name]["weights_sha256"], (
            "Another model ships than the one whose scores are stored: run scripts/store_scores.py"
        )
    now, before = store_scores.scores_of(name, media, tmp_path)["media"], STORED[name]["media"]
    assert now.keys() == before.keys()
    for medium, scores in now.items():
        assert scores["label"] == before[medium]["label"], medium
        assert scores["score"] == pytest.approx(before[medium]["score"], abs=FARTHEST), medium
        for person, stored in zip(scores["frames"], before[medium]["frames"], strict=True):
            np.testing.assert_allclose(person, stored, rtol=0, atol=FARTHEST, err_msg=medium)
