"""A verdict as one HTML page that a person can check: no script, no network, fit for printing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from unmask.faces import FaceDetector
from unmask.files import write_text
from unmask.inference import Model
from unmask.media import Limits
from unmask.media.decode import mean_step_seconds
from unmask.report.json import as_dict, verdict_json
from unmask.report.keyframes import KeyFrame, key_frames
from unmask.report.pages import environment
from unmask.report.text import DAMAGED, WORDS, score_digits, short_score
from unmask.report.timeline import Track, clock, span_seconds, ticks, track
from unmask.scoring.segments import longest_gap_seconds
from unmask.scoring.verdict import frames_text
from unmask.types import STRETCH_STEP_SECONDS, Verdict

_ZONES = ("weak_evidence", "moderate_evidence", "strong_evidence", "very_strong_evidence")
_PIN_WIDTH = 8.0  # per cent of the narrowest chart
COLOURS = 6
"""People's colours in the style sheet; from the seventh on they come again."""


@dataclass(frozen=True)
class Row:
    """One person as the page shows them."""

    data: dict[str, Any]
    """The person's part of the JSON."""
    track: Track
    peak: dict[str, Any] | None
    """The frame with the highest score."""
    close_ups: tuple[Any, ...]
    """(key frame, close-up) pairs."""


def write_html(
    out: Path,
    path: str | Path,
    verdict: Verdict,
    *,
    model: Model | None = None,
    faces: FaceDetector | None = None,
    limits: Limits | None = None,
) -> None:
    """Write the page of one verdict, atomically; key frames are read from the video again.

    Args:
        out: the HTML file.
        path: the video or still that the verdict is about.
        verdict: what `unmask.detect` said of it.
        model: what gave the verdict; without it (or ``faces``) the page shows no heatmaps.
        faces: the face detector that found the faces.
        limits: as they were for the verdict.
    """
    frames = key_frames(path, verdict, model=model, faces=faces, limits=limits)
    write_text(out, verdict_html(verdict, frames))


def verdict_html(
    verdict: Verdict, frames: Sequence[KeyFrame] = (), *, made_at: datetime | None = None
) -> str:
    """The page as text.

    Args:
        verdict: what to show.
        frames: of `key_frames`.
        made_at: the time printed on it; now by default.
    """
    end = span_seconds(verdict)
    threshold, coverage = verdict.threshold, verdict.coverage
    step = mean_step_seconds(
        coverage.get("frames_analysed", 0), coverage.get("analysed_ranges_seconds", ())
    )
    return _template().render(
        v=as_dict(verdict),
        words=WORDS,
        damaged=DAMAGED,
        digits=score_digits(verdict),
        made_at=(made_at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        still="single_picture" in [warn.code for warn in verdict.warnings],
        rows=_rows(verdict, frames, end),
        frames=frames,
        ticks=ticks(end),
        pins=pin_rows([100 * frame.time_seconds / end if end else 50.0 for frame in frames]),
        threshold_y=None if threshold is None else 100 - 100 * threshold,
        scale=_scale(verdict),
        zones=_ZONES,
        far_apart_seconds=STRETCH_STEP_SECONDS,
        step_seconds=step,
        gap_seconds=longest_gap_seconds(step),
        json_uri=Markup("data:application/json;base64,") + _base64(verdict_json(verdict).encode()),
    )


def pin_rows(places: Sequence[float]) -> list[list[tuple[int, float]]]:
    """Key frames' numbers, from 1, and places (per cent, ascending) in rows in which none covers
    another on a phone."""
    rows: list[list[tuple[int, float]]] = []
    for number, x in enumerate(places, start=1):
        row = next((row for row in rows if x - row[-1][1] >= _PIN_WIDTH), None)
        if row is None:
            rows.append(row := [])
        row.append((number, x))
    return rows


def _rows(verdict: Verdict, frames: Sequence[KeyFrame], end_seconds: float) -> list[Row]:
    """Everybody, whoever has the highest score first; those who were not judged last."""
    rows = []
    for person, data in zip(verdict.people, as_dict(verdict)["people"], strict=True):
        judged = [frame for frame in data["frames_detail"] if frame["score"] is not None]
        close_ups = tuple(
            (frame, close_up)
            for frame in frames
            for close_up in frame.close_ups
            if close_up.person_id == person.person_id
        )
        rows.append(
            Row(
                data,
                track(person, end_seconds),
                max(judged, key=lambda frame: float(frame["score"]), default=None),
                tuple(sorted(close_ups, key=lambda pair: -(pair[1].score or 0.0))),
            )
        )
    return sorted(rows, key=lambda row: -(-1 if row.data["score"] is None else row.data["score"]))


def _scale(verdict: Verdict) -> dict[str, Any] | None:
    """The score on the scale of words, whose four parts are drawn equally wide."""
    if verdict.score is None or verdict.threshold is None or verdict.cut_points is None:
        return None
    bounds = (0.0, verdict.threshold, *verdict.cut_points, 1.0)
    low, high = verdict.interval or (verdict.score, verdict.score)
    return {
        "at": _place(verdict.score, bounds),
        "low": _place(low, bounds),
        "high": _place(high, bounds),
        "cuts": bounds[1:4],
    }


def _place(score: float, bounds: Sequence[float]) -> float:
    """Where a score lies, 0-100: linear within each part, the parts equally wide."""
    parts = len(bounds) - 1
    for part in range(parts):
        low, high = bounds[part], bounds[part + 1]
        if score < high or part == parts - 1:
            within = (score - low) / (high - low) if high > low else 1.0
            return 100 * (part + min(1.0, max(0.0, within))) / parts
    raise ValueError("there must be at least two bounds")


@cache
def _template() -> Template:
    pages = environment()
    pages.filters |= {
        "clock": clock,
        "frames": frames_text,
        "score": _score,
        "short": short_score,
        "range": _range,
        "share": lambda value: "not known" if value is None else f"{100 * value:.1f} %",
        "size": _size,
        "jpeg": lambda content: Markup("data:image/jpeg;base64,") + _base64(content),
        "colour": lambda person_id: (person_id - 1) % COLOURS,
    }
    return pages.get_template("verdict.html")


def _score(value: float | None, digits: int = 2) -> str:
    return short_score(value, digits).replace(">", "over").replace("<", "under")


def _range(bounds: Sequence[float], digits: int = 2) -> str:
    low, high = (_score(bound, digits) for bound in bounds)
    return low if low == high else f"{low} to {high}"


def _size(count: int | None) -> str:
    if count is None:
        return "not known"
    if count < 1e4:
        return f"{count:,} bytes"
    amount, unit = (count / 1e6, "MB") if count >= 1e6 else (count / 1e3, "kB")
    return f"{amount:.1f} {unit} ({count:,} bytes)"


def _base64(content: bytes) -> Markup:
    return Markup(base64.b64encode(content).decode("ascii"))
