from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unmask.scoring import Calibration, PoolingSpec, Sufficiency, evidence, judge, nothing_to_judge
from unmask.types import FrameScore, TrackScore

FITTED = Calibration(
    temperature=1.0, offset=0.0, threshold=0.6, strong=0.75, very_strong=0.9,
    expected_bpcer=0.05, expected_apcer=0.2, authentic=100, manipulated=100,
)  # fmt: skip


def track(
    number: int, logit: float, frames: int = 16, size: float = 100.0, spread: float = 0.5
) -> TrackScore:
    wave = spread * np.sin(np.arange(frames) * 2.1)
    return TrackScore(
        track_id=number,
        logit=logit,
        frames=tuple(
            FrameScore(0.5 * k, (0.0, 0.0, size, size), float(logit + wave[k]))
            for k in range(frames)
        ),
        median_face_px=size,
    )


def video(*tracks: TrackScore) -> tuple[TrackScore, ...]:
    return tracks


@pytest.mark.parametrize(
    ("score", "word"),
    [
        (0.0, "weak_evidence"), (0.5999, "weak_evidence"), (0.6, "moderate_evidence"),
        (0.7499, "moderate_evidence"), (0.75, "strong_evidence"), (0.9, "very_strong_evidence"),
        (1.0, "very_strong_evidence"),
    ],
)  # fmt: skip
def test_words_begin_at_their_cut_points(score: float, word: str) -> None:
    assert evidence(score, FITTED) == word


def test_one_manipulated_of_two_people() -> None:
    verdict = judge(video(track(0, -3.0), track(1, 4.0)), FITTED)
    assert verdict.label == "very_strong_evidence"
    assert verdict.score == pytest.approx(FITTED.score(4.0))
    assert verdict.text == (
        "Very strong evidence of face manipulation in 1 of 2 people. For human review."
    )
    assert [person.label for person in verdict.people] == ["weak_evidence", "very_strong_evidence"]
    assert verdict.people[0].segments == ()
    assert [(s.start_seconds, s.end_seconds) for s in verdict.people[1].segments] == [(0.0, 7.5)]
    assert verdict.calibrated
    assert (verdict.threshold, verdict.expected_bpcer) == (0.6, 0.05)


def test_a_bystander_who_stays_longer_does_not_silence_the_lead() -> None:
    lead, beside = track(0, 4.0, frames=7, size=400.0), track(1, -2.0, frames=32, size=40.0)
    for other in (beside, guarded(beside, ["face_blurry"] * 32)):
        verdict = judge(video(lead, other), FITTED)
        assert verdict.score == pytest.approx(FITTED.score(4.0))
    unclear = guarded(track(0, 4.0, frames=32), ["face_dark"] * 30)
    verdict = judge(video(unclear, track(1, 3.0, frames=7)), FITTED)
    assert verdict.score == pytest.approx(FITTED.score(3.0))


def test_what_several_people_do_to_the_error_rates_is_told() -> None:
    def codes(*logits: float) -> list[str]:
        verdict = judge(video(*(track(n, logit) for n, logit in enumerate(logits))), FITTED)
        return [warning.code for warning in verdict.warnings]

    assert codes(4.0) == codes(-3.0, -4.0) == []
    assert codes(-3.0, 4.0) == ["several_people"]


def test_people_count_from_one_in_every_sentence() -> None:
    verdict = judge(video(track(0, -3.0), track(1, 4.0, frames=2)), FITTED)
    assert [person.person_id for person in verdict.people] == [1, 2]
    assert verdict.people[1].reasons[0].message.startswith("Person 2 shows in 2 frames")


def test_weak_evidence_is_not_called_authentic() -> None:
    verdict = judge(video(track(0, -3.0)), FITTED)
    assert verdict.label == "weak_evidence"
    assert "does not show authenticity" in verdict.text
    assert verdict.text.endswith("For human review.")


def test_the_interval_holds_the_score_and_widens_with_disagreement() -> None:
    calm = judge(video(track(0, 1.0, spread=0.1)), FITTED)
    torn = judge(video(track(0, 1.0, spread=5.0)), FITTED)
    assert calm.interval is not None
    assert torn.interval is not None
    assert calm.interval[0] <= calm.score <= calm.interval[1]
    assert torn.interval[1] - torn.interval[0] > 5 * (calm.interval[1] - calm.interval[0])
    assert torn == judge(video(track(0, 1.0, spread=5.0)), FITTED)


def test_the_interval_holds_95_of_100_resamples() -> None:
    """Sixteen frames of 2 and -2 by turns: their mean has a deviation of 2 / 4."""
    seen = track(0, 0.0)
    frames = tuple(replace(f, logit=2.0 * (-1) ** k) for k, f in enumerate(seen.frames))
    verdict = judge(video(replace(seen, frames=frames)), FITTED)
    expected = (FITTED.score(-0.98), FITTED.score(0.98))
    assert verdict.interval == pytest.approx(expected, abs=0.02)


def test_no_face_is_not_applicable() -> None:
    verdict = nothing_to_judge(frames_analysed=32, frames_with_face=0)
    assert (verdict.label, verdict.score) == ("not_applicable", None)
    assert [reason.code for reason in verdict.reasons] == ["no_face"]
    assert verdict.text.startswith("Not applicable: ")
    assert "32 frames that were looked at" in verdict.text
    assert "1 frame that was looked at" in nothing_to_judge(1, 0).text


def test_a_face_that_shows_too_seldom_is_inconclusive() -> None:
    verdict = nothing_to_judge(frames_analysed=32, frames_with_face=2)
    assert (verdict.label, verdict.score) == ("inconclusive", None)
    assert [reason.code for reason in verdict.reasons] == ["too_few_frames"]
    assert verdict.text.startswith("Inconclusive: ")


def guarded(seen: TrackScore, faults: list[str]) -> TrackScore:
    frames = [
        replace(f, left_out=faults[k] if k < len(faults) else "") for k, f in enumerate(seen.frames)
    ]
    return replace(seen, frames=tuple(frames))


@pytest.mark.parametrize(
    ("lacking", "code", "words"),
    [
        (track(0, 5.0, frames=3), "too_few_frames", "4 are needed"),
        (guarded(track(0, 5.0, size=20.0), ["face_too_small"] * 16), "face_too_small", "20 px"),
        (guarded(track(0, 5.0), ["face_blurry"] * 13), "face_blurry", "blurred to be judged in 13"),
        (guarded(track(0, 5.0), ["face_dark"] * 16), "face_dark", "too dark to be judged."),
        (guarded(track(0, 5.0), ["face_overexposed"] * 16), "face_overexposed", "overexposed"),
        (guarded(track(0, 5.0), ["face_turned"] * 16), "face_turned", "turned too far"),
        (guarded(track(0, 5.0), ["face_unfamiliar"] * 16), "face_unfamiliar", "unlike those"),
        (
            guarded(track(0, 5.0), ["face_dark"] * 8 + ["face_turned"] * 6),
            "face_dark",
            "in 8 of 16 frames (turned too far away in 6). 4 usable frames are needed.",
        ),
    ],
)
def test_too_little_to_judge_gives_no_number_anywhere(
    lacking: TrackScore, code: str, words: str
) -> None:
    verdict = judge(video(lacking), FITTED)
    assert (verdict.label, verdict.score, verdict.interval) == ("inconclusive", None, None)
    assert [reason.code for reason in verdict.reasons] == [code]
    assert words in verdict.reasons[0].message
    assert verdict.people[0].score is None
    assert verdict.people[0].label == "inconclusive"
    assert all(frame["score"] is None for frame in verdict.people[0].frames_detail)
    assert "No score is given" in verdict.text


def test_four_frames_are_enough_and_a_still_has_one() -> None:
    assert judge(video(track(0, 1.0, frames=4)), FITTED).score is not None
    assert judge(video(guarded(track(0, 1.0), ["face_dark"] * 12)), FITTED).score is not None
    still = judge(video(track(0, 1.0, frames=1)), FITTED, needs=Sufficiency(min_frames=1))
    assert (still.score is not None, still.interval) == (True, None)
    pair = judge(video(track(0, 1.0, frames=2)), FITTED, needs=Sufficiency(min_frames=2))
    assert pair.interval is not None


def test_a_segment_goes_on_down_to_half_the_odds_of_the_threshold() -> None:
    """0.6 is 3 to 2; half of it, 3 to 4, is 0.43."""

    def lasts(between: float) -> list[int]:
        logits = [np.log(score / (1 - score)) for score in (0.7, 0.7, between, 0.7, 0.7)]
        frames = tuple(
            FrameScore(0.5 * k, (0.0, 0.0, 100.0, 100.0), logit) for k, logit in enumerate(logits)
        )
        (person,) = judge(video(TrackScore(0, 1.0, frames, 100.0)), FITTED).people
        return [segment.frames for segment in person.segments]

    assert lasts(0.44) == [5]
    assert lasts(0.42) == [2, 2]


def test_frames_that_were_left_out_have_no_score_and_no_say() -> None:
    seen = track(0, 1.0)
    wild = tuple(replace(f, logit=40.0) if k < 6 else f for k, f in enumerate(seen.frames))
    faults = ["face_dark"] * 4 + ["face_turned"] * 2
    verdict = judge(video(guarded(replace(seen, frames=wild), faults)), FITTED)
    assert verdict.score == pytest.approx(FITTED.score(1.0))
    (person,) = verdict.people
    assert [frame["left_out"] for frame in person.frames_detail] == [*faults, *[None] * 10]
    assert [frame["score"] is None for frame in person.frames_detail] == [True] * 6 + [False] * 10
    assert person.interval is not None
    assert person.interval[1] < 0.99  # the wild logits took no part
    assert person.frames == 16
    (warn,) = verdict.warnings
    assert warn.code == "frames_left_out"
    assert "judged by 10 of 16 frames" in warn.message
    assert "too dark in 4, turned too far away in 2." in warn.message
    beside = guarded(track(1, 2.0), ["face_dark"])
    (warn,) = judge(video(track(0, -2.0), beside), FITTED).warnings[:1]
    assert warn.message.startswith("Person 2 is judged by 15 of 16 frames")


def test_who_cannot_be_judged_does_not_speak_for_the_video() -> None:
    small, clear = guarded(track(0, 6.0, size=20.0), ["face_too_small"] * 16), track(1, -2.0)
    verdict = judge(video(small, clear), FITTED)
    assert verdict.label == "weak_evidence"
    assert verdict.score == pytest.approx(FITTED.score(-2.0))
    assert [reason.code for reason in verdict.reasons] == ["face_too_small"]
    assert [person.score is None for person in verdict.people] == [True, False]


def test_a_passer_by_gets_no_score_so_that_the_video_is_its_people_at_most() -> None:
    verdict = judge(video(track(0, -2.0, frames=32), track(1, 6.0, frames=5)), FITTED)
    assert verdict.label == "weak_evidence"
    assert "beside a person who shows in 32" in verdict.reasons[0].message
    assert verdict.people[1].label == "inconclusive"


def test_mean_pooling_is_followed() -> None:
    verdict = judge(video(track(0, -2.0), track(1, 4.0)), FITTED, pooling=PoolingSpec(video="mean"))
    assert verdict.score == pytest.approx(FITTED.score(1.0))
    assert verdict.interval is not None
    assert verdict.interval[1] - verdict.interval[0] < 0.1  # of frames that hardly disagree


def test_an_unfitted_model_says_so() -> None:
    verdict = judge(video(track(0, 1.0)), Calibration())
    assert not verdict.calibrated
    assert verdict.expected_bpcer is None


def test_every_person_has_an_interval_or_a_reason() -> None:
    tiny = guarded(track(2, 3.0, size=10.0), ["face_too_small"] * 16)
    verdict = judge(video(track(0, 1.0), track(1, -2.0, frames=12), tiny), FITTED)
    for person in verdict.people[:2]:
        assert person.interval is not None
        assert person.score is not None
        assert person.interval[0] < person.score < person.interval[1]
        assert person.reasons == ()
    small = verdict.people[2]
    assert (small.score, small.interval) == (None, None)
    assert [reason.code for reason in small.reasons] == ["face_too_small"]
    assert verdict.interval == verdict.people[0].interval  # the highest of those judged


def test_a_person_is_seen_in_stretches() -> None:
    seen = track(0, 1.0)
    gap = tuple(
        FrameScore(f.pts_seconds + (20 if k >= 8 else 0), f.box_xyxy_px, f.logit)
        for k, f in enumerate(seen.frames)
    )
    (person,) = judge(video(TrackScore(0, 1.0, gap, 100.0)), FITTED).people
    assert person.seen_ranges_seconds == ((0.0, 3.5), (24.0, 27.5))


def test_a_long_video_is_judged_in_its_own_steps() -> None:
    frames = tuple(FrameScore(20.0 * k, (0.0, 0.0, 100.0, 100.0), 4.0) for k in range(30))
    seldom = (TrackScore(0, 4.0, frames, 100.0),)
    (known,) = judge(seldom, FITTED, step_seconds=20.0).people
    assert [(s.frames, s.longest_step_seconds) for s in known.segments] == [(30, 20.0)]
    assert known.seen_ranges_seconds == ((0.0, 580.0),)
    (unknown,) = judge(seldom, FITTED).people
    assert unknown.segments == ()


def test_the_scale_goes_with_the_verdict() -> None:
    verdict = judge(video(track(0, 1.0)), FITTED)
    assert verdict.cut_points == (0.75, 0.9)
    assert verdict.expected_apcer == 0.2


def test_the_words_are_those_of_the_people_they_are_said_of() -> None:
    def text(*logits: float) -> str:
        return judge(video(*(track(n, logit) for n, logit in enumerate(logits))), FITTED).text

    assert text(4.0, 0.9, -3.0).startswith(
        "Very strong evidence of face manipulation in 1 of 3 people, less strong in 1 more."
    )
    short = judge(video(track(0, 4.0, frames=32), track(1, 4.0, frames=1)), FITTED)
    assert short.text == "Very strong evidence of face manipulation. For human review."
    some = judge(
        video(*(track(n, 4.0, frames=32) for n in (0, 1)), track(2, 0.0, frames=1)), FITTED
    )
    assert "in 2 of 2 people who could be judged" in some.text
    even = replace(FITTED, threshold=0.5)
    assert "less strong in 1 more" in judge(video(track(0, 4.0), track(1, 0.0)), even).text
