from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from unmask import metrics
from unmask.errors import ModelError
from unmask.scoring import Calibration, cross_fit, fit


def draw(
    seed: int, authentic: int, manipulated: int, scale: float = 3.0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [authentic, manipulated])
    return scale * (rng.normal(size=len(labels)) + 1.5 * labels) + 4.0, labels


def test_the_fit_is_that_of_logistic_regression() -> None:
    logits, labels = draw(0, 3000, 3000)
    found = fit(logits, labels)
    reference = LogisticRegression(C=np.inf).fit(logits[:, None], labels)
    # softened labels pull the slope a little towards 0
    assert 1 / found.temperature == pytest.approx(reference.coef_[0, 0], rel=0.01)
    expected = reference.predict_proba(logits[:, None])[:, 1]
    assert np.abs(found.scores(logits) - expected).max() < 0.005


def test_scores_become_honest() -> None:
    logits, labels = draw(1, 2000, 2000)
    raw = 1 / (1 + np.exp(-logits))
    fresh, truth = draw(2, 2000, 2000)
    found = fit(logits, labels)
    assert metrics.ece(labels, raw) > 0.2
    assert metrics.ece(truth, found.scores(fresh)) < 0.03


def test_balanced_scores_do_not_depend_on_the_mixture() -> None:
    even, skewed = draw(3, 4000, 4000), draw(4, 4000, 400)
    balanced = fit(*skewed)
    assert balanced.offset == pytest.approx(fit(*even).offset, abs=0.3)
    plain = fit(*skewed, balanced=False)
    assert plain.offset > balanced.offset + 1.5
    assert plain.scores(skewed[0]).mean() == pytest.approx(400 / 4400, abs=0.005)


@pytest.mark.parametrize("target", [0.05, 0.1, 0.01])
@pytest.mark.parametrize("seed", range(4))
def test_the_threshold_is_the_lowest_that_keeps_the_target(target: float, seed: int) -> None:
    logits, labels = draw(seed, 317, 200)
    found = fit(logits, labels, target_bpcer=target)
    scores = found.scores(logits)
    reached = metrics.bpcer(labels, scores, found.threshold)
    assert reached == found.expected_bpcer
    assert reached <= target
    assert metrics.apcer(labels, scores, found.threshold) == found.expected_apcer
    lower = scores[labels == 0][scores[labels == 0] < found.threshold].max()
    assert metrics.bpcer(labels, scores, lower) > target
    assert found.notes == ()


def test_ties_never_break_the_target() -> None:
    labels = np.repeat([0, 1], 100)
    logits = np.round(draw(5, 100, 100)[0] / 4)
    found = fit(logits, labels)
    assert metrics.bpcer(labels, found.scores(logits), found.threshold) <= 0.05


def test_separated_videos_give_finite_modest_scores() -> None:
    logits = np.concatenate([np.linspace(-12, -8, 10), np.linspace(8, 12, 10)])
    labels = np.repeat([0, 1], 10)
    found = fit(logits, labels)
    scores = found.scores(logits)
    assert 0.01 < scores[:10].max() < 0.2
    assert 0.8 < scores[10:].min() < 0.99
    assert found.score(0.0) == pytest.approx(0.5, abs=0.02)
    assert found.threshold == pytest.approx(0.5, abs=0.02)  # half-way
    assert (found.expected_bpcer, found.expected_apcer) == (0.0, 0.0)


def test_too_few_authentic_videos_are_told() -> None:
    found = fit(*draw(6, 10, 50))
    assert found.expected_bpcer == 0.0
    assert "Only 10 authentic" in found.notes[0]


def test_copies_are_no_further_videos() -> None:
    logits, labels = np.repeat([-1.0, 1.0], 50), np.repeat([0, 1], 50)
    assert fit(logits, labels).notes == ()
    copied = fit(logits, labels, videos=(10, 10))
    assert (copied.authentic, copied.manipulated) == (10, 10)
    assert "Only 10 authentic" in copied.notes[0]


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_is_not_calibrated(labels: list[int]) -> None:
    found = fit(np.arange(len(labels), dtype=float), labels)
    assert not found.fitted
    assert found.temperature == 1.0
    assert found.expected_bpcer is None
    assert "one class" in found.notes[0]


def test_a_model_that_ranks_backwards_is_not_turned_round() -> None:
    logits, labels = draw(7, 200, 200)
    found = fit(-logits, labels)
    assert np.abs(found.scores(-logits) - 0.5).max() < 0.05
    assert "do not rank" in found.notes[0]
    assert found.score(5.0) > found.score(-5.0)


def test_constant_logits_have_one_score() -> None:
    found = fit([2.0] * 8, [0, 1] * 4)
    assert found.score(2.0) == 0.5
    assert found.expected_bpcer == 0.0
    assert "do not rank" in found.notes[0]


def test_the_scale_of_the_logits_does_not_matter() -> None:
    logits, labels = draw(8, 100, 100)
    one, tiny = fit(logits, labels), fit(logits * 1e-3, labels)
    np.testing.assert_allclose(one.scores(logits), tiny.scores(logits * 1e-3), atol=1e-6)
    assert one.threshold == pytest.approx(tiny.threshold, abs=1e-6)


def test_cut_points_rise_by_odds_and_by_authentic_videos() -> None:
    logits, labels = draw(9, 1000, 1000)
    found = fit(logits, labels)

    def odds(score: float) -> float:
        return score / (1 - score)

    assert odds(found.strong) >= 2 * odds(found.threshold) * (1 - 1e-9)
    assert odds(found.very_strong) >= 8 * odds(found.threshold) * (1 - 1e-9)
    scores = found.scores(logits)
    assert metrics.bpcer(labels, scores, found.strong) <= 0.01
    assert metrics.bpcer(labels, scores, found.very_strong) <= 0.002


def test_where_authentic_videos_are_all_alike_the_odds_alone_decide() -> None:
    logits, labels = draw(9, 1000, 1000)
    logits[:1000] = 4.0 + np.linspace(0, 1e-6, 1000)
    found = fit(logits, labels)
    cuts = np.array([found.threshold, found.strong, found.very_strong])
    assert cuts / (1 - cuts) * (1 - cuts[0]) / cuts[0] == pytest.approx([1, 2, 8], rel=1e-6)


def test_so_many_authentic_videos_can_measure_the_target() -> None:
    """Of 20, one is 5 %."""
    for authentic, few in ((20, False), (19, True)):
        notes = fit(*draw(9, authentic, 100)).notes
        assert any("too few to measure" in note for note in notes) == few


def test_authentic_videos_that_score_high_push_the_cut_points_up() -> None:
    """A fifth and a twenty-fifth of the target reach them, however far out that is."""
    logits, labels = draw(9, 1000, 1000)
    logits[:20] = np.linspace(30, 90, 20)  # far beyond eight times the threshold's odds
    found = fit(logits, labels)
    cuts = (found.threshold, found.strong, found.very_strong)
    reached = [metrics.bpcer(labels, found.scores(logits), cut) for cut in cuts]
    assert reached == [0.05, 0.01, 0.002]


def test_it_survives_json() -> None:
    found = fit(*draw(10, 40, 40))
    text = json.dumps(found.to_dict(), allow_nan=False)
    again = Calibration.from_dict(json.loads(text))
    assert again == found
    assert Calibration.from_dict({**found.to_dict(), "of_a_later_version": 1}) == found
    assert not Calibration.from_dict({}).fitted


@pytest.mark.parametrize("tree", [{"temperature": 0.0}, {"threshold": 0.9}, {"offset": None}])
def test_a_broken_calibration_is_refused(tree: dict[str, object]) -> None:
    with pytest.raises(ModelError) as caught:
        Calibration.from_dict(tree)
    assert caught.value.code == "model_calibration"


def test_scores_are_safe_far_out_and_for_any_shape() -> None:
    assert Calibration().scores(np.array([[-1e4, 0.0], [1e4, 2.0]])).tolist()[0] == [0.0, 0.5]


@pytest.mark.parametrize(
    ("logits", "labels", "target"),
    [([1.0, np.nan], [0, 1], 0.05), ([1.0], [0, 1], 0.05), ([1.0, 2.0], [0, 1], 0.0)],
)
def test_rows_that_make_no_sense_are_refused(
    logits: list[float], labels: list[int], target: float
) -> None:
    with pytest.raises(ValueError, match="must"):
        fit(logits, labels, target_bpcer=target)


def test_nobody_is_judged_by_a_fit_on_the_own_group() -> None:
    logits, labels = draw(3, 200, 200)
    groups = np.array([f"g{number % 40}" for number in range(400)])
    scores, called = cross_fit(logits, labels, groups)
    lied = np.where(groups == "g7", 1 - labels, labels)
    other, _ = cross_fit(logits, lied, groups)
    assert (other == scores)[groups == "g7"].all()
    assert (other != scores).sum() >= 400 * 3 / 5
    assert 0 < called.mean() < 1
    assert metrics.bpcer(labels, called.astype(float), 0.5) == pytest.approx(0.05, abs=0.03)
    assert metrics.ece(labels, scores) == pytest.approx(
        metrics.ece(labels, fit(logits, labels).scores(logits)), abs=0.05
    )


@pytest.mark.parametrize("groups", [4, 1])
def test_too_few_groups_are_not_judged_crosswise(groups: int) -> None:
    logits, labels = draw(3, 20, 20)
    assert cross_fit(logits, labels, [f"g{i % groups}" for i in range(40)]) is None


def test_a_part_that_is_all_of_a_class_cannot_be_left_out() -> None:
    logits, labels = draw(3, 20, 20)
    groups = ["all" if label else f"g{number}" for number, label in enumerate(labels)]
    assert cross_fit(logits, labels, groups) is None
