"""Degradations: alike for both of a pair, reproducible, and really what they are called."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from unmask.augment import degrade
from unmask.augment.blend import FaceCrop
from unmask.augment.degrade import Degradation, DegradeConfig, h264, jpeg

OFF = DegradeConfig.off()
STEPS = (
    "colour",
    "hue_saturation",
    "grayscale",
    "blur",
    "motion_blur",
    "sharpen",
    "noise",
    "rescale",
    "enlarge",
    "jpeg",
    "h264",
    "final_jpeg",
    "low_light",
)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def test_off_changes_nothing(portrait: FaceCrop) -> None:
    [[out]] = Degradation(OFF, np.random.default_rng(0), 128)([[portrait.image]])
    np.testing.assert_array_equal(out, portrait.image)


@pytest.mark.parametrize("name", STEPS)
def test_each_step_changes_the_picture_and_keeps_its_size(name: str, portrait: FaceCrop) -> None:
    config = replace(OFF, **{name: 1.0})
    step = Degradation(config, np.random.default_rng(1), 128)
    [[out], [twin]] = step([[portrait.image], [portrait.image]])
    assert out.shape == portrait.image.shape
    assert out.dtype == np.uint8
    assert 12 < psnr(out, portrait.image) < 60
    if name == "h264":  # one stream for both: the same loss, not the same bits
        assert psnr(out, portrait.image) == pytest.approx(psnr(twin, portrait.image), abs=0.7)
    else:
        np.testing.assert_array_equal(out, twin)


def test_low_light_leaves_the_draws_of_everything_else(portrait: FaceCrop) -> None:
    usual, dark = DegradeConfig(noise=1.0), DegradeConfig(noise=1.0, low_light=1.0)
    for seed in range(6):
        a, b = (Degradation(c, np.random.default_rng(seed), 128) for c in (usual, dark))
        assert (a.noise, a.jpeg, a.crf, a.coded_px) == (b.noise, b.jpeg, b.crf, b.coded_px)
        [[seen_a]], [[seen_b]] = a([[portrait.image]]), b([[portrait.image]])
        assert seen_b.mean() < 0.95 * seen_a.mean()


def test_harsh_loses_more(portrait: FaceCrop) -> None:
    def loss(config: DegradeConfig) -> float:
        made = [Degradation(config, np.random.default_rng(i), 128) for i in range(24)]
        return float(np.mean([psnr(one([[portrait.image]])[0][0], portrait.image) for one in made]))

    assert loss(DegradeConfig.harsh()) < loss(DegradeConfig()) - 2


def test_one_draw_gives_one_result(portrait: FaceCrop) -> None:
    clip = [[portrait.image] * 2, [portrait.image[:, ::-1]] * 2]
    for seed in range(8):
        made = [
            np.array(Degradation(DegradeConfig(), np.random.default_rng(seed), 128)(clip))
            for _ in range(2)
        ]
        assert made[0].shape == (2, 2, 128, 128, 3)
        np.testing.assert_array_equal(*made)


def test_noise_is_new_in_every_frame_but_shared_by_a_pair(portrait: FaceCrop) -> None:
    flat = np.full_like(portrait.image, 120)
    config = replace(OFF, noise=1.0, noise_sigma=(4.0, 4.0))
    (a0, a1), (b0, _) = Degradation(config, np.random.default_rng(0), 128)([[flat] * 2] * 2)
    np.testing.assert_array_equal(a0, b0)
    assert np.abs(a0.astype(int) - a1).mean() > 1
    assert a0.astype(float).std() == pytest.approx(4.3, abs=0.6)
    assert a0.mean() == pytest.approx(120, abs=0.5)


def test_coders_lose_more_at_lower_quality(portrait: FaceCrop) -> None:
    image = np.ascontiguousarray(portrait.image)
    by_jpeg = [psnr(jpeg(image, quality), image) for quality in (95, 60, 30)]
    by_h264 = [psnr(h264([image], crf)[0], image) for crf in (17, 26, 36)]
    assert by_jpeg == sorted(by_jpeg, reverse=True)
    assert by_h264 == sorted(by_h264, reverse=True)
    assert by_h264[0] > 34
    assert by_h264[0] - by_h264[2] > 4


def test_h264_keeps_the_number_and_the_order_of_frames(portrait: FaceCrop) -> None:
    frames = [np.roll(portrait.image, 8 * i, 1) for i in range(4)]
    out = h264(frames, 20)
    assert len(out) == 4
    nearest = [int(np.argmax([psnr(o, f) for f in frames])) for o in out]
    assert nearest == [0, 1, 2, 3]


def test_the_sides_change_places_in_the_stream_and_come_back(
    portrait: FaceCrop, monkeypatch: pytest.MonkeyPatch
) -> None:
    light_first = []

    def watched(wide: list[np.ndarray], crf: int) -> list[np.ndarray]:
        left, right = np.split(wide[-1], 2, 1)
        light_first.append(left.mean() > right.mean())
        return h264(wide, crf)

    monkeypatch.setattr(degrade, "h264", watched)
    config = replace(OFF, h264=1.0, h264_crf=(20, 20))
    dark, light = portrait.image // 2, 255 - portrait.image // 2
    drawn = [Degradation(config, np.random.default_rng(seed), 128) for seed in range(8)]
    for one in drawn:
        [[a], [b]] = one([[dark], [light]])
        assert a.mean() < 128 < b.mean()
    assert light_first == [one.swap_sides for one in drawn]
    assert set(light_first) == {False, True}


def test_high_pass_residue_does_not_tell_the_sides_of_untouched_pairs_apart(
    portrait: FaceCrop,
) -> None:
    """Codec hygiene: authentic against authentic, through everything, must stay at chance."""

    def residue(image: np.ndarray) -> np.ndarray:
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        high = gray - cv2.GaussianBlur(gray, (0, 0), 1.0)
        columns = high - np.roll(high, 1, 1)
        return np.array([
            high.std(), np.abs(high).mean(), columns.std(), columns[:, ::8].std(),
            columns[:, ::4].std(), high[:, :64].std(), high[:, 64:].std(), high.mean(),
        ])  # fmt: skip

    rng = np.random.default_rng(0)
    rows, labels = [], []
    for _ in range(160):
        turn = cv2.getRotationMatrix2D((64, 64), rng.normal(0, 6), rng.uniform(1, 1.4))
        image = cv2.warpAffine(portrait.image, turn, (128, 128), borderMode=cv2.BORDER_REFLECT_101)
        [[left], [right]] = Degradation(DegradeConfig(), rng, 128)([[image], [image.copy()]])
        rows += [residue(left), residue(right)]
        labels += [0, 1]
    # Differences within a pair are the sharpest test: everything else cancels.
    x, y = np.array(rows), np.array(labels)
    pairs = x[1::2] - x[::2]
    both, side = np.vstack([pairs, -pairs]), np.repeat([1, 0], len(pairs))
    train = np.tile(np.arange(len(pairs)) < 80, 2)
    for features, target, fit in ((x, y, np.arange(len(y)) < 160), (both, side, train)):
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
        model.fit(features[fit] + 1e-9, target[fit])
        auc = roc_auc_score(target[~fit], model.decision_function(features[~fit]))
        assert 0.35 < auc < 0.65


def test_h264_gives_the_same_pictures_every_time() -> None:
    """With AVX-512, libx264 gives others from run to run now and then."""
    pictures = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    pictures[:, 8:24, 8:24] = pictures[:, 8:24, 8:24].mean((1, 2), keepdims=True)
    config = replace(DegradeConfig.off(), h264=1.0, h264_crf=(32, 32))

    def harmed() -> np.ndarray:
        draws = enumerate(pictures)
        return np.array(
            [Degradation(config, np.random.default_rng(i), 32)([[one]])[0][0] for i, one in draws]
        )

    first = harmed()
    assert all(np.array_equal(harmed(), first) for _ in range(40))
