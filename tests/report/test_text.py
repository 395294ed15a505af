from __future__ import annotations

import os
from dataclasses import replace

import numpy as np

from unmask.evaluation import Prediction, results_of
from unmask.metrics import Estimate
from unmask.report import experiment_text, verdict_text
from unmask.report.text import short_score
from unmask.scoring import fit
from unmask.types import Person, Segment, Verdict, VideoRecord, Warn

JUDGED = Verdict(
    status="completed",
    input={"name": "clip.mp4"},
    label="strong_evidence",
    score=0.834,
    text="Strong evidence of face manipulation in 1 of 2 people. For human review.",
    calibrated=True,
    interval=(0.71, 0.9),
    threshold=0.62,
    coverage={
        "frames_decoded": 862, "frames_analysed": 64, "frames_with_face": 61, "partial": True,
        "analysed_ranges_seconds": [(0.0, 28.7)],
    },
    people=(
        Person(1, "strong_evidence", 0.834, 60, 142.0, (Segment(3.2, 7.9, 0.95, 9, 0.6),)),
        Person(2, "inconclusive", None, 3, 30.0),
    ),
    reasons=(Warn("too_few_frames", "Person 2 shows in 3 frames; 4 are needed."),),
    model={"name": "unmask-lite", "version": "1.0"},
    warnings=(Warn("hdr_tone_not_mapped", "Colours may be pale."),),
    limitations=("Trained on face swaps.",),
    runtime={"seconds": 1.62, "device": "cpu"},
)  # fmt: skip


def test_the_answer_comes_first_and_then_what_it_rests_on() -> None:
    assert verdict_text(JUDGED).splitlines() == [
        "clip.mp4: strong evidence (score 0.83 [0.71, 0.90], threshold 0.62)",
        "  Strong evidence of face manipulation in 1 of 2 people. For human review.",
        "  person 1   0.83     strong evidence; 60 frames, face 142 px; suspicious 3.2-7.9 s",
        "  person 2   no score inconclusive; 3 frames, face 30 px",
        "  reason     Person 2 shows in 3 frames; 4 are needed.",
        "  looked at  64 frames, 61 with a face (0.0-28.7 s); the file is damaged, the rest could "
        "not be read",
        "  model      unmask-lite 1.0; 1.6 s on cpu",
        "  warning    Colours may be pale. [hdr_tone_not_mapped]",
        "  note       Trained on face swaps.",
    ]


def test_frames_far_apart_are_told_as_such() -> None:
    far = replace(JUDGED.people[0], segments=(Segment(28.1, 66.2, 0.95, 3, 18.8),))
    text = verdict_text(replace(JUDGED, people=(far,)))
    assert "suspicious 28.1-66.2 s (3 frames up to 19 s apart)" in text


def test_no_number_is_rounded_to_certainty() -> None:
    people = (replace(JUDGED.people[0], score=0.9996), replace(JUDGED.people[0], score=0.0004))
    sure = replace(JUDGED, score=0.9996, interval=(0.003, 0.9999), threshold=0.994, people=people)
    lines = verdict_text(sure).splitlines()
    assert [short_score(value) for value in (0.99, 0.01)] == ["0.99", "0.01"]
    numbers = "(score > 0.99 [< 0.01, > 0.99], threshold > 0.99)"
    assert lines[0] == f"clip.mp4: strong evidence {numbers}"
    assert lines[2].startswith("  person 1   > 0.99   strong evidence;")
    assert lines[3].startswith("  person 1   < 0.01   strong evidence;")


def test_one_frame_covers_no_stretch_of_time() -> None:
    one = {**JUDGED.coverage, "frames_analysed": 1, "frames_with_face": 1, "partial": False}
    assert "  looked at  1 frame, 1 with a face" in verdict_text(
        replace(JUDGED, coverage=one)
    ).splitlines()  # fmt: skip


def test_a_score_that_is_no_probability_is_marked() -> None:
    assert "not calibrated" in verdict_text(replace(JUDGED, calibrated=False)).splitlines()[0]


def test_an_abstention_shows_no_number() -> None:
    verdict = Verdict(
        "completed", {"name": "a.mp4"}, "not_applicable", None, "Not applicable: no face.",
        reasons=(Warn("no_face", "No face."),),
    )  # fmt: skip
    assert verdict_text(verdict) == "a.mp4: not applicable\n  Not applicable: no face."


def test_a_failure_names_code_and_next_step() -> None:
    verdict = Verdict(
        "failed", {"name": "a.mp4"}, "inconclusive", None, "x",
        error={"code": "media_empty", "message": "It is empty.", "hint": "Copy it again."},
    )  # fmt: skip
    assert verdict_text(verdict).splitlines() == [
        "a.mp4: failed [media_empty]", "  It is empty.", "  Copy it again.",
    ]  # fmt: skip
    bare = replace(verdict, error={"code": "c", "message": "m", "hint": ""})
    assert verdict_text(bare).splitlines() == ["a.mp4: failed [c]", "  m"]


def test_a_file_name_cannot_steer_the_terminal() -> None:
    text = verdict_text(replace(JUDGED, input={"name": "a\x1b[2Jb\nc.mp4"}))
    assert text.splitlines()[0].startswith("a\ufffd[2Jb\ufffdc.mp4: strong evidence")


def test_a_name_that_is_not_utf8_is_written_out() -> None:
    message = f"There is no {os.fsdecode(bytes([0xFF]))}.mp4."
    failed = Verdict(
        "failed", {"name": "a\\xff.mp4"}, "inconclusive", None, "x",
        error={"code": "c", "message": message, "hint": ""},
    )  # fmt: skip
    assert verdict_text(failed).splitlines() == [
        "a\\xff.mp4: failed [c]", "  There is no \\xff.mp4.",
    ]  # fmt: skip


def test_the_experiment_report_holds_the_numbers() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 30)
    logits = rng.normal(size=60) + 2 * labels
    calibration = fit(logits, labels)
    rows = [
        Prediction.judged(
            VideoRecord(f"{k}.mp4", int(labels[k]), "test", f"g{k}", "swap" if labels[k] else ""),
            calibration, logits[k], [logits[k]] * 4, 100.0,
        )
        for k in range(60)
    ]  # fmt: skip
    rows.append(Prediction.abstained(VideoRecord("x.mp4", 0, "test", "x"), "no_face"))
    tree = results_of(rows, calibration, resamples=50, timings={"score_seconds": 2.0})
    model = {"file": "best_model.pth", "metrics": {"val_auc_video": 0.987654321}}
    training = {"epochs": 3, "gpu_utilisation": None}
    text = experiment_text({**tree, "model": model, "training": training})
    auc = tree["video"]["auc_roc"]
    assert f"{auc['value']:.3f} [{auc['low']:.3f}, {auc['high']:.3f}]" in text
    assert "60 judged of 61 (not judged: no_face 1)" in text
    assert "score_seconds  2" in text
    assert "epochs           3\ngpu_utilisation  not measured" in text
    assert "file           best_model.pth\nval_auc_video  0.9877" in text
    assert "swap  30" in text
    assert all(len(line) < 110 for line in text.splitlines())


def test_the_report_of_one_class_says_not_defined() -> None:
    calibration = fit([0.0, 1.0], [1, 1])
    rows = [Prediction.judged(VideoRecord("a.mp4", 1, "test", "g"), calibration, 1.0, [1.0])]
    text = experiment_text(results_of(rows, calibration, resamples=10))
    assert "AUC-ROC             not defined" in text
    assert "not known" in text
    assert "all of one class" in " ".join(text.split())


def test_every_number_of_the_experiment_report_stands_under_its_name() -> None:
    names = (
        "auc_roc", "auc_pr", "eer", "accuracy", "balanced_accuracy", "precision", "recall", "f1",
        "apcer", "bpcer", "hter", "bpcer_at_apcer_5", "ece", "brier",
    )  # fmt: skip

    def part(first: int) -> dict[str, dict[str, object]]:
        return {
            name: vars(Estimate((first + k) / 1000, None, None)) for k, name in enumerate(names)
        }

    tree = {
        "split": ["test"],
        "counts": {
            "judged": 11, "videos": 11, "not_judged": {}, "authentic": 5, "manipulated": 6,
            "groups": 7, "frames": 88,
        },
        "calibration": {
            "threshold": 0.61, "expected_bpcer": 0.05, "expected_apcer": 0.2, "temperature": 1.5,
            "offset": -0.25, "authentic": 21, "manipulated": 34, "notes": [],
        },
        "video": part(100), "frame": part(200),
        "by_method": {"swap": {"authentic": 5, "manipulated": 3, **part(300)}},
        "by_source": {"studio": {"authentic": 4, "manipulated": 2, **part(400)}},
        "by_face_size": {"small": {"authentic": 1, "manipulated": 2, **part(500)}},
        "convention": "1 is fake.",
        "intervals": {"kind": "bootstrap", "resamples": 10, "seed": 0},
    }  # fmt: skip
    lines = [" ".join(line.split()) for line in experiment_text(tree).splitlines()]
    assert "classes 5 authentic, 6 manipulated, in 7 groups; 88 frames" in lines
    assert "threshold 0.6100; on validation BPCER 5.0%, APCER 20.0%" in lines
    fitted = "fitted on 21 authentic and 34 manipulated videos"
    assert f"calibration temperature 1.5000, offset -0.2500, {fitted}" in lines
    first = lines.index("video level frame level") + 1
    assert lines[first : first + len(names)] == [
        "AUC-ROC 0.100 0.200", "AUC-PR 0.101 0.201", "EER 0.102 0.202", "accuracy 0.103 0.203",
        "balanced accuracy 0.104 0.204", "precision 0.105 0.205", "recall 0.106 0.206",
        "F1 0.107 0.207", "APCER 0.108 0.208", "BPCER 0.109 0.209", "HTER 0.110 0.210",
        "BPCER at APCER 5 % 0.111 0.211", "ECE 0.112 0.212", "Brier score 0.113 0.213",
    ]  # fmt: skip
    head = "authentic manipulated AUC-ROC APCER BPCER"
    for title, row in (
        ("By method, against all authentic videos", "swap 5 3 0.300 0.308 0.309"),
        ("By source", "studio 4 2 0.400 0.408 0.409"),
        ("By face size", "small 1 2 0.500 0.508 0.509"),
    ):
        at = lines.index(title)
        assert lines[at + 2 : at + 4] == [head, row]


def credentials(**found: object) -> str:
    known = {
        "state": "present", "valid": True, "trusted": None, "issuer": "Maker", "problems": [],
    }  # fmt: skip
    lines = verdict_text(replace(JUDGED, provenance={**known, **found})).splitlines()
    return next((line for line in lines if "Credentials" in line), "")


def test_content_credentials_are_valid_and_trusted_or_not() -> None:
    assert credentials() == "  origin     Content Credentials valid; signer Maker, not looked up"
    assert credentials(trusted=True).endswith("signer Maker, trusted")
    altered = credentials(valid=False, trusted=False, problems=["assertion.bmffHash.mismatch"])
    assert altered.endswith("not valid (assertion.bmffHash.mismatch); signer Maker, not trusted")
    assert "cannot be read: bad" in credentials(state="unreadable", problems=["bad"])


def test_no_content_credentials_are_no_news() -> None:
    assert credentials(state="none") == credentials(state="not_supported") == ""


def test_a_score_and_the_threshold_it_misses_never_read_alike() -> None:
    weak = replace(
        JUDGED, label="weak_evidence", score=0.696, interval=(0.69, 0.7), threshold=0.69849,
        cut_points=(0.86, 0.95), people=(),
    )  # fmt: skip
    assert "weak evidence (score 0.696 [0.690, 0.700], threshold 0.698)" in verdict_text(weak)
    assert "(score 0.6984 [0.6900, 0.7000], threshold 0.6985)" in verdict_text(
        replace(weak, score=0.6984)
    )
    above = replace(weak, score=0.6986, interval=None, label="moderate_evidence")
    assert "score 0.70, threshold 0.70" in verdict_text(above)
    wide = replace(weak, score=0.5, interval=(0.4, 0.697))
    assert "(score 0.500 [0.400, 0.697], threshold 0.698)" in verdict_text(wide)
    two = replace(weak, score=0.75, interval=None, people=(replace(JUDGED.people[0], score=0.697),))
    assert "person 1   0.697" in verdict_text(two)
    strong = replace(weak, score=0.949, interval=None, cut_points=(0.86, 0.9501))
    assert "score 0.949, threshold 0.698" in verdict_text(strong)
    met = replace(weak, score=0.69849, interval=None, cut_points=None)
    assert "score 0.70, threshold 0.70" in verdict_text(met)
    high = replace(weak, score=0.9925, interval=None, threshold=0.9941, cut_points=None)
    assert "score 0.992, threshold 0.994" in verdict_text(replace(high, score=0.9923))
