"""Harms of a fixed strength: each does what it is called, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.augment.blend import FaceCrop
from unmask.augment.conditions import AS_IT_IS, CONDITIONS

BY_KEY = {condition.key: condition for condition in CONDITIONS}


@pytest.fixture(scope="module")
def clip(portrait: FaceCrop) -> np.ndarray:
    return np.stack([portrait.image] * 3)


MASK = np.array([True, False, True])


def harmed(clip: np.ndarray, key: str, seed: int = 0) -> np.ndarray:
    return BY_KEY[key](clip, MASK, seed)


def error(clip: np.ndarray, key: str) -> float:
    return float(np.abs(harmed(clip, key)[0].astype(float) - clip[0]).mean())


def detail(image: np.ndarray) -> float:
    return float(np.abs(np.diff(image.astype(float), axis=1)).mean())


@pytest.mark.parametrize("key", sorted(BY_KEY))
def test_it_harms_what_is_there_alike_each_time(clip: np.ndarray, key: str) -> None:
    before = clip.copy()
    out = harmed(clip, key)
    assert (out.shape, out.dtype) == (clip.shape, np.uint8)
    np.testing.assert_array_equal(clip, before)
    np.testing.assert_array_equal(out[1], clip[1])
    assert (out[0] != clip[0]).mean() > 0.05
    np.testing.assert_array_equal(out, harmed(clip, key))


def test_keys_are_of_their_own_and_all_that_was_asked_for_is_there() -> None:
    assert len(BY_KEY) == len(CONDITIONS)
    assert set(BY_KEY) == {
        "h264_crf_23", "h264_crf_32", "h264_crf_40", "jpeg_90", "jpeg_50", "jpeg_30", "scale_1_2",
        "scale_1_4", "blur", "noise", "darker", "brighter",
    }  # fmt: skip


def test_more_of_it_harms_more(clip: np.ndarray) -> None:
    for keys in (
        ("h264_crf_23", "h264_crf_32", "h264_crf_40"),
        ("jpeg_90", "jpeg_50", "jpeg_30"),
        ("scale_1_2", "scale_1_4"),
    ):
        errors = [error(clip, key) for key in keys]
        assert errors == sorted(errors)
        assert errors[0] < errors[-1]


def test_each_does_what_it_is_called(clip: np.ndarray) -> None:
    assert detail(harmed(clip, "blur")[0]) < 0.8 * detail(clip[0])
    assert detail(harmed(clip, "noise")[0]) > 1.3 * detail(clip[0])
    assert harmed(clip, "darker")[0].mean() == pytest.approx(clip[0].mean() / 2, rel=0.02)
    assert harmed(clip, "brighter")[0].mean() > 1.2 * clip[0].mean()
    np.testing.assert_array_equal(AS_IT_IS(clip, MASK, 0), clip)


def test_noise_follows_the_seed(clip: np.ndarray) -> None:
    assert (harmed(clip, "noise", 0) != harmed(clip, "noise", 1)).any()
    assert (harmed(clip, "noise")[0] != harmed(clip, "noise")[2]).any()


@pytest.mark.parametrize("key", ["jpeg_50", "scale_1_2", "scale_1_4"])
def test_a_clip_is_harmed_alike_throughout(clip: np.ndarray, key: str) -> None:
    for seed in range(6):
        out = harmed(clip, key, seed)
        np.testing.assert_array_equal(out[0], out[2])


def test_noise_has_the_strength_that_it_is_called_by_and_moves() -> None:
    grey = np.full((3, 128, 128, 3), 128, np.uint8)
    out = harmed(grey, "noise").astype(float)
    assert f"{out[0].std():.0f}" == "11"
    assert BY_KEY["noise"].name == "noise, sigma 10.8"
    assert np.abs(out[0] - out[2]).mean() > 5
