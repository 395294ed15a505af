"""From logits to P(manipulated), and to a threshold with known error rates.

Fitted on validation videos, stored in the checkpoint and in the exported model, and never touched
by test videos.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import ModelError

Floats = NDArray[np.float64]

TARGET_BPCER = 0.05
FOLDS = 5
STRONG_ODDS, VERY_STRONG_ODDS = 2.0, 8.0  # times the threshold's odds


@dataclass(frozen=True)
class Calibration:
    """``score = sigmoid((logit - offset) / temperature)``, a threshold, and what it costs."""

    temperature: float = 1.0
    offset: float = 0.0
    """The logit that stands for a score of 0.5."""
    threshold: float = 0.5
    """The score from which a video is called manipulated."""
    strong: float = 2 / 3
    """The score from which evidence is strong."""
    very_strong: float = 8 / 9
    """The score from which evidence is very strong."""
    target_bpcer: float = TARGET_BPCER
    """The share of authentic videos that the threshold was allowed to call manipulated."""
    expected_bpcer: float | None = None
    """The share that it did, on the validation videos."""
    expected_apcer: float | None = None
    """The share of manipulated validation videos that the threshold misses."""
    balanced: bool = True
    """Whether both classes weighed the same in the fit: the score then assumes that a video is as
    likely manipulated as not, whatever mixture the validation set had."""
    authentic: int = 0
    """Authentic videos that it was fitted on."""
    manipulated: int = 0
    """Manipulated videos that it was fitted on."""
    notes: tuple[str, ...] = ()
    """What a reader must know of the fit, e.g. that the videos were too few."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.offset) and math.isfinite(self.temperature)):
            raise ValueError("temperature and offset must be finite")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be > 0, got {self.temperature}")
        if not 0 <= self.threshold <= self.strong <= self.very_strong <= 1:
            raise ValueError(
                "threshold, strong and very_strong must rise within 0-1, got "
                f"{self.threshold}, {self.strong}, {self.very_strong}"
            )

    @property
    def fitted(self) -> bool:
        """False for the default: a plain sigmoid, whose scores are no probabilities."""
        return self.authentic > 0 and self.manipulated > 0

    def score(self, logit: float) -> float:
        """P(manipulated), 0-1, of one logit."""
        return float(self.scores([logit])[0])

    def scores(self, logits: ArrayLike) -> Floats:
        """P(manipulated), 0-1, of logits of any shape."""
        return _sigmoid((np.asarray(logits, dtype=np.float64) - self.offset) / self.temperature)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and checkpoints."""
        return {**asdict(self), "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Calibration:
        """The reverse of `to_dict`. An empty mapping gives the default, which is not fitted.

        Raises:
            ModelError: ``model_calibration``: a value that cannot be (keys of later versions pass).
        """
        known = {field.name for field in fields(cls)}
        values = {key: value for key, value in tree.items() if key in known}
        try:
            return cls(**{**values, "notes": tuple(values.get("notes", ()))})
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"The model's calibration cannot be used: {error}.", code="model_calibration"
            ) from error


def fit(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    target_bpcer: float = TARGET_BPCER,
    balanced: bool = True,
    videos: tuple[int, int] | None = None,
) -> Calibration:
    """Fit temperature, offset, threshold and cut points on validation videos.

    Temperature scaling (Guo et al. 2017) with an offset, which minimises the log loss. The labels
    are softened as in Platt 1999 (n + 1 of n + 2), so that perfectly separated or very few videos
    still give finite, modest scores. The threshold lies half-way above the last authentic video
    that has to pass for a BPCER of at most ``target_bpcer``; evidence is strong (very strong) from
    twice (eight times) the threshold's odds on, and never where more than a fifth (a twenty-fifth)
    of ``target_bpcer`` of the authentic videos score as high.

    Args:
        logits: ``(N,)`` video logits.
        labels: ``(N,)`` 1 = manipulated.
        target_bpcer: the allowed share of authentic videos at or above the threshold.
        balanced: weigh the classes equally, else every video.
        videos: how many authentic and manipulated videos these rows are of, where some are copies.

    Returns:
        With one class only, or constant logits, scores stay a plain sigmoid around the mean and
        ``notes`` say why.
    """
    values, truth = _checked(logits, labels, target_bpcer)
    counted = (int((truth == 0).sum()), int((truth == 1).sum()))
    authentic, manipulated = videos or counted
    if not authentic or not manipulated:
        return Calibration(
            offset=float(values.mean()) if len(values) else 0.0,
            target_bpcer=target_bpcer,
            balanced=balanced,
            authentic=authentic,
            manipulated=manipulated,
            notes=("Not calibrated: the validation videos are all of one class.",),
        )
    notes = []
    temperature, offset, useful = _fit_scale(values, truth, balanced)
    if not useful:
        notes.append("The logits do not rank validation videos; scores mean little.")
    if authentic * target_bpcer < 1:
        notes.append(
            f"Only {authentic} authentic validation videos: too few to measure a BPCER of "
            f"{target_bpcer:.0%}; the threshold lies above all of them."
        )
    places = (values - offset) / temperature
    cuts = _cut_points(places, truth, target_bpcer)
    called = _sigmoid(places) >= cuts[0]
    return Calibration(
        temperature=temperature,
        offset=offset,
        threshold=float(cuts[0]),
        strong=float(cuts[1]),
        very_strong=float(cuts[2]),
        target_bpcer=target_bpcer,
        expected_bpcer=float(called[truth == 0].mean()),
        expected_apcer=float((~called[truth == 1]).mean()),
        balanced=balanced,
        authentic=authentic,
        manipulated=manipulated,
        notes=tuple(notes),
    )


def cross_fit(
    logits: ArrayLike,
    labels: ArrayLike,
    groups: Sequence[str],
    *,
    folds: int = FOLDS,
    target_bpcer: float = TARGET_BPCER,
) -> tuple[Floats, NDArray[np.bool_]] | None:
    """Judge every row by a calibration that was fitted without its group: how well `fit` does.

    Groups are dealt to ``folds`` parts; each part is judged by what the others give.

    Args:
        logits: ``(N,)`` video logits.
        labels: ``(N,)`` 1 = manipulated.
        groups: ``(N,)`` who belongs together.
        folds: parts.
        target_bpcer: as in `fit`.

    Returns:
        Scores ``(N,)`` and decisions ``(N,)``, or None where there are fewer groups than parts or
        a part is all that there is of a class.
    """
    values, truth = _checked(logits, labels, target_bpcer)
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < folds:
        return None
    part = np.random.default_rng(0).permutation(len(names))[member] % folds
    scores, called = np.empty(len(values)), np.empty(len(values), np.bool_)
    for number in range(folds):
        here = part == number
        fitted = fit(values[~here], truth[~here], target_bpcer=target_bpcer)
        if not fitted.fitted:
            return None
        scores[here] = fitted.scores(values[here])
        called[here] = scores[here] >= fitted.threshold
    return scores, called


def _checked(
    logits: ArrayLike, labels: ArrayLike, target_bpcer: float
) -> tuple[Floats, NDArray[Any]]:
    values, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if values.ndim != 1 or truth.shape != values.shape or not np.isin(truth, (0, 1)).all():
        raise ValueError("logits and labels must be (N,), labels 0 or 1")
    if not np.isfinite(values).all():
        raise ValueError("logits must be finite")
    if not 0 < target_bpcer < 1:
        raise ValueError(f"target_bpcer must be within 0-1, got {target_bpcer}")
    return values, truth


def _fit_scale(logits: Floats, labels: NDArray[Any], balanced: bool) -> tuple[float, float, bool]:
    """Temperature, offset, and whether higher logits go with manipulation at all."""
    mean, spread = float(logits.mean()), float(logits.std())
    if spread < 1e-9:
        return 1.0, mean, False
    manipulated, authentic = int(labels.sum()), int((1 - labels).sum())
    targets = np.where(labels == 1, (manipulated + 1) / (manipulated + 2), 1 / (authentic + 2))
    weights = np.ones(len(labels))
    if balanced:
        weights = np.where(labels == 1, 0.5 / manipulated, 0.5 / authentic) * len(labels)
    x = (logits - mean) / spread
    slope, shift = _newton(x, targets, weights)
    useful = slope > 0.02
    if not useful:  # a bad model must not have its sense turned round
        slope, shift = 0.02, 0.0
    return spread / slope, mean - shift * spread / slope, useful


def _newton(x: Floats, targets: Floats, weights: Floats) -> tuple[float, float]:
    """Slope and shift of the logistic curve with the least log loss (convex; damped Newton)."""
    design = np.stack([x, np.ones_like(x)], axis=1)

    def loss(theta: Floats) -> float:
        z = design @ theta
        return float(np.sum(weights * (np.logaddexp(0, z) - targets * z)))

    theta = np.zeros(2)
    for _ in range(50):
        p = _sigmoid(design @ theta)
        gradient = design.T @ (weights * (p - targets))
        curvature = (design * (weights * p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while loss(theta - size * step) > loss(theta) and size > 1e-6:
            size /= 2
        theta = theta - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    return float(theta[0]), float(theta[1])


def _cut_points(places: Floats, labels: NDArray[Any], target: float) -> Floats:
    """``(3,)`` scores of threshold, strong and very strong evidence."""
    threshold = _place_with_bpcer(places, labels, target)
    strong = _place_with_bpcer(places, labels, target / 5)
    very_strong = _place_with_bpcer(places, labels, target / 25)
    return _sigmoid(
        np.array(
            [
                threshold,
                max(strong, threshold + math.log(STRONG_ODDS)),
                max(very_strong, threshold + math.log(VERY_STRONG_ODDS)),
            ]
        )
    )


def _place_with_bpcer(places: Floats, labels: NDArray[Any], target: float) -> float:
    """The lowest place that at most ``target`` of the authentic videos reach.

    Any place between the last one that must stay below and the next video of either class decides
    alike; the middle leaves both the most room.
    """
    reals = np.sort(places[labels == 0])[::-1]
    allowed = int(target * len(reals) + 1e-9)
    barrier = reals[allowed]
    above = places[places > barrier]
    return float((barrier + (above.min() if len(above) else barrier + 1.0)) / 2)


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)))
