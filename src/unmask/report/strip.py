"""What is drawn into an annotated video: boxes in the picture, and a strip of timelines below."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from unmask.report.motion import Spot
from unmask.report.text import WORDS, score_digits, short_score
from unmask.report.timeline import clock
from unmask.types import Person, UInt8Array, Verdict

Rgb = tuple[int, int, int]

PEOPLE: tuple[Rgb, ...] = (
    (108, 180, 245), (243, 154, 85), (69, 201, 165), (224, 140, 202), (185, 185, 255),
    (232, 205, 99),
)  # fmt: skip
"""As on the HTML page; told apart by colour-blind eyes, and by the numbers beside them."""
MOST_ROWS = 6
_BACK, _LANE, _INK, _SOFT = (24, 26, 28), (52, 55, 60), (240, 240, 238), (165, 169, 175)
_SUSPICIOUS = (232, 90, 80)
_FONT = cv2.FONT_HERSHEY_SIMPLEX  # a vector font without files; it knows ASCII only


@dataclass(frozen=True)
class Canvas:
    """The picture's place in the annotated video; even sizes, since 4:2:0 needs them."""

    width_px: int
    height_px: int

    @classmethod
    def fit(cls, width_px: int, height_px: int, longest_px: int, narrowest_px: int) -> Canvas:
        """Within ``longest_px``, and where that allows at least ``narrowest_px`` wide."""
        scale = max(1.0, narrowest_px / width_px)
        scale = min(scale, longest_px / max(width_px, height_px))
        return cls(*(max(2, 2 * round(side * scale / 2)) for side in (width_px, height_px)))

    def place(self, image: UInt8Array) -> UInt8Array:
        """The picture in the canvas' size; one whose size changes on the way is fitted as well."""
        if image.shape[:2] == (self.height_px, self.width_px):
            return image
        shrinks = image.shape[1] > self.width_px
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        size = (self.width_px, self.height_px)
        return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)

    def draw(
        self, picture: UInt8Array, source_hw: tuple[int, int], person: Person, spot: Spot
    ) -> None:
        """Draw one box; bold in a frame that was looked at, thin in between."""
        across, down = self.width_px / source_hw[1], self.height_px / source_hw[0]
        x0, y0, x1, y1 = spot.box_xyxy_px
        start = (round(x0 * across), round(y0 * down))
        end = (round(x1 * across), round(y1 * down))
        unit = max(1, round(max(self.width_px, self.height_px) / 640))
        colour, thick = (
            PEOPLE[(person.person_id - 1) % len(PEOPLE)],
            2 * unit if spot.looked_at else unit,
        )
        cv2.rectangle(picture, start, end, (0, 0, 0), thick + 2 * unit, cv2.LINE_AA)
        cv2.rectangle(picture, start, end, colour, thick, cv2.LINE_AA)
        words = f"person {person.person_id}: {short_score(spot.score)}"
        _tag(picture, words, start, end, colour)


class Strip:
    """Rows of timelines with a play-head; all but the head is drawn once."""

    def __init__(self, verdict: Verdict, canvas: Canvas, end_seconds: float) -> None:
        width_px, self._end = canvas.width_px, max(end_seconds, 1e-6)
        self._digits = score_digits(verdict)
        upright = canvas.height_px > width_px
        self._unit = width_px / (440 if upright else 640)  # words of about the same size
        people = sorted(verdict.people, key=lambda person: -(person.score or 0.0))[:MOST_ROWS]
        self._row = round(24 * self._unit)
        head = round(30 * self._unit)
        self.height_px = 2 * ((head + self._row * len(people) + round(10 * self._unit)) // 2)
        self._left, self._right = round(134 * self._unit), width_px - round(14 * self._unit)
        self._top, self._bottom = head, self.height_px - round(8 * self._unit)
        self._still = np.full((self.height_px, width_px, 3), _BACK, np.uint8)
        self._headline(verdict, head)
        for number, person in enumerate(people):
            self._person(person, head + number * self._row)

    def at(self, time_seconds: float) -> UInt8Array:
        """The strip at a time, ``(height_px, width, 3)`` RGB uint8."""
        strip = self._still.copy()
        x = self._x(time_seconds)
        if self._bottom > self._top:
            thick = max(1, round(self._unit))
            cv2.line(strip, (x, self._top - thick), (x, self._bottom), _INK, 2 * thick)
        words = clock(time_seconds, 1)
        scale = 0.5 * self._unit
        (wide, _), _ = cv2.getTextSize(words, _FONT, scale, max(1, round(self._unit)))
        self._write(strip, words, (self._right - wide, self._top - round(10 * self._unit)), scale)
        return strip

    def _headline(self, verdict: Verdict, head_px: int) -> None:
        words = WORDS[verdict.label].capitalize()
        if verdict.score is not None:
            score = short_score(verdict.score, self._digits)
            words += f" of face manipulation, score {score}. For human review."
        room = self._right - round(90 * self._unit)
        scale = 0.5 * self._unit
        (wide, _), _ = cv2.getTextSize(words, _FONT, scale, max(1, round(self._unit)))
        scale *= min(1.0, room / max(1, wide))
        self._write(
            self._still, words, (round(14 * self._unit), head_px - round(10 * self._unit)), scale
        )

    def _person(self, person: Person, top_px: int) -> None:
        colour = PEOPLE[(person.person_id - 1) % len(PEOPLE)]
        low, high = top_px + round(3 * self._unit), top_px + self._row - round(5 * self._unit)
        baseline = high - round(3 * self._unit)
        words = f"person {person.person_id}: {short_score(person.score, self._digits)}"
        at = (round(14 * self._unit), baseline)
        self._write(self._still, words, at, 0.42 * self._unit, colour)
        cv2.rectangle(self._still, (self._left, low), (self._right, high), _LANE, -1)
        for segment in person.segments:
            start, end = self._x(segment.start_seconds), self._x(segment.end_seconds)
            fill = 1 if segment.coarse else -1  # nobody saw what lies between its frames
            place = (start, low), (max(end, start + 2), high)
            cv2.rectangle(self._still, *place, _SUSPICIOUS, fill)
        thick = max(1, round(1.5 * self._unit))
        for frame in person.frames_detail:  # a tick for every frame that was looked at
            x, score = self._x(frame["time_seconds"]), frame["score"]
            if score is None:  # it does not count: a short grey one from above
                cv2.line(self._still, (x, low), (x, low + 2 * thick), _SOFT, thick)
                continue
            y = round(high - (high - low) * score)
            cv2.line(self._still, (x, high), (x, min(y, high - thick)), colour, thick)

    def _x(self, seconds: float) -> int:
        return round(self._left + (self._right - self._left) * min(1.0, seconds / self._end))

    def _write(
        self,
        image: UInt8Array,
        words: str,
        at: tuple[int, int],
        scale: float,
        colour: Rgb = _INK,
    ) -> None:
        thick = max(1, round(self._unit))
        cv2.putText(image, words, at, _FONT, scale, colour, thick, cv2.LINE_AA)


def _tag(
    picture: UInt8Array, words: str, start: tuple[int, int], end: tuple[int, int], colour: Rgb
) -> None:
    """Words on a dark plate above the box, or below where there is no room."""
    height, width = picture.shape[:2]
    unit = max(width, height) / 640
    thick = max(1, round(unit * 0.8))
    scale = 0.45 * unit
    (wide, high), _ = cv2.getTextSize(words, _FONT, scale, thick)
    pad = round(4 * unit)
    x = min(max(0, start[0]), max(0, width - wide - 2 * pad))
    y = start[1] - high - 2 * pad - round(3 * unit)
    if y < 0:
        y = min(end[1] + round(3 * unit), height - high - 2 * pad)
    plate = picture[max(0, y) : y + high + 2 * pad, x : x + wide + 2 * pad]
    plate[:] = plate // 5
    cv2.putText(picture, words, (x + pad, y + high + pad), _FONT, scale, colour, thick, cv2.LINE_AA)
