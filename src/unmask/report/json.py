"""A verdict as the published JSON object (docs/verdict.md, docs/verdict.schema.json)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from unmask.files import valid_text
from unmask.types import Person, Verdict, Warn

SCHEMA_VERSION = "1.0"

# Every key is always there; what is not known is null.
_INPUT: dict[str, Any] = dict.fromkeys(
    ("name", "sha256", "size_bytes", "container", "codec", "width_px", "height_px",
     "rotation_deg", "duration_seconds", "frame_rate")
)  # fmt: skip
_COVERAGE: dict[str, Any] = {
    "frames_decoded": 0,
    "frames_analysed": 0,
    "frames_with_face": 0,
    "partial": False,
    "analysed_ranges_seconds": [],
}
_MODEL: dict[str, Any] = dict.fromkeys(("name", "version", "weights_sha256", "task"))
_RUNTIME: dict[str, Any] = dict.fromkeys(("tool_version", "decoder", "device", "seconds"))


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """Plain values of the documented schema; finite numbers, score null where there is none."""
    tree: dict[str, Any] = _valid(
        {
            "schema_version": SCHEMA_VERSION,
            "status": verdict.status,
            "input": {**_INPUT, **verdict.input},
            "verdict": {
                "label": verdict.label,
                "score": _score(verdict.score),
                "calibrated": verdict.calibrated,
                "interval": _interval(verdict.interval),
                "threshold": _score(verdict.threshold),
                "expected_bpcer": _score(verdict.expected_bpcer),
                "expected_apcer": _score(verdict.expected_apcer),
                "cut_points": _cut_points(verdict),
                "reasons": _warns(verdict.reasons),
                "text": verdict.text,
            },
            "coverage": {**_COVERAGE, **verdict.coverage},
            "people": [_person(person) for person in verdict.people],
            "model": {**_MODEL, **verdict.model},
            "provenance": {
                "c2pa": None if verdict.provenance is None else dict(verdict.provenance)
            },
            "warnings": _warns(verdict.warnings),
            "limitations": list(verdict.limitations),
            "runtime": {**_RUNTIME, **verdict.runtime},
            "error": None if verdict.error is None else dict(verdict.error),
        }
    )
    return tree


def _valid(value: Any) -> Any:
    """The same without lone surrogates, which messages about odd file names bring along."""
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, dict):
        return {name: _valid(part) for name, part in value.items()}
    return [_valid(part) for part in value] if isinstance(value, list | tuple) else value


def verdict_json(verdict: Verdict, *, ascii_only: bool = False) -> str:
    """The object of `as_dict` on one line; strict JSON without NaN.

    ``ascii_only`` writes other letters as escapes, for a terminal or a pipe that has not all.
    """
    return json.dumps(as_dict(verdict), allow_nan=False, ensure_ascii=ascii_only)


def _person(person: Person) -> dict[str, Any]:
    return {
        "person_id": person.person_id,
        "score": _score(person.score),
        "interval": _interval(person.interval),
        "label": person.label,
        "reasons": _warns(person.reasons),
        "frames": person.frames,
        "median_face_px": round(person.median_face_px, 1),
        "seen_ranges_seconds": [
            [round(bound, 3) for bound in stretch] for stretch in person.seen_ranges_seconds
        ],
        "segments": [
            {
                "start_seconds": round(segment.start_seconds, 3),
                "end_seconds": round(segment.end_seconds, 3),
                "score": _score(segment.score),
                "frames": segment.frames,
                "longest_step_seconds": round(segment.longest_step_seconds, 3),
            }
            for segment in person.segments
        ],
        "frames_detail": [
            {
                "time_seconds": round(frame["time_seconds"], 3),
                "box_xyxy_px": [round(value, 1) for value in frame["box_xyxy_px"]],
                "score": _score(frame["score"]),
                "left_out": frame.get("left_out"),
            }
            for frame in person.frames_detail
        ],
    }


def _cut_points(verdict: Verdict) -> dict[str, float | None] | None:
    if verdict.threshold is None or verdict.cut_points is None:
        return None
    strong, very_strong = verdict.cut_points
    return {
        "moderate_evidence": _score(verdict.threshold),
        "strong_evidence": _score(strong),
        "very_strong_evidence": _score(very_strong),
    }


def _interval(bounds: tuple[float, float] | None) -> list[float | None] | None:
    return None if bounds is None else [_score(bound) for bound in bounds]


def _warns(warns: Iterable[Warn]) -> list[dict[str, str]]:
    return [asdict(warn) for warn in warns]


def _score(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
