"""Pseudo-fakes: changed inside their mask, untouched outside, and reproducible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unmask.augment.blend import KINDS, FaceCrop, Moment, forge

FORGING = [kind for kind in KINDS if kind != "none"]


@pytest.mark.parametrize("kind", FORGING)
def test_a_fake_differs_inside_its_mask_and_nowhere_else(
    kind: str, portrait: FaceCrop, stranger: FaceCrop
) -> None:
    changes = []
    for seed in range(12):
        made = forge(kind, np.random.default_rng(seed), portrait, stranger)
        apart = np.abs(made.fake.astype(int) - made.authentic)
        assert apart[made.mask == 0].max(initial=0) <= 1
        assert made.mask.max() <= 1.0001
        assert made.mask.max() >= 0.49
        changes.append(apart[made.mask > 0.4].mean())
    assert np.median(changes) > 0.8  # there is something to find, in grey levels


@pytest.mark.parametrize("kind", [kind for kind in FORGING if kind != "sbi"])
def test_the_authentic_side_stays_as_it_was(
    kind: str, portrait: FaceCrop, stranger: FaceCrop
) -> None:
    made = forge(kind, np.random.default_rng(0), portrait, stranger)
    np.testing.assert_array_equal(made.authentic, portrait.image)


def test_self_blends_alter_the_surroundings_of_both_sides_alike(portrait: FaceCrop) -> None:
    made = [forge("sbi", np.random.default_rng(seed), portrait) for seed in range(20)]
    altered = [f for f in made if not np.array_equal(f.authentic, portrait.image)]
    assert 4 <= len(altered) <= 16
    for forgery in altered:
        outside = forgery.mask == 0
        apart = np.abs(forgery.fake[outside].astype(int) - forgery.authentic[outside])
        assert apart.max(initial=0) <= 1


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_same_draws_make_the_same_fake(
    kind: str, portrait: FaceCrop, stranger: FaceCrop
) -> None:
    first, again, other = (
        forge(kind, np.random.default_rng(seed), portrait, stranger).fake for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert kind == "none" or not np.array_equal(first, other)


@pytest.mark.parametrize("kind", FORGING)
def test_neighbouring_moments_look_alike_and_distant_ones_less(
    kind: str, portrait: FaceCrop, stranger: FaceCrop
) -> None:
    def at(moment: Moment, seed: int) -> np.ndarray:
        made = forge(kind, np.random.default_rng(seed), portrait, stranger, moment)
        return made.fake.astype(int)

    near = np.mean(
        [np.abs(at(Moment(0.3), seed) - at(Moment(0.35), seed)).mean() for seed in range(6)]
    )
    far = np.mean(
        [np.abs(at(Moment(0.3), seed) - at(Moment(2.8), seed)).mean() for seed in range(6)]
    )
    assert 0 < near < 0.6 * far


def test_flicker_changes_colour_and_place(portrait: FaceCrop) -> None:
    calm = Moment(0.0)
    bright = replace(calm, gain=np.full(3, 1.1, np.float32))
    shifted = replace(calm, jitter_px=np.array([2, 0], np.float32))
    plain, lit, moved = (
        forge("rerender", np.random.default_rng(1), portrait, None, moment)
        for moment in (calm, bright, shifted)
    )
    inside = plain.mask > 0.8
    assert lit.fake[inside].mean() > 1.05 * plain.fake[inside].mean()
    columns = [(f.mask * np.arange(128)).sum() / f.mask.sum() for f in (plain, moved)]
    assert columns[1] - columns[0] == pytest.approx(2, abs=0.3)


def test_reenactment_moves_the_mouth_more_than_the_forehead(portrait: FaceCrop) -> None:
    apart = np.zeros(portrait.image.shape)
    for seed in range(15):
        made = forge("reenact", np.random.default_rng(seed), portrait)
        apart += np.abs(made.fake.astype(int) - made.authentic)
    (x, y), (fx, fy) = (np.round(portrait.points[point]).astype(int) for point in (14, 151))
    assert (
        apart[y - 4 : y + 5, x - 4 : x + 5].mean()
        > 2 * apart[fy - 4 : fy + 5, fx - 4 : fx + 5].mean()
    )


def test_callers_mistakes_are_told(portrait: FaceCrop) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="donor"):
        forge("swap", rng, portrait)
    with pytest.raises(ValueError, match="reenact"):
        forge("beard", rng, portrait)
    with pytest.raises(ValueError, match="square"):
        forge("sbi", rng, FaceCrop(portrait.image[:100], portrait.points))


@pytest.mark.parametrize("kind", ["reenact", "mouth"])
def test_a_mouth_that_opens_stays_in_the_same_forgery(kind: str, portrait: FaceCrop) -> None:
    """Frames of a clip are forged by the same draws: a landmark that moves a little may not send
    the draws that follow another way."""

    def fake(gap: float, seed: int) -> np.ndarray:
        points = portrait.points.copy()
        eyes = float(np.linalg.norm(points[263] - points[33]))
        points[14, 1] = points[13, 1] + gap * eyes
        face = FaceCrop(portrait.image, points)
        return forge(kind, np.random.default_rng(seed), face).fake.astype(float)

    for seed in range(8):
        within, across = (
            np.abs(fake(gap, seed) - fake(gap + 0.002, seed)).mean() for gap in (0.1, 0.049)
        )
        assert max(within, across) < 0.6
