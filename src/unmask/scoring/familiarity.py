"""How unlike a face's features are to those of the faces that a model was calibrated on.

A detector judges by features; where they lie far from all that it was checked on, its score rests
on nothing. Authentic and manipulated validation faces together give the reference.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import ModelError
from unmask.types import FloatArray

AXES = 24
SHARE = 0.99
"""Of the validation faces that the limit lets through."""
LEAST_FACES = 100
"""Fewer than these say too little of what faces can look like."""
LEAST_OF_SOURCE = 20
"""A source with fewer says too little of how far sources lie apart."""
_MOST_FACES = 20_000
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Familiarity:
    """A Gaussian around the validation faces: a few axes with their own spread, the rest alike
    (probabilistic principal components, Tipping & Bishop 1999)."""

    mean: FloatArray
    """``(F,)``"""
    axes: FloatArray
    """``(K, F)``, of unit length."""
    spread: FloatArray
    """``(K,)``: standard deviation along each axis."""
    rest: float
    """Standard deviation in every other direction."""
    limit: float
    """The distance that ``share`` of the validation faces stay within, also of a source that the
    reference does not know."""
    share: float
    faces: int
    """That it was fitted on."""

    def distances(self, features: ArrayLike) -> NDArray[np.float64]:
        """Mahalanobis distances of ``(N, F)`` features by the root of F: about 1 for most faces."""
        offsets = np.asarray(features, np.float64) - self.mean
        along = offsets @ self.axes.T.astype(np.float64)
        beside = np.maximum((offsets**2).sum(axis=1) - (along**2).sum(axis=1), 0.0)
        squares = ((along / self.spread) ** 2).sum(axis=1) + beside / self.rest**2
        return np.asarray(np.sqrt(squares / len(self.mean)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: arrays as base64 of little-endian numbers."""
        return {
            "mean": _packed(self.mean, "<f4"),
            "axes": _packed(self.axes, "<f2"),
            "spread": _packed(self.spread, "<f4"),
            "rest": self.rest,
            "limit": self.limit,
            "share": self.share,
            "faces": self.faces,
        }

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Familiarity:
        """The reverse of `to_dict`.

        Raises:
            ModelError: ``model_calibration``: a value that cannot be.
        """
        try:
            mean = _unpacked(tree["mean"], "<f4")
            return cls(
                mean=mean,
                axes=_unpacked(tree["axes"], "<f2").reshape(-1, len(mean)),
                spread=_unpacked(tree["spread"], "<f4"),
                rest=float(tree["rest"]),
                limit=float(tree["limit"]),
                share=float(tree["share"]),
                faces=int(tree["faces"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"The model's reference of familiar faces cannot be used: {error}.",
                code="model_calibration",
            ) from error


def fit_familiarity(
    features: ArrayLike,
    sources: ArrayLike,
    *,
    axes: int = AXES,
    share: float = SHARE,
    seed: int = 0,
) -> Familiarity | None:
    """Fit the reference on validation faces of both classes and of several sources.

    The limit is the highest of some quantiles of the distances of faces to a reference that they
    had no part in: of random fifths, and of each source to the reference of the others, where those
    are as many at least. Within one source faces lie so near each other that a limit found there
    would call most of another source's unfamiliar.

    Args:
        features: ``(N, F)``; of more than 20,000 faces a seeded sample is taken.
        sources: ``(N,)`` where each face is from.
        axes: with a spread of their own, at most.
        share: of the faces that the limit lets through.
        seed: of sample and folds.

    Returns:
        None with fewer than `LEAST_FACES`, with one source only (those of fewer than
        `LEAST_OF_SOURCE` faces do not count), or with features that do not vary.
    """
    values, origin = np.asarray(features, np.float64), np.asarray(sources)
    if values.ndim != 2 or origin.shape != values.shape[:1] or not np.isfinite(values).all():
        raise ValueError(
            f"features must be finite and (N, F), sources (N,), got {values.shape}, {origin.shape}"
        )
    if not 0 < share < 1:
        raise ValueError(f"share must be within 0-1, got {share}")
    order = np.random.default_rng(seed).permutation(len(values))[:_MOST_FACES]
    values, origin = values[order], origin[order]
    kinds, counts = np.unique(origin, return_counts=True)
    large = kinds[counts >= LEAST_OF_SOURCE]
    if len(values) < LEAST_FACES or len(large) < 2:
        return None
    whole = _gaussian(values, axes, share)
    if whole is None:
        return None
    fold = np.arange(len(values)) % _FOLDS
    inside = np.empty(len(values))
    for number in range(_FOLDS):
        part = _gaussian(values[fold != number], axes, share) or whole
        inside[fold == number] = part.distances(values[fold == number])
    limits = [np.quantile(inside, share)]
    for kind in large:
        own = origin == kind
        others = _gaussian(values[~own], axes, share)
        if others is not None and (~own).sum() >= own.sum():
            limits.append(np.quantile(others.distances(values[own]), share))
    return replace(whole, limit=float(max(limits)))


def _gaussian(values: NDArray[np.float64], axes: int, share: float) -> Familiarity | None:
    mean = values.mean(axis=0)
    offsets = values - mean
    variances, directions = np.linalg.eigh(offsets.T @ offsets / (len(values) - 1))
    kept = min(axes, values.shape[1] - 1, len(values) - 2)
    leading = variances[::-1][:kept]
    rest = float(variances[: values.shape[1] - kept].clip(0).mean()) if kept else 0.0
    if kept < 1 or leading[-1] <= 1e-12 or rest <= 1e-12:
        return None
    return Familiarity(
        mean=mean.astype(np.float32),
        axes=directions[:, ::-1][:, :kept].T.astype(np.float16).astype(np.float32),
        spread=np.sqrt(leading).astype(np.float32),
        rest=math.sqrt(rest),
        limit=math.inf,
        share=share,
        faces=len(values),
    )


def _packed(values: FloatArray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode("ascii")


def _unpacked(text: str, kind: str) -> FloatArray:
    return np.frombuffer(base64.b64decode(text, validate=True), kind).astype(np.float32)
