"""Follow faces over sampled frames: by place where motion allows, by looks over gaps and cuts."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from unmask.types import Crop, Face, FloatArray, Track, UInt8Array

NEAR_SIZES = 1.2  # how far a face may move between two sampled frames, in its own sizes
SIZE_RATIO = 2.0  # how much it may grow or shrink meanwhile
# Least correlation of looks where the place fits, for after a cut it may be another speaker; and as
# long as a head has had no time to turn far. Measured: of pairs of strangers 15 and 11 % are more
# alike; one face was never less after six seconds (0.44), nor after half a second (0.61).
ALIKE_NEARBY, ALIKE_AT_ONCE = 0.4, 0.45
AT_ONCE_SECONDS = 1.0
ALIKE_ANYWHERE = 0.75  # ... and where it does not: after a cut, a gap, a fast move
LOOKS_MEMORY = 0.7  # how slowly a track's looks follow the newest crop
LOOKS_SIDE = 16
# A track whose best detection is weaker is taken for a false alarm. Measured: textures reach 0.61;
# faces of 32 px and more 0.86, of 24 px 0.68.
LEAST_CONFIDENCE = 0.65


@dataclass
class _Open:
    """A track that may go on."""

    crops: list[Crop]
    looks: FloatArray = field(repr=False)

    @property
    def last(self) -> Crop:
        return self.crops[-1]

    @property
    def prominence(self) -> float:
        return sum(crop.face.size_px for crop in self.crops)


class Tracker:
    """Assigns each frame's crops to tracks, most certain match first; `tracks` gives the result."""

    def __init__(self) -> None:
        self._open: list[_Open] = []

    def update(self, crops: list[Crop]) -> None:
        """Take in the crops of one frame; frames come in time order."""
        looks = [describe(crop.image) for crop in crops]
        matches = sorted(
            (cost, t, c)
            for t, track in enumerate(self._open)
            for c, crop in enumerate(crops)
            if (cost := _cost(track, crop, looks[c])) is not None
        )
        taken_tracks: set[int] = set()
        taken_crops: set[int] = set()
        for _, t, c in matches:
            if t in taken_tracks or c in taken_crops:
                continue
            taken_tracks.add(t)
            taken_crops.add(c)
            track = self._open[t]
            track.crops.append(crops[c])
            track.looks = LOOKS_MEMORY * track.looks + (1 - LOOKS_MEMORY) * looks[c]
        for c, crop in enumerate(crops):
            if c not in taken_crops:
                self._open.append(_Open([crop], looks[c]))

    def tracks(self) -> tuple[Track, ...]:
        """All tracks, the most prominent (face size summed over frames) first.

        A track is dropped as a false alarm when no detection in it is confident.
        """
        sure = [
            track
            for track in self._open
            if max(crop.face.confidence for crop in track.crops) >= LEAST_CONFIDENCE
        ]
        ordered = sorted(sure, key=lambda track: -track.prominence)
        return tuple(Track(n, tuple(track.crops)) for n, track in enumerate(ordered))


def describe(crop: UInt8Array) -> FloatArray:
    """``(LOOKS_SIDE ** 2 * 3,)``, zero mean and unit length: products are correlations."""
    small = cv2.resize(crop, (LOOKS_SIDE, LOOKS_SIDE), interpolation=cv2.INTER_AREA)
    values = small.astype(np.float32).reshape(-1, 3)
    values -= values.mean(axis=0)
    flat = values.reshape(-1)
    return flat / max(float(np.linalg.norm(flat)), 1e-6)


def _cost(track: _Open, crop: Crop, looks: FloatArray) -> float | None:
    """Lower is a better match; None where it cannot be the same person."""
    before, face = track.last.face, crop.face
    at_once = crop.pts_seconds - track.last.pts_seconds <= AT_ONCE_SECONDS
    alike = float(track.looks @ looks) / max(float(np.linalg.norm(track.looks)), 1e-6)
    size = max(before.size_px, face.size_px)
    away = float(np.hypot(*(_centre(before) - _centre(face)))) / size
    ratio = size / min(before.size_px, face.size_px)
    near = away <= NEAR_SIZES and ratio <= SIZE_RATIO
    least = ALIKE_AT_ONCE if at_once else ALIKE_NEARBY
    if alike < (least if near else ALIKE_ANYWHERE):
        return None
    return min(away, 2 * NEAR_SIZES) + 2 * (1 - alike)


def _centre(face: Face) -> FloatArray:
    x0, y0, x1, y1 = face.box_xyxy_px
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2], np.float32)
