"""The annotated video, looked at frame by frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

import make_media
from unmask.errors import InputError
from unmask.media import open_video
from unmask.report import annotate
from unmask.report.annotate import write_annotated
from unmask.report.motion import Spot
from unmask.report.strip import MOST_ROWS, PEOPLE, Canvas, Strip
from unmask.types import Person, Segment, Verdict

NOTHING = Verdict("completed", {}, "not_applicable", None, "", coverage={})


def frames_of(path: Path) -> list[tuple[float, np.ndarray]]:
    with open_video(path) as video:
        return [(frame.pts_seconds, frame.image) for frame in video.frames()]


def near(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a picture has about this colour (4:2:0 bleeds)."""
    return np.abs(image.astype(int) - colour).max(axis=2) < 60


@pytest.fixture(scope="module")
def annotated(
    crowd: Path, verdict: Verdict, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[float, np.ndarray]]:
    out = tmp_path_factory.mktemp("annotated") / "out.mp4"
    assert write_annotated(out, crowd, verdict) == ()
    return frames_of(out)


def test_every_frame_is_there_at_its_time(
    annotated: list[tuple[float, np.ndarray]], crowd: Path
) -> None:
    original = frames_of(crowd)
    assert [time for time, _ in annotated] == pytest.approx([t for t, _ in original], abs=1e-3)
    _, image = annotated[0]
    assert image.shape[1] == 800
    assert image.shape[0] > 400


def test_boxes_stand_where_the_faces_are(
    annotated: list[tuple[float, np.ndarray]], verdict: Verdict
) -> None:
    for person in verdict.people:
        frame = person.frames_detail[10]
        time, image = min(annotated, key=lambda pair: abs(pair[0] - frame["time_seconds"]))
        assert time == pytest.approx(frame["time_seconds"], abs=1e-3)
        x0, y0, x1, y1 = (round(value) for value in frame["box_xyxy_px"])
        drawn = near(image[:400], PEOPLE[person.person_id - 1])
        left, right = (
            drawn[y0 + 10 : y1 - 10, x0 - 2 : x0 + 3],
            drawn[y0 + 10 : y1 - 10, x1 - 2 : x1 + 3],
        )
        assert left.any(axis=1).mean() > 0.9
        assert right.any(axis=1).mean() > 0.9


def test_the_picture_beside_the_boxes_is_untouched(
    annotated: list[tuple[float, np.ndarray]], crowd: Path
) -> None:
    for (_, before), (_, after) in list(zip(frames_of(crowd), annotated, strict=True))[::10]:
        lower = np.abs(before[300:].astype(int) - after[300:400]).mean()
        assert lower < 5


def test_the_play_head_runs(annotated: list[tuple[float, np.ndarray]]) -> None:
    places = []
    for _, image in annotated[5::10]:
        strip = image[440:495, 160:]
        bright = (strip.astype(int).min(axis=2) > 180).mean(axis=0)
        places.append(int(bright.argmax()))
    assert places == sorted(places)
    assert places[-1] > places[0] + 400


def test_suspicious_stretches_are_red(annotated: list[tuple[float, np.ndarray]]) -> None:
    strip = annotated[0][1][400:]
    red = (strip[..., 0].astype(int) - strip[..., 1] > 115).any(axis=0)
    columns = np.flatnonzero(red[200:]) + 200
    span = (np.array([columns.min(), columns.max()]) - 167.5) / (782.5 - 167.5) * 4.0
    assert span == pytest.approx([1.5, 3.0], abs=0.15)


def test_frames_that_do_not_count_are_not_drawn_as_authentic() -> None:
    def strip(score: float | None) -> np.ndarray:
        frames = [
            {"time_seconds": float(n), "box_xyxy_px": [0, 0, 1, 1], "score": score or 0.0}
            for n in range(4)
        ]
        if score is None:
            frames = [{**frame, "score": None} for frame in frames]
        person = Person(1, "weak_evidence", 0.1, 4, 80.0, (), tuple(frames))
        drawn = Strip(replace(NOTHING, people=(person,)), Canvas(640, 360), 4.0)
        return near(drawn.at(9.0), PEOPLE[0])

    assert strip(0.0).sum() - strip(None).sum() > 20
    assert strip(0.9).sum() > strip(0.5).sum() > strip(0.1).sum()  # the higher, the longer


def test_a_box_of_a_large_picture_stands_where_the_face_is_in_the_small_one() -> None:
    picture = np.zeros((360, 640, 3), np.uint8)
    spot = Spot((200.0, 300.0, 600.0, 900.0), 0.5, looked_at=True)
    person = Person(1, "weak_evidence", 0.5, 4, 80.0)
    Canvas(640, 360).draw(picture, (1080, 1280), person, spot)
    rows, columns = np.nonzero(near(picture[150:], PEOPLE[0]))
    assert rows.max() + 150 == pytest.approx(300, abs=3)
    assert (columns.min(), columns.max()) == pytest.approx((100, 300), abs=3)


def test_the_strip_tells_answer_and_time() -> None:
    def head(time_seconds: float = 0.0, **changes: object) -> np.ndarray:
        known = {"label": "weak_evidence", "score": 0.2, "threshold": 0.6}
        strip = Strip(replace(NOTHING, **{**known, **changes}), Canvas(640, 360), 4.0)
        return strip.at(time_seconds)

    assert np.array_equal(head(), head(threshold=0.5))
    for other in (head(score=0.3), head(label="strong_evidence")):
        assert not np.array_equal(head()[:, :500], other[:, :500])
    assert not np.array_equal(head(1.0)[:20, 560:], head(2.0)[:20, 560:])
    # Nothing is said of a score where there is none.
    written = [
        np.flatnonzero((image.min(axis=2) > 100).any(axis=0))
        for image in (head(label="inconclusive", score=None)[:, 20:500], head()[:, 20:500])
    ]
    assert written[0].max() < written[1].max() / 2


def test_a_stretch_of_frames_far_apart_is_not_filled() -> None:
    def red(step_seconds: float) -> int:
        segments = (Segment(20.0, 80.0, 0.9, 4, step_seconds),)
        person = Person(1, "strong_evidence", 0.9, 4, 80.0, segments)
        strip = Strip(replace(NOTHING, people=(person,)), Canvas(640, 360), 100.0)
        return int(near(strip.at(0.0), (232, 90, 80)).sum())

    assert 0 < 2 * red(20.0) < red(0.5)


def test_of_many_people_the_highest_have_a_row() -> None:
    people = [Person(n, "weak_evidence", n / 10, 4, 80.0) for n in range(1, MOST_ROWS + 2)]
    strips = [
        Strip(replace(NOTHING, people=tuple(some)), Canvas(640, 360), 4.0).at(0.0)
        for some in (people, people[1:], people[:-1])
    ]
    assert np.array_equal(strips[0], strips[1])
    assert not np.array_equal(strips[0], strips[2])


def test_a_box_tells_the_frames_score_and_whether_it_was_looked_at() -> None:
    def drawn(score: float, whole: float, looked_at: bool = True) -> np.ndarray:
        picture = np.zeros((360, 640, 3), np.uint8)
        person = Person(1, "weak_evidence", whole, 4, 80.0)
        spot = Spot((100.0, 100.0, 200.0, 200.0), score, looked_at)
        Canvas(640, 360).draw(picture, (360, 640), person, spot)
        return picture

    assert np.array_equal(drawn(0.2, 0.9), drawn(0.2, 0.2))
    assert not np.array_equal(drawn(0.2, 0.9), drawn(0.9, 0.9))
    thick, thin = (near(drawn(0.2, 0.9, looked), PEOPLE[0]).sum() for looked in (True, False))
    assert thick > 1.5 * thin


@pytest.mark.parametrize("rotation", [-90, 90, 180])
def test_a_turned_video_comes_out_upright(tmp_path: Path, rotation: int) -> None:
    images = list(make_media.portrait_frames(3, 480, 640))
    source = make_media.write_video(tmp_path / "turned.mp4", images, rotation_deg=rotation)
    write_annotated(tmp_path / "out.mp4", source, NOTHING)
    for (_, image), wanted in zip(frames_of(tmp_path / "out.mp4"), images, strict=True):
        assert image.shape[1] == 480
        assert np.abs(image[:640].astype(int) - wanted).mean() < 8


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ((640, 360), (640, 360)), ((641, 359), (640, 360)), ((3840, 2160), (1920, 1080)),
        ((2160, 3840), (1080, 1920)), ((160, 96), (480, 288)), ((100, 4000), (48, 1920)),
        ((1, 1), (480, 480)),
    ],
)  # fmt: skip
def test_sizes(given: tuple[int, int], made: tuple[int, int]) -> None:
    canvas = Canvas.fit(*given, annotate.LONGEST_PX, annotate.NARROWEST_PX)
    assert (canvas.width_px, canvas.height_px) == made


def test_a_tiny_video_with_many_people(tmp_path: Path) -> None:
    source = make_media.write_video(tmp_path / "s.mp4", make_media.gradient_frames(3, 64, 48))
    detail = ({"time_seconds": 0.0, "box_xyxy_px": [-5, -5, 80, 60], "score": None},)
    people = tuple(Person(n, "inconclusive", None, 1, 20.0, frames_detail=detail) for n in range(9))
    write_annotated(tmp_path / "out.mp4", source, replace(NOTHING, people=people))
    assert len(frames_of(tmp_path / "out.mp4")) == 3


def with_sound(silent: Path, tone: Path, path: Path, late_seconds: int = 0) -> Path:
    """One file of both, whose clock begins late."""
    with av.open(str(silent)) as video, av.open(str(tone)) as sound, av.open(str(path), "w") as out:
        parts = (video.streams.video[0], sound.streams.audio[0])
        streams = [out.add_stream_from_template(part) for part in parts]
        for part, stream in zip(parts, streams, strict=True):
            for packet in part.container.demux(part):
                if packet.size:
                    late = round(late_seconds / packet.time_base)
                    packet.pts, packet.dts = packet.pts + late, packet.dts + late
                    packet.stream = stream
                    out.mux(packet)
    return path


def test_sound_stays(tmp_path: Path) -> None:
    silent = make_media.write_video(tmp_path / "v.mp4", make_media.gradient_frames(25, 64, 48))
    tone = make_media.write_audio(tmp_path / "a.m4a")
    source = with_sound(silent, tone, tmp_path / "both.mp4")
    write_annotated(tmp_path / "out.mp4", source, NOTHING)
    with av.open(str(source)) as before, av.open(str(tmp_path / "out.mp4")) as after:
        packets = [
            [bytes(p) for p in container.demux(audio=0) if p.size] for container in (before, after)
        ]
    assert packets[0] == packets[1]
    assert len(packets[0]) > 10


def test_sound_of_a_file_whose_clock_begins_late_stays_with_the_picture(tmp_path: Path) -> None:
    silent = make_media.write_video(tmp_path / "v.mp4", make_media.gradient_frames(25, 64, 48))
    tone = make_media.write_audio(tmp_path / "a.mkv", codec="pcm_u8")
    source = with_sound(silent, tone, tmp_path / "both.mkv", late_seconds=5)
    with av.open(str(source)) as container:
        assert container.start_time == pytest.approx(5e6, abs=1e5)
    warns = write_annotated(tmp_path / "out.mp4", source, NOTHING)
    assert [warn.code for warn in warns] == ["sound_converted"]
    with av.open(str(tmp_path / "out.mp4")) as made:
        starts = [float((part.start_time or 0) * part.time_base) for part in made.streams]
    assert starts == pytest.approx([0.0, 0.0], abs=0.1)


def test_frames_looked_at_too_seldom_are_told(tmp_path: Path) -> None:
    source = make_media.write_video(tmp_path / "s.mp4", make_media.gradient_frames(4, 64, 48))
    detail = tuple(
        {"time_seconds": 19.0 * k, "box_xyxy_px": [0, 0, 9, 9], "score": 0.1} for k in range(3)
    )
    seldom = Person(1, "inconclusive", None, 3, 20.0, frames_detail=detail)
    warns = write_annotated(tmp_path / "out.mp4", source, replace(NOTHING, people=(seldom,)))
    assert [warn.code for warn in warns] == ["boxes_sparse"]
    assert "lie 19 s apart" in warns[0].message


def test_what_is_refused(crowd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def code(out: Path, path: Path) -> str:
        with pytest.raises(InputError) as caught:
            write_annotated(out, path, NOTHING)
        return caught.value.code

    assert code(crowd, crowd) == "annotate_itself"
    assert code(tmp_path / "o.mp4", tmp_path / "still.png") == "annotate_still"
    assert code(tmp_path / "o.mp4", tmp_path / "absent.mp4") == "media_not_found"
    monkeypatch.setattr(annotate, "MAX_SECONDS", 2.0)
    assert code(tmp_path / "o.mp4", crowd) == "annotate_too_long"
    assert list(tmp_path.iterdir()) == []
