"""The measures against scikit-learn, on random, tied and degenerate rows."""

from __future__ import annotations

import warnings
from dataclasses import astuple
from itertools import product

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.stats import binom
from sklearn import metrics as sk

from unmask import metrics
from unmask.metrics import bootstrap


def rows(seed: int, count: int = 400, decimals: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < 0.3).astype(int)
    scores = 1 / (1 + np.exp(-(rng.normal(size=count) + 1.2 * labels)))
    return labels, scores if decimals is None else np.round(scores, decimals)


CASES = [rows(seed, decimals=decimals) for seed, decimals in product(range(4), (None, 2, 1, 0))]


@pytest.mark.parametrize(("labels", "scores"), CASES)
def test_ranking_measures_equal_scikit_learn(labels: np.ndarray, scores: np.ndarray) -> None:
    assert metrics.roc_auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores))
    assert metrics.average_precision(labels, scores) == pytest.approx(
        sk.average_precision_score(labels, scores)
    )
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    crossing = brentq(lambda x: 1 - x - interp1d(fpr, tpr)(x), 0, 1)
    assert metrics.eer(labels, scores) == pytest.approx(crossing, abs=1e-9)
    assert metrics.bpcer_at_apcer(labels, scores) == pytest.approx(
        fpr[(1 - tpr) <= 0.05 + 1e-12].min()
    )


@pytest.mark.parametrize(("labels", "scores"), CASES)
def test_decision_measures_equal_scikit_learn(labels: np.ndarray, scores: np.ndarray) -> None:
    called = scores >= 0.6
    pairs = {
        metrics.accuracy: sk.accuracy_score,
        metrics.balanced_accuracy: sk.balanced_accuracy_score,
        metrics.f1: sk.f1_score,
        metrics.recall: sk.recall_score,
    }
    for ours, theirs in pairs.items():
        assert ours(labels, scores, 0.6) == pytest.approx(theirs(labels, called))
    assert metrics.precision(labels, scores, 0.6) == pytest.approx(
        sk.precision_score(labels, called)
    )
    apcer = metrics.apcer(labels, scores, 0.6)
    bpcer = metrics.bpcer(labels, scores, 0.6)
    assert apcer == pytest.approx(np.mean(~called[labels == 1]))
    assert bpcer == pytest.approx(np.mean(called[labels == 0]))
    assert metrics.hter(labels, scores, 0.6) == pytest.approx((apcer + bpcer) / 2)
    assert metrics.brier(labels, scores) == pytest.approx(sk.brier_score_loss(labels, scores))


def test_curves_run_through_scikit_learns_points() -> None:
    labels, scores = rows(1, decimals=1)
    curve = metrics.roc_curve(labels, scores)
    assert curve is not None
    fpr, tpr, thresholds = sk.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve[0], fpr)
    np.testing.assert_allclose(curve[1], tpr)
    np.testing.assert_allclose(curve[2], thresholds)
    points = metrics.pr_curve(labels, scores)
    assert points is not None
    precision, recall, cuts = sk.precision_recall_curve(labels, scores)
    np.testing.assert_allclose(points[0], precision[-2::-1])
    np.testing.assert_allclose(points[1], recall[-2::-1])
    np.testing.assert_allclose(points[2], cuts[::-1])


def test_a_row_at_the_threshold_is_called_manipulated() -> None:
    table = metrics.confusion([1, 0], [0.5, 0.5], 0.5)
    assert (table.hits, table.false_alarms, table.misses, table.passes) == (1, 1, 0, 0)


def test_bpcer_at_apcer_lets_exactly_the_target_pass() -> None:
    labels = np.array([1] * 20 + [0] * 10)
    scores = np.concatenate([[0.1], np.full(19, 0.9), np.full(9, 0.2), [0.95]])
    assert metrics.bpcer_at_apcer(labels, scores) == pytest.approx(0.1)  # 1 of 20 missed: allowed
    assert metrics.bpcer_at_apcer(labels, scores, target=0.04) == 1.0


def test_ece_of_known_bins() -> None:
    scores = np.array([0.1, 0.1, 0.9, 0.9, 1.0])
    labels = np.array([0, 1, 1, 1, 1])
    # bins: {0.1, 0.1} promise .1, half came true; {.9, .9} promise .9; {1.0} keeps its promise
    assert metrics.ece(labels, scores) == pytest.approx((2 * 0.4 + 2 * 0.1) / 5)
    bins = metrics.reliability(labels, scores)
    assert len(bins) == 15
    assert bins[1] == metrics.ReliabilityBin(1 / 15, 2 / 15, 2, pytest.approx(0.1), 0.5)
    assert bins[13] == metrics.ReliabilityBin(13 / 15, 14 / 15, 2, pytest.approx(0.9), 1.0)
    assert bins[14] == metrics.ReliabilityBin(14 / 15, 1.0, 1, 1.0, 1.0)
    assert bins[7] == metrics.ReliabilityBin(7 / 15, 8 / 15, 0, None, None)
    (whole,) = metrics.reliability(labels, scores, bins=1)
    assert (whole.low, whole.high, whole.rows) == (0.0, 1.0, 5)
    with pytest.raises(ValueError, match="at least 1"):
        metrics.reliability(labels, scores, bins=0)


def test_ece_is_small_for_honest_scores_and_large_for_boasts() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(20_000)
    labels = (rng.random(20_000) < scores).astype(int)
    assert metrics.ece(labels, scores) < 0.02
    assert metrics.ece(labels, (scores > 0.5).astype(float)) > 0.2


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_gives_none_and_no_warning(label: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metrics.summarize([label] * 6, [0.1, 0.2, 0.3, 0.7, 0.8, 0.9], 0.5, list("aabbcc"))
    for name in ("auc_roc", "eer", "balanced_accuracy", "hter", "bpcer_at_apcer_5"):
        assert found[name] == metrics.Estimate(None, None, None)
    assert found["accuracy"].value == 0.5
    assert found["auc_pr"].value == (1.0 if label else None)
    assert metrics.roc_curve([label], [0.5]) is None
    assert (metrics.pr_curve([label], [0.5]) is None) == (label == 0)


def test_no_rows_give_none_everywhere() -> None:
    found = metrics.summarize([], [], 0.5)
    assert set(found) == set(metrics.METRICS)
    assert all(estimate.value is None for estimate in found.values())
    assert metrics.ece([], []) is None
    assert metrics.brier([], []) is None
    assert metrics.roc_auc([], []) is None


def test_nothing_called_manipulated_has_no_precision() -> None:
    assert metrics.precision([0, 1], [0.1, 0.2], 0.5) is None
    assert metrics.f1([0, 1], [0.1, 0.2], 0.5) == 0.0
    assert metrics.f1([0, 0], [0.1, 0.2], 0.5) is None


@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        ([0, 2], [0.1, 0.2]), ([-1, 1], [0.1, 0.2]), ([0], [0.1, 0.2]), ([0, 1], [0.1, np.nan]),
        ([0, 1], [0.1, 1.5]), ([0, 1], [-0.1, 0.5]),
    ],
)  # fmt: skip
def test_rows_that_make_no_sense_are_refused(labels: list[int], scores: list[float]) -> None:
    with pytest.raises(ValueError, match="must"):
        metrics.summarize(labels, scores, 0.5)


def test_a_logit_may_be_any_number_but_not_infinite() -> None:
    assert metrics.roc_auc([0, 1], [-7.5, 12.0]) == 1.0
    with pytest.raises(ValueError, match="finite"):
        metrics.roc_auc([0, 1], [0.0, np.inf])


def test_summary_values_equal_the_single_measures() -> None:
    labels, scores = rows(3, decimals=2)
    found = metrics.summarize(labels, scores, 0.55, resamples=0)
    single = {
        "auc_roc": metrics.roc_auc(labels, scores),
        "auc_pr": metrics.average_precision(labels, scores),
        "eer": metrics.eer(labels, scores),
        "bpcer_at_apcer_5": metrics.bpcer_at_apcer(labels, scores),
        "ece": metrics.ece(labels, scores),
        "brier": metrics.brier(labels, scores),
        "f1": metrics.f1(labels, scores, 0.55),
        "apcer": metrics.apcer(labels, scores, 0.55),
    }
    for name, value in single.items():
        assert found[name].value == pytest.approx(value, abs=1e-12)
        assert found[name].low is None


def test_intervals_are_those_of_an_honest_slow_bootstrap() -> None:
    labels, scores = rows(5, 150, decimals=2)
    groups = np.arange(150) // 3
    quick = metrics.summarize(labels, scores, 0.5, groups, resamples=600, seed=1)
    rng = np.random.default_rng(2)
    slow: dict[str, list[float]] = {"auc_roc": [], "auc_pr": [], "f1": [], "ece": []}
    for _ in range(600):
        pick = np.concatenate([np.flatnonzero(groups == g) for g in rng.integers(50, size=50)])
        slow["auc_roc"].append(sk.roc_auc_score(labels[pick], scores[pick]))
        slow["auc_pr"].append(sk.average_precision_score(labels[pick], scores[pick]))
        slow["f1"].append(sk.f1_score(labels[pick], scores[pick] >= 0.5))
        slow["ece"].append(metrics.ece(labels[pick], scores[pick]) or 0.0)
    for name, values in slow.items():
        low, high = np.percentile(values, [2.5, 97.5])
        assert quick[name].low == pytest.approx(low, abs=0.025)
        assert quick[name].high == pytest.approx(high, abs=0.025)


def test_an_interval_is_the_middle_95_percent() -> None:
    """The accuracy of rows that are drawn one by one is binomial."""
    labels = np.arange(400) % 2
    found = metrics.summarize(labels, np.full(400, 0.7), 0.5, resamples=4000)["accuracy"]
    low, high = binom.ppf([0.025, 0.975], 400, 0.5) / 400
    assert found == metrics.Estimate(
        0.5, pytest.approx(low, abs=0.004), pytest.approx(high, abs=0.004)
    )


def test_rows_that_do_not_fit_into_memory_at_once_change_no_interval() -> None:
    """The same rows two hundred times over: weights grow, shares stay."""
    labels, scores = rows(2, 60, decimals=2)
    groups = np.arange(60) // 2
    few = metrics.summarize(labels, scores, 0.5, groups, resamples=400)
    many = metrics.summarize(
        np.tile(labels, 200), np.tile(scores, 200), 0.5, np.tile(groups, 200), resamples=400
    )
    for name, estimate in few.items():
        assert estimate.low is not None
        assert astuple(many[name]) == pytest.approx(astuple(estimate)), name


def test_a_measure_that_some_resamples_do_not_define_has_an_interval() -> None:
    """One authentic video of ten is missing in every third resample, and right in the others."""
    found = metrics.summarize([0] + [1] * 9, [0.1] + [0.9] * 9, 0.5)
    assert found["bpcer"] == metrics.Estimate(0.0, 0.0, 0.0)
    assert found["auc_roc"] == metrics.Estimate(1.0, 1.0, 1.0)


def test_a_measure_that_most_resamples_do_not_define_has_none() -> None:
    """Of two videos every second draw lacks a class: of a hundred a few more, or a few less."""
    lows = {
        metrics.summarize([0, 1], [0.1, 0.9], 0.5, resamples=100, seed=seed)["auc_roc"].low
        for seed in range(20)
    }
    assert lows == {None, 1.0}


def test_a_resample_is_as_large_as_the_groups_that_it_drew() -> None:
    labels = np.arange(30) % 2
    groups = np.sqrt(np.arange(30)).astype(int)  # of 1, 3, 5, 7, 9 and 5 videos
    found = metrics.summarize(labels, 1.0 - labels, 0.5, groups, resamples=50)
    for name in ("ece", "brier", "apcer", "bpcer", "hter"):
        assert astuple(found[name]) == pytest.approx((1.0, 1.0, 1.0))
    assert found["accuracy"] == metrics.Estimate(0.0, 0.0, 0.0)


def test_an_estimate_in_words() -> None:
    assert metrics.Estimate(0.9271, 0.9019, 0.9461).text == "0.927 [0.902, 0.946]"
    assert metrics.Estimate(0.5, None, None).text == "0.500"
    assert metrics.Estimate(None, None, None).text == "not defined"


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    truth = 0.7602  # P(N(1, 1) > N(0, 1))
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        labels = np.arange(200) % 2
        scores = 1 / (1 + np.exp(-(rng.normal(size=200) + labels)))
        found = metrics.summarize(labels, scores, 0.5, resamples=200)["auc_roc"]
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert 51 <= covered <= 60


def test_groups_that_stand_together_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    offsets = np.repeat(rng.normal(size=30), 20)  # a source's videos share their offset
    labels = np.tile([0, 1], 300)
    scores = 1 / (1 + np.exp(-(2 * offsets + labels + 0.1 * rng.normal(size=600))))
    alone = metrics.summarize(labels, scores, 0.5)["accuracy"]
    together = metrics.summarize(labels, scores, 0.5, np.repeat(np.arange(30), 20))["accuracy"]
    assert alone.value == together.value
    bpcer_alone = metrics.summarize(labels, scores, 0.5)["bpcer"]
    bpcer = metrics.summarize(labels, scores, 0.5, np.repeat(np.arange(30), 20))["bpcer"]
    assert bpcer.high - bpcer.low > 2 * (bpcer_alone.high - bpcer_alone.low)


def test_intervals_repeat_with_the_seed_and_need_two_groups() -> None:
    labels, scores = rows(7, 60)
    first = metrics.summarize(labels, scores, 0.5, seed=3, resamples=50)
    assert first == metrics.summarize(labels, scores, 0.5, seed=3, resamples=50)
    assert first != metrics.summarize(labels, scores, 0.5, seed=4, resamples=50)
    pair = metrics.summarize(labels, scores, 0.5, ["one"] * 30 + ["two"] * 30)
    assert pair["auc_roc"].low is not None
    with pytest.raises(ValueError, match="groups must"):
        metrics.summarize(labels, scores, 0.5, ["one"] * 59)
    single = metrics.summarize(labels, scores, 0.5, ["one"] * 60)
    assert single["auc_roc"].low is None
    assert single["auc_roc"].value == first["auc_roc"].value
    pair = metrics.summarize(labels, scores, 0.5, ["one", "two"] * 30)
    assert pair["auc_roc"].low is not None


def test_intervals_do_not_depend_on_how_much_is_held_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, scores = rows(7, 60)
    at_once = metrics.summarize(labels, scores, 0.5, resamples=50)
    monkeypatch.setattr(bootstrap, "_CELLS_AT_ONCE", 60 * 7)  # seven resamples, and one at last
    assert metrics.summarize(labels, scores, 0.5, resamples=50) == at_once
    monkeypatch.setattr(bootstrap, "_CELLS_AT_ONCE", 1)
    assert metrics.summarize(labels, scores, 0.5, resamples=50) == at_once
