"""Every verdict is strict JSON of the published schema."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from unmask.report import as_dict, verdict_json
from unmask.types import Person, Segment, Verdict, Warn

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "verdict.schema.json").read_text(encoding="utf-8"))

JUDGED = Verdict(
    status="completed",
    input={
        "name": "clip ü.mp4", "sha256": "a" * 64, "size_bytes": 1834230, "container": "mov,mp4",
        "codec": "h264", "width_px": 1080, "height_px": 1920, "rotation_deg": -90,
        "duration_seconds": 28.73, "frame_rate": 29.97,
    },
    label="strong_evidence",
    score=0.83,
    text="Strong evidence of face manipulation in 1 of 2 people. For human review.",
    calibrated=True,
    interval=(0.71, 0.9),
    threshold=0.62,
    expected_bpcer=0.05,
    expected_apcer=0.2,
    cut_points=(0.77, 0.93),
    coverage={
        "frames_decoded": 862, "frames_analysed": 64, "frames_with_face": 61, "partial": False,
        "analysed_ranges_seconds": [[0.0, 28.7]],
    },
    people=(
        Person(
            person_id=1, label="strong_evidence", score=0.83, frames=60, median_face_px=142.04,
            interval=(0.71, 0.9), seen_ranges_seconds=((0.04, 28.12345),),
            segments=(Segment(3.2, 7.9, 0.95, 9, 0.6),),
            frames_detail=(
                {"time_seconds": 3.24, "box_xyxy_px": [412.0, 220.0, 590.0, 470.0], "score": 0.97},
            ),
        ),
    ),
    model={
        "name": "unmask-lite", "version": "1.0", "weights_sha256": "b" * 64,
        "task": "face_manipulation",
    },
    warnings=(Warn("low_resolution_face", "The face is small."),),
    limitations=("Trained on face swaps.",),
    runtime={"tool_version": "0.1.0", "decoder": "pyav 18.1.0", "device": "cpu", "seconds": 1.6},
)  # fmt: skip
ABSTAINED = Verdict(
    status="completed", input={"name": "a.mp4"}, label="not_applicable", score=None,
    text="Not applicable.", reasons=(Warn("no_face", "No face."),),
)  # fmt: skip
FAILED = Verdict(
    status="failed", input={"name": "a.mp4"}, label="inconclusive", score=None,
    text="It could not be read.", reasons=(Warn("media_damaged", "It is cut off."),),
    error={"code": "media_damaged", "message": "It is cut off.", "hint": ""},
)  # fmt: skip


def complaints(tree: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(tree)]


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("verdict", [JUDGED, ABSTAINED, FAILED], ids=lambda v: v.label)
def test_a_verdict_keeps_the_schema(verdict: Verdict) -> None:
    line = verdict_json(verdict)
    assert "\n" not in line
    tree = json.loads(line)
    assert complaints(tree) == []
    assert tree == as_dict(verdict)
    assert list(tree) == SCHEMA["required"]


def test_the_facts_stand_under_their_names() -> None:
    tree = as_dict(JUDGED)
    assert tree["verdict"]["score"] == 0.83
    assert tree["verdict"]["interval"] == [0.71, 0.9]
    assert tree["people"][0]["segments"] == [
        {
            "start_seconds": 3.2, "end_seconds": 7.9, "score": 0.95, "frames": 9,
            "longest_step_seconds": 0.6,
        }
    ]  # fmt: skip
    assert tree["verdict"]["cut_points"] == {
        "moderate_evidence": 0.62, "strong_evidence": 0.77, "very_strong_evidence": 0.93,
    }  # fmt: skip
    assert tree["people"][0]["interval"] == [0.71, 0.9]
    assert tree["people"][0]["seen_ranges_seconds"] == [[0.04, 28.123]]
    assert tree["input"]["name"] == "clip ü.mp4"
    assert tree["provenance"] == {"c2pa": None}
    verdict = tree["verdict"]
    assert (verdict["calibrated"], verdict["threshold"]) == (True, 0.62)
    assert (verdict["expected_bpcer"], verdict["expected_apcer"]) == (0.05, 0.2)
    assert tree["coverage"] == {**JUDGED.coverage}
    assert tree["warnings"] == [
        {"code": "low_resolution_face", "message": "The face is small."}
    ]  # fmt: skip
    assert tree["limitations"] == ["Trained on face swaps."]


def test_a_person_is_told_whole() -> None:
    frames = (
        {"time_seconds": 3.24049, "box_xyxy_px": [412.04, 220.26, 590.0, 470.9], "score": 0.97},
        {"time_seconds": 4.0, "box_xyxy_px": [0, 0, 9, 9], "score": None, "left_out": "too_dark"},
    )
    few = replace(
        JUDGED.people[0], median_face_px=142.46, frames_detail=frames,
        reasons=(Warn("too_few_frames", "Only 2."),),
    )  # fmt: skip
    (person,) = as_dict(replace(JUDGED, people=(few,)))["people"]
    assert (person["label"], person["score"], person["frames"]) == ("strong_evidence", 0.83, 60)
    assert person["median_face_px"] == 142.5
    assert person["reasons"] == [{"code": "too_few_frames", "message": "Only 2."}]
    assert person["frames_detail"] == [
        {"time_seconds": 3.24, "box_xyxy_px": [412.0, 220.3, 590.0, 470.9], "score": 0.97,
         "left_out": None},
        {"time_seconds": 4.0, "box_xyxy_px": [0, 0, 9, 9], "score": None, "left_out": "too_dark"},
    ]  # fmt: skip


def test_a_model_without_threshold_has_no_words_and_credentials_stand_apart() -> None:
    raw = replace(JUDGED, calibrated=False, threshold=None, provenance={"state": "none"})
    tree = as_dict(raw)
    assert (tree["verdict"]["calibrated"], tree["verdict"]["cut_points"]) == (False, None)
    assert tree["provenance"] == {"c2pa": {"state": "none"}}


def test_a_name_that_is_not_utf8_stays_strict_json() -> None:
    message = f"There is no {os.fsdecode(b'/a/b' + bytes([255]) + b'.mp4')}."
    failed = replace(
        ABSTAINED, status="failed", text=message, reasons=(Warn("media_not_found", message),),
        label="inconclusive", error={"code": "media_not_found", "message": message, "hint": ""},
    )  # fmt: skip
    tree = json.loads(verdict_json(failed).encode("utf-8"))
    assert tree["error"]["message"] == "There is no /a/b\\xff.mp4."
    Draft202012Validator(SCHEMA).validate(tree)


def broken(section: str, key: str, value: object) -> dict[str, Any]:
    tree = as_dict(JUDGED)
    tree[section][key] = value
    return tree


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("verdict", "score", None),
        ("verdict", "score", 1.2),
        ("verdict", "label", "inconclusive"),
        ("verdict", "label", "authentic"),
        ("input", "path", "/home/somebody/clip.mp4"),
        ("model", "weights_sha256", "none"),
    ],
)
def test_the_schema_refuses_what_must_not_be(section: str, key: str, value: object) -> None:
    assert complaints(broken(section, key, value))


def test_a_failed_file_may_not_carry_a_number_or_lack_its_error() -> None:
    assert complaints({**as_dict(JUDGED), "status": "failed"})
    assert complaints({**as_dict(FAILED), "error": None})


def test_not_a_number_is_never_written() -> None:
    bad = replace(JUDGED, runtime={"seconds": float("nan")})
    with pytest.raises(ValueError, match="JSON compliant"):
        verdict_json(bad)
