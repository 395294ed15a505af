"""What the pictures of the cells are drawn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_files import SPEC, clip_of, entry_of
from matplotlib.figure import Figure
from pictures import pixels

from unmask.clips import ClipStore, StoreWriter
from unmask.clips.sheet import contact_sheet
from unmask.config import AugmentConfig, LossConfig
from unmask.models.losses import focal
from unmask.notebook import Picture, batch_picture, figures, loss_picture, overfit_picture
from unmask.notebook.figures import store_picture
from unmask.training.overfit import Overfit

NOTHING = AugmentConfig(
    flip=0, crop_scale=(1.0, 1.0), rotate_deg=0, colour=0, grayscale=0, blur=0, noise=0,
    downscale=0, jpeg=0,
)  # fmt: skip


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures behind the pictures that are made."""
    kept: list[Figure] = []
    draw = figures._drawn

    def keep(onto: Callable[[Figure], None], *how: object) -> Picture:
        return draw(lambda figure: (onto(figure), kept.append(figure)), *how)

    monkeypatch.setattr(figures, "_drawn", keep)
    return kept


def test_the_losses_are_those_of_the_settings_for_a_manipulated_clip(drawn: list[Figure]) -> None:
    config = LossConfig(alpha=0.3, gamma=1.5, label_smoothing=0.1)
    assert pixels(loss_picture(config)).std() > 1
    crossed, focused = drawn[0].axes[0].lines
    scores = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(crossed.get_xdata(), scores, atol=1e-6)
    np.testing.assert_allclose(crossed.get_ydata(), -np.log(scores), atol=1e-4)
    logits = torch.logit(torch.from_numpy(scores))
    expected = focal(logits, torch.ones(99), 0.3, 1.5, 0.1)
    np.testing.assert_allclose(focused.get_ydata(), expected, atol=1e-4)
    assert focused.get_label() == "focal, alpha 0.3, gamma 1.5"


def test_the_loss_of_the_batch_begins_before_the_first_step(drawn: list[Figure]) -> None:
    result = Overfit((0.9, 0.5, 0.1), np.zeros(2), np.array([0, 1]), 1.0, "cpu")
    assert overfit_picture(result).title == "Loss of the one batch"
    (axes,) = drawn[0].axes
    assert axes.lines[0].get_xydata().tolist() == [[0, 0.9], [1, 0.5], [2, 0.1]]
    assert axes.get_ylim()[0] == 0


def test_below_each_clip_stands_what_the_augmentation_makes_of_it() -> None:
    clips = [clip_of(1), clip_of(2)]
    captions = ["manipulated", "augmented", "authentic", "augmented"]
    same = contact_sheet([clip for clip in clips for _ in (1, 2)], captions)
    np.testing.assert_array_equal(pixels(batch_picture(clips, [1, 0], NOTHING)), same)
    flipped = pixels(batch_picture(clips, [1, 0], replace(NOTHING, flip=1.0)))
    mirrored = [replace(clip, frames=clip.frames[:, :, ::-1]) for clip in clips]
    rows = [clips[0], mirrored[0], clips[1], mirrored[1]]
    np.testing.assert_array_equal(flipped, contact_sheet(rows, captions))


def test_the_augmentation_is_the_same_whenever_the_cell_runs() -> None:
    first, second = (batch_picture([clip_of(1)], [0], AugmentConfig()) for _ in range(2))
    assert first.png == second.png


def test_the_first_training_clips_of_both_classes_are_shown(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store", SPEC) as writer:
        for number in range(4):
            for label in (1, 0):
                clips = [clip_of(10 * number + label), clip_of(100 + number, track_id=1)]
                writer.append(entry_of(f"{number}-{label}.mp4", label=label), clips)
        writer.append(entry_of("held-out.mp4", split="test"), [clip_of(99)])
    picture = store_picture(ClipStore.open(tmp_path / "store", SPEC), each=2)
    expected = contact_sheet(
        [clip_of(seed) for seed in (0, 10, 1, 11)], ["authentic"] * 2 + ["manipulated"] * 2
    )
    assert picture.title == "Training clips: 2 authentic, 2 manipulated"
    np.testing.assert_array_equal(pixels(picture), expected)
