"""Key frames: the right moments, the right boxes, and pictures that show what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import make_media
from unmask.errors import MediaError
from unmask.faces import FaceDetector
from unmask.inference import Model
from unmask.media import Limits
from unmask.report import keyframes
from unmask.report.keyframes import MOST_A_PERSON, choose, key_frames
from unmask.types import Person, Verdict
from unmask.verbs.detect import detect


def person(number: int, scores: list[float | None], score: float | None) -> Person:
    detail = tuple(
        {"time_seconds": float(k), "box_xyxy_px": [0, 0, 10 + k % 7, 20], "score": value}
        for k, value in enumerate(scores)
    )
    label = "inconclusive" if score is None else "weak_evidence"
    return Person(number, label, score, len(scores), 100.0, frames_detail=detail)


def verdict_on(*people: Person) -> Verdict:
    score = max((p.score for p in people if p.score is not None), default=None)
    label = "inconclusive" if score is None else "weak_evidence"
    return Verdict("completed", {}, label, score, "", threshold=0.5, people=people)


def test_the_highest_scores_that_lie_apart_are_chosen() -> None:
    scores = [0.1] * 24
    scores[5], scores[6], scores[18] = 0.9, 0.95, 0.8
    assert choose(verdict_on(person(0, [*scores], 0.7)), 6) == {6.0: [0], 18.0: [0]}


def test_whom_nothing_speaks_against_gets_one_frame_beside_whom_something_does() -> None:
    calm, suspect = [0.2] * 12, [0.9 - 0.01 * k for k in range(12)]
    chosen = choose(verdict_on(person(0, [*calm], 0.2), person(1, [*suspect], 0.9)), 6)
    times = [[time for time, who in chosen.items() if number in who] for number in (0, 1)]
    assert (len(times[0]), len(times[1])) == (1, MOST_A_PERSON)


def test_one_picture_serves_two_people_where_it_is_about_as_good() -> None:
    one, other = [0.6] * 12, [0.6] * 12
    one[3], other[3], other[9] = 0.9, 0.87, 0.9
    people = person(0, [*one], 0.9), person(1, [*other], 0.89)
    assert choose(verdict_on(*people), 2) == {3.0: [0, 1]}


def test_who_was_not_judged_shows_with_the_largest_face() -> None:
    chosen = choose(verdict_on(person(0, [None] * 9, None)), 6)
    assert chosen == {6.0: [0]}


def test_a_score_at_the_threshold_counts_and_one_below_fills_no_picture() -> None:
    scores: list[float | None] = [0.5, *[0.2] * 5, 0.5, *[0.2] * 5]
    chosen = choose(verdict_on(person(0, scores, 0.5), person(1, [0.9] * 12, 0.9)), 6)
    assert [time for time, who in chosen.items() if 0 in who] == [0.0, 6.0]
    assert choose(verdict_on(person(0, scores, 0.5)), 6) == {0.0: [0], 6.0: [0]}


def test_of_a_video_without_faces_the_whole_stretch_is_shown() -> None:
    ranges = [[6.0, 8.0], [10.0, 12.0]]
    nobody = Verdict(
        "completed", {}, "not_applicable", None, "", coverage={"analysed_ranges_seconds": ranges}
    )
    assert choose(nobody, 6) == {7.0: [], 9.0: [], 11.0: []}
    assert choose(nobody, 1) == {7.0: []}


def test_a_map_is_shown_only_of_whom_the_frame_was_chosen_for_and_who_was_judged(
    crowd: Path, verdict: Verdict, model: Model, faces: FaceDetector
) -> None:
    def maps(changed: Verdict) -> set[int]:
        frames = key_frames(crowd, changed, model=model, faces=faces, most=1)
        assert [len(frame.boxes) for frame in frames] == [2]
        return {close_up.person_id for frame in frames for close_up in frame.close_ups}

    blue = max(verdict.people, key=lambda one: one.score or 0).person_id
    assert maps(verdict) == {blue}
    unjudged = with_frames(verdict, lambda frame: {"score": None})
    people = [replace(one, score=None, label="inconclusive") for one in unjudged.people]
    assert maps(replace(unjudged, people=tuple(people))) == set()
    moved = with_frames(verdict, lambda frame: {"box_xyxy_px": [0, 0, 20, 20]})
    assert maps(moved) == set()  # another face is no stand-in


def test_a_picture_that_is_not_of_the_time_is_not_shown(crowd: Path, verdict: Verdict) -> None:
    late = with_frames(verdict, lambda frame: {"time_seconds": frame["time_seconds"] + 0.03})
    assert key_frames(crowd, late) == ()


def test_more_people_than_frames() -> None:
    people = [person(n, [0.1, 0.2, 0.3], 0.1) for n in range(9)]
    assert sum(len(who) for who in choose(verdict_on(*people), 4).values()) == 4


def test_the_pictures_are_those_of_the_verdict(
    crowd: Path, verdict: Verdict, model: Model, faces: FaceDetector
) -> None:
    frames = key_frames(crowd, verdict, model=model, faces=faces)
    assert [frame.number for frame in frames] == list(range(1, len(frames) + 1))
    assert [f.time_seconds for f in frames] == sorted(f.time_seconds for f in frames)
    blue = max(verdict.people, key=lambda p: p.score or 0).person_id
    shown = [(f, c) for f in frames for c in f.close_ups if c.person_id == blue]
    assert shown
    for frame, close_up in shown:
        assert 1.4 <= frame.time_seconds <= 3.1
        assert (close_up.score or 0) > 0.9
        box = next(box for box in frame.boxes if box.person_id == blue)
        x0, y0, x1, y1 = (int(value) for value in box.box_xyxy_px)
        picture = decoded(frame.jpeg)
        assert picture.shape[:2] == (frame.height_px, frame.width_px) == (400, 800)
        assert picture[y0:y1, x0:x1, 2].mean() > picture[y0:y1, x0:x1, 0].mean() + 40
        assert x0 > 400
        crop = decoded(close_up.crop_jpeg)
        assert crop[..., 2].mean() > crop[..., 0].mean() + 40
        assert close_up.method == "patches"


def test_the_map_is_bright_where_the_model_looked(
    crowd: Path, verdict: Verdict, model: Model, faces: FaceDetector
) -> None:
    frames = key_frames(crowd, verdict, model=model, faces=faces)
    by_person = {c.person_id: c for f in frames for c in f.close_ups}
    blue = max(verdict.people, key=lambda p: p.score or 0).person_id
    hot, cold = decoded(by_person[blue].heat_jpeg), decoded(by_person[3 - blue].heat_jpeg)
    colourful = [int(np.ptp(picture, axis=2).mean()) for picture in (hot, cold)]
    assert colourful[0] > 60
    assert colourful[1] < 15  # grey: nothing speaks for manipulation


def test_without_a_model_there_are_boxes_and_no_close_ups(crowd: Path, verdict: Verdict) -> None:
    (frame,) = key_frames(crowd, verdict, most=1)
    assert len(frame.boxes) == 2
    assert frame.close_ups == ()


def test_large_pictures_are_shrunk(tmp_path: Path) -> None:
    path = make_media.write_video(
        tmp_path / "large.mp4",
        make_media.gradient_frames(3, 1200, 200),
        options={"preset": "ultrafast"},
    )
    nothing = Verdict(
        "completed", {}, "not_applicable", None, "",
        coverage={"analysed_ranges_seconds": [[0.0, 0.1]]},
    )  # fmt: skip
    frames = key_frames(path, nothing)
    assert len(frames) == 3
    assert decoded(frames[0].jpeg).shape == (160, 960, 3)
    assert (frames[0].width_px, frames[0].height_px) == (1200, 200)


def test_a_still(tmp_path: Path, model: Model, faces: FaceDetector) -> None:
    path = tmp_path / "still.png"
    (image,) = make_media.portrait_frames(1)
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    (frame,) = key_frames(path, detect(path, model=model, faces=faces), model=model, faces=faces)
    assert len(frame.close_ups) == 1


@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_a_file_that_went_bad_meanwhile_gives_nothing(
    verdict: Verdict, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "gone.mp4"
    path.write_bytes(content)
    assert key_frames(path, verdict) == ()
    assert key_frames(path, replace(verdict, status="failed")) == ()


def test_the_frames_before_the_file_fails_are_kept(
    crowd: Path, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = keyframes._read

    def fails_after_one(*how: object) -> Iterator[object]:
        yield next(read(*how))
        raise MediaError("The disk is gone.", code="media_unreadable")

    whole = key_frames(crowd, verdict)
    monkeypatch.setattr(keyframes, "_read", fails_after_one)
    assert key_frames(crowd, verdict) == whole[:1]
    assert len(whole) > 1


def test_a_picture_beyond_the_limits_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    cv2.imwrite(str(path), np.zeros((20, 20, 3), np.uint8))
    nobody = Verdict("completed", {}, "not_applicable", None, "")
    found = [key_frames(path, nobody, limits=Limits(max_pixels=most)) for most in (400, 399)]
    assert [len(frames) for frames in found] == [1, 0]


def with_frames(verdict: Verdict, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Verdict:
    """The verdict with something else of each frame of each person."""
    people = [
        replace(one, frames_detail=tuple({**frame, **change(frame)} for frame in one.frames_detail))
        for one in verdict.people
    ]
    return replace(verdict, people=tuple(people))


def decoded(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
