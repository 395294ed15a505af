"""Where a person's face is at any time, from the frames in which it was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from unmask.types import STRETCH_STEP_SECONDS, BoxXyxy, Person

HOLD_SECONDS = 0.25
"""How long a box stays up around a frame whose neighbours are too far away."""


@dataclass(frozen=True)
class Spot:
    """A face at one time."""

    box_xyxy_px: BoxXyxy
    score: float | None
    """Of the nearest frame that was looked at."""
    looked_at: bool
    """Whether this very frame was looked at; else the place was interpolated."""


class Motion:
    """Answers for one person; times must come from the same video as the verdict."""

    def __init__(self, person: Person, looked_at_seconds: Iterable[float] = ()) -> None:
        """``looked_at_seconds``: times of frames in which anybody was found; where the person was
        not, nothing glides over it."""
        frames = person.frames_detail
        self._looked = np.array([*looked_at_seconds], float)
        self._times = np.array([frame["time_seconds"] for frame in frames], float)
        self._boxes = np.array([frame["box_xyxy_px"] for frame in frames], float).reshape(-1, 4)
        self._scores = [frame["score"] for frame in frames]

    def at(self, time_seconds: float, tolerance_seconds: float) -> Spot | None:
        """The face at a time, or None where it is not known.

        Args:
            time_seconds: of the frame.
            tolerance_seconds: half the time that a frame is shown.
        """
        if not len(self._times):
            return None
        after = int(np.searchsorted(self._times, time_seconds))
        around = [k for k in (after - 1, after) if 0 <= k < len(self._times)]
        nearest = min(around, key=lambda k: abs(self._times[k] - time_seconds))
        away = abs(self._times[nearest] - time_seconds)
        if len(around) == 2 and self._bridged(after):
            start, end = self._times[after - 1 : after + 1]
            part = (time_seconds - start) / (end - start)
            box = (1 - part) * self._boxes[after - 1] + part * self._boxes[after]
        elif away <= max(HOLD_SECONDS, tolerance_seconds):
            box = self._boxes[nearest]
        else:
            return None
        x0, y0, x1, y1 = (float(value) for value in box)
        return Spot((x0, y0, x1, y1), self._scores[nearest], bool(away <= tolerance_seconds))

    def _bridged(self, after: int) -> bool:
        """Near enough in time, and boxes that touch: over a cut, nothing glides."""
        one, other = self._boxes[after - 1], self._boxes[after]
        touch = (np.minimum(one[2:], other[2:]) > np.maximum(one[:2], other[:2])).all()
        start, end = self._times[after - 1 : after + 1]
        if ((self._looked > start) & (self._looked < end)).any():
            return False
        return bool(0 < end - start <= STRETCH_STEP_SECONDS and touch)
