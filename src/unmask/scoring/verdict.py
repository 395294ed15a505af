"""Words for people, or an honest abstention: pooled logits -> Verdict.

The scale runs from weak to very strong evidence *of manipulation*. Weak evidence means only that
the video scores like authentic ones do; it is not authenticity. Where there is no face, or too
little of it to judge, there is a reason and no number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unmask.scoring.calibrate import Calibration
from unmask.scoring.guard import WORDS
from unmask.scoring.pool import ENOUGH_CROPS, PoolingSpec, eligible, lead
from unmask.scoring.segments import (
    SegmentRule,
    find_segments,
    longest_gap_seconds,
    seen_ranges,
)
from unmask.types import Evidence, Person, TrackScore, Verdict, Warn

REVIEW = "For human review."
_STRENGTH: dict[str, str] = {
    "weak_evidence": "Weak",
    "moderate_evidence": "Moderate",
    "strong_evidence": "Strong",
    "very_strong_evidence": "Very strong",
}


@dataclass(frozen=True)
class Sufficiency:
    """What a person's track must offer to be judged at all."""

    min_frames: int = ENOUGH_CROPS
    """Frames that count: a guard may have left others out (`unmask.scoring.guard`)."""


def evidence(score: float, calibration: Calibration) -> Evidence:
    """The word for a score: weak below the threshold, then by the calibration's cut points."""
    if score >= calibration.very_strong:
        return "very_strong_evidence"
    if score >= calibration.strong:
        return "strong_evidence"
    return "moderate_evidence" if score >= calibration.threshold else "weak_evidence"


def nothing_to_judge(frames_analysed: int, frames_with_face: int) -> Verdict:
    """The verdict on a video that gave no clip: no face at all, or one that shows too seldom."""
    if not frames_with_face:
        message = f"No usable face in {_looked_at(frames_analysed)}."
        return _abstain("not_applicable", (Warn("no_face", message),), ())
    message = (
        f"A face shows in {frames_with_face} of {_looked_at(frames_analysed)}: "
        "too few, or nobody for long enough."
    )
    return _abstain("inconclusive", (Warn("too_few_frames", message),), ())


def frames_text(count: int) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{count} frame{'' if count == 1 else 's'}"


def _looked_at(frames: int) -> str:
    words = "frame that was" if frames == 1 else "frames that were"
    return f"the {frames} {words} looked at"


def judge(
    tracks: Sequence[TrackScore],
    calibration: Calibration,
    *,
    needs: Sufficiency | None = None,
    pooling: PoolingSpec | None = None,
    step_seconds: float = 0.0,
) -> Verdict:
    """The verdict on a video's people and on the video; the facts of file and run are not in it.

    Args:
        tracks: pooled logits of each, the most prominent first.
        calibration: of the model that gave them.
        needs: what a track must offer.
        pooling: the rule by which tracks make a video.
        step_seconds: usual time between two frames that were looked at, where known.
    """
    needs, pooling = needs or Sufficiency(), pooling or PoolingSpec()
    counts = [len(track.frames) for track in tracks]
    usable = [len(track.counted) for track in tracks]
    speaks, most = eligible(counts, pooling, usable), lead(counts, usable)
    lacks = [
        _why_not(track, bool(counting), most, needs)
        for track, counting in zip(tracks, speaks, strict=True)
    ]
    people = tuple(
        _person(track, calibration, reason, longest_gap_seconds(step_seconds))
        for track, reason in zip(tracks, lacks, strict=True)
    )
    judged = [track for track, reason in zip(tracks, lacks, strict=True) if reason is None]
    if not judged:
        # The most prominent person's reason first: that is whom the viewer asks about.
        return _abstain("inconclusive", tuple(reason for reason in lacks if reason), people)
    logits = [track.logit for track in judged]
    value = calibration.score(max(logits) if pooling.video == "max" else float(np.mean(logits)))
    label = evidence(value, calibration)
    return Verdict(
        status="completed",
        input={},
        label=label,
        score=value,
        text=_text(label, people, calibration),
        reasons=tuple(reason for reason in lacks if reason),
        calibrated=calibration.fitted,
        interval=_interval(judged, value, calibration, pooling),
        threshold=calibration.threshold,
        expected_bpcer=calibration.expected_bpcer,
        expected_apcer=calibration.expected_apcer,
        cut_points=(calibration.strong, calibration.very_strong),
        people=people,
        warnings=(*filter(None, map(_left_out, judged)), *_several(label, len(judged))),
    )


def _several(label: Evidence, judged: int) -> tuple[Warn, ...]:
    """The highest of several scores is over a threshold sooner than that of one person."""
    if label == "weak_evidence" or judged < 2:
        return ()
    text = f"The threshold's error rates hold for one person; here the highest of {judged} decided."
    return (Warn("several_people", text),)


def _abstain(label: Evidence, reasons: tuple[Warn, ...], people: tuple[Person, ...]) -> Verdict:
    words = "Not applicable" if label == "not_applicable" else "Inconclusive"
    return Verdict(
        status="completed",
        input={},
        label=label,
        score=None,
        text=f"{words}: {' '.join(dict.fromkeys(r.message for r in reasons))} No score is given.",
        reasons=reasons,
        people=people,
    )


def _why_not(track: TrackScore, counting: bool, most: int, needs: Sufficiency) -> Warn | None:
    """Why this person cannot be judged, or None."""
    who, frames, left = f"Person {track.track_id + 1}", len(track.frames), len(track.counted)
    if frames < needs.min_frames:
        return Warn(
            "too_few_frames",
            f"{who} shows in {frames_text(frames)}; {needs.min_frames} are needed.",
        )
    if not counting:
        return Warn(
            "too_few_frames",
            f"{who} shows in {frames_text(frames)} only, beside a person who shows in {most}.",
        )
    if left >= needs.min_frames:
        return None
    faults = Counter(frame.left_out for frame in track.frames if frame.left_out)
    code, most = max(faults.items(), key=lambda item: (item[1], -list(WORDS).index(item[0])))
    where = "" if most == frames else f" in {most} of {frames} frames"
    others = [f"{WORDS[name]} in {count}" for name, count in faults.items() if name != code]
    beside = f" ({', '.join(others)})" if others else ""
    needed = "" if needs.min_frames == 1 else f" {needs.min_frames} usable frames are needed."
    end = f"{where}{beside}.{needed}"
    return _faults(who, track.median_face_px, end)[code]


def _faults(who: str, size_px: float, end: str) -> dict[str, Warn]:
    """The sentence for each of the guard's codes."""
    return {
        warn.code: warn
        for warn in (
            Warn("face_too_small", f"{who}'s face, {size_px:.0f} px large, is too small{end}"),
            Warn("face_blurry", f"{who}'s face is too blurred to be judged{end}"),
            Warn("face_dark", f"{who}'s face is too dark to be judged{end}"),
            Warn("face_overexposed", f"{who}'s face is overexposed{end}"),
            Warn("face_turned", f"{who}'s face is turned too far away{end}"),
            Warn(
                "face_unfamiliar",
                f"{who}'s face is unlike those that the model was checked on{end}",
            ),
        )
    }


def _left_out(track: TrackScore) -> Warn | None:
    """What a reader must know of a person who is judged by some of the frames only."""
    faults = Counter(WORDS[frame.left_out] for frame in track.frames if frame.left_out)
    if not faults:
        return None
    total, frames = sum(faults.values()), len(track.frames)
    why = ", ".join(f"{words} in {count}" for words, count in faults.most_common())
    return Warn(
        "frames_left_out",
        f"Person {track.track_id + 1} is judged by {frames - total} of {frames} frames; the face "
        f"is {why}.",
    )


def _person(
    track: TrackScore, calibration: Calibration, reason: Warn | None, max_gap_seconds: float
) -> Person:
    judged = reason is None
    times = [frame.pts_seconds for frame in track.counted]
    frames = calibration.scores([frame.logit for frame in track.counted])
    score = calibration.score(track.logit) if judged else None
    return Person(
        person_id=track.track_id + 1,  # people count from 1
        label="inconclusive" if score is None else evidence(score, calibration),
        score=score,
        frames=len(track.frames),
        median_face_px=track.median_face_px,
        interval=None
        if score is None
        else _interval([track], score, calibration, PoolingSpec(video="max")),
        reasons=() if reason is None else (reason,),
        seen_ranges_seconds=seen_ranges(
            [frame.pts_seconds for frame in track.frames], max_gap_seconds
        ),
        segments=find_segments(times, frames.tolist(), _segment_rule(calibration, max_gap_seconds))
        if judged
        else (),
        frames_detail=tuple(
            {
                "time_seconds": frame.pts_seconds,
                "box_xyxy_px": list(frame.box_xyxy_px),
                "score": calibration.score(frame.logit) if judged and not frame.left_out else None,
                "left_out": frame.left_out or None,
            }
            for frame in track.frames
        ),
    )


def _segment_rule(calibration: Calibration, max_gap_seconds: float) -> SegmentRule:
    """Start at the video's threshold, keep down to half its odds."""
    odds = calibration.threshold / max(1e-12, 1 - calibration.threshold) / 2
    return SegmentRule(
        start_score=calibration.threshold,
        keep_score=odds / (1 + odds),
        max_gap_seconds=max_gap_seconds,
    )


def _interval(
    tracks: Sequence[TrackScore],
    value: float,
    calibration: Calibration,
    pooling: PoolingSpec,
    resamples: int = 200,
) -> tuple[float, float] | None:
    """95 % interval of the tracks' pooled score over the frames that happened to be looked at.

    Bootstrap over each track's frames (fixed seed): a resample shifts the track's logit by as much
    as it shifts the mean of its frame logits. It tells how much the frames disagree, not how
    wrong the model can be. None with fewer than two frames.
    """
    if max(len(track.counted) for track in tracks) < 2:
        return None
    rng = np.random.default_rng(0)
    drawn = []
    for track in tracks:
        frames = np.array([frame.logit for frame in track.counted])
        means = frames[rng.integers(len(frames), size=(resamples, len(frames)))].mean(axis=1)
        drawn.append(track.logit + means - frames.mean())
    pooled = np.max(drawn, axis=0) if pooling.video == "max" else np.mean(drawn, axis=0)
    low, high = np.percentile(calibration.scores(pooled), [2.5, 97.5])
    return float(min(low, value)), float(max(high, value))


def _text(label: Evidence, people: Sequence[Person], calibration: Calibration) -> str:
    strength, judged = _STRENGTH[label], [p for p in people if p.score is not None]
    if label == "weak_evidence":
        return (
            f"{strength} evidence of face manipulation: the score lies below the threshold, as "
            f"scores of authentic files mostly do. This does not show authenticity. {REVIEW}"
        )
    named = sum(1 for p in judged if p.label == label)
    weaker = sum(1 for p in judged if (p.score or 0.0) >= calibration.threshold) - named
    whom = "people" if len(judged) == len(people) else "people who could be judged"
    crowd = "" if len(judged) == 1 else f" in {named} of {len(judged)} {whom}"
    beside = f", less strong in {weaker} more" if weaker else ""
    return f"{strength} evidence of face manipulation{crowd}{beside}. {REVIEW}"
