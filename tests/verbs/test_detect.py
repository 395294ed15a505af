"""The whole way from a file to its verdict, with a model whose answer is known (`blue_model`)."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from jsonschema import Draft202012Validator
from skimage import data

import make_media
from make_model import CALIBRATION, write_blueness
from unmask import detect as detect_by_name
from unmask.errors import ModelError
from unmask.faces import load_detector
from unmask.inference import load_model
from unmask.inference.session import OnnxModel
from unmask.report import as_dict, verdict_text
from unmask.scoring import Guard, fit_familiarity
from unmask.types import Face, Verdict
from unmask.verbs.detect import detect, detect_many

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "docs" / "verdict.schema.json").read_text(encoding="utf-8")
)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blueness(tmp_path_factory.mktemp("model") / "blue.onnx", frames=8)


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="session")
def portrait(media: Path) -> Path:
    """Four seconds of one person."""
    return make_media.write_video(
        media / "portrait.mp4", make_media.portrait_frames(60, fps=15), fps=15
    )


@pytest.fixture(scope="session")
def crowd(media: Path) -> Path:
    """Two people; the right one is blue between 1.5 and 3 seconds of 4."""

    def frames() -> Iterator[np.ndarray]:
        for number, frame in enumerate(make_media.two_people_frames(60, 800, 400)):
            half = frame[:, 400:]
            half[..., 0] = half[..., 0] // 4 if 22 <= number < 45 else half[..., 0] // 2
            half[..., 2] = np.maximum(half[..., 2], 160) if 22 <= number < 45 else half[..., 2] // 2
            yield frame

    return make_media.write_video(media / "crowd.mp4", frames(), fps=15)


def checked(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON, which must keep the published schema."""
    tree: dict[str, Any] = json.loads(json.dumps(as_dict(verdict), allow_nan=False))
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(tree)] == []
    return tree


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


def test_one_person(portrait: Path, model: Path) -> None:
    tree = checked(detect(portrait, model=model))
    assert tree["status"] == "completed"
    assert tree["verdict"]["label"] == "weak_evidence"
    assert tree["verdict"]["calibrated"]
    assert tree["verdict"]["threshold"] == 0.6
    assert tree["input"]["name"] == "portrait.mp4"
    assert tree["input"]["codec"] == "h264"
    assert (tree["input"]["width_px"], tree["input"]["height_px"]) == (640, 360)
    assert tree["input"]["size_bytes"] == portrait.stat().st_size
    assert tree["coverage"]["frames_analysed"] == 32
    assert tree["coverage"]["frames_with_face"] >= 30
    assert tree["model"]["name"] == "blueness"
    assert tree["limitations"] == ["It sees blue, and nothing else."]
    parts = [tree["runtime"][f"{name}_seconds"] for name in ("decode", "faces", "model")]
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(tree["runtime"]["seconds"], abs=0.01)


def test_the_score_is_what_the_crops_say(portrait: Path, model: Path) -> None:
    verdict = detect(portrait, model=model)
    (person,) = verdict.people
    assert verdict.score == person.score
    assert verdict.interval is not None
    assert verdict.interval[0] <= verdict.score <= verdict.interval[1]
    times = [frame["time_seconds"] for frame in person.frames_detail]
    assert times == sorted(times)
    frame_logits = [np.log(f["score"] / (1 - f["score"])) for f in person.frames_detail]
    video_logit = np.log(verdict.score / (1 - verdict.score))
    assert video_logit == pytest.approx(np.mean(frame_logits), abs=0.05)


def test_two_people_of_whom_one_turns_blue(crowd: Path, model: Path) -> None:
    verdict = detect(crowd, model=model)
    checked(verdict)
    assert len(verdict.people) == 2
    blue = max(verdict.people, key=lambda person: person.score or 0)
    calm = min(verdict.people, key=lambda person: person.score or 0)
    assert verdict.score == blue.score
    assert calm.segments == ()
    (segment,) = blue.segments
    assert segment.start_seconds == pytest.approx(1.5, abs=0.2)
    assert segment.end_seconds == pytest.approx(3.0, abs=0.2)
    centre = np.mean([frame["box_xyxy_px"] for frame in blue.frames_detail], axis=0)[[0, 2]].mean()
    assert centre > 400  # the right one


def test_the_same_file_gives_the_same_verdict(portrait: Path, model: Path) -> None:
    first, second = (as_dict(verdict) for verdict in detect_many([portrait] * 2, model=model))
    assert first.pop("runtime")["seconds"] > 0
    second.pop("runtime")
    assert first == second


def test_more_frames_are_looked_at_when_asked(portrait: Path, model: Path) -> None:
    assert detect(portrait, model=model, frames=9).coverage["frames_analysed"] == 16
    assert detect(portrait, model=model, frames=8).coverage["frames_analysed"] == 8
    with pytest.raises(ValueError, match="at least 1"):
        detect(portrait, model=model, frames=0)


def test_a_video_without_a_face(media: Path, model: Path) -> None:
    path = make_media.write_video(media / "empty.mp4", make_media.gradient_frames(30))
    verdict = detect(path, model=model)
    checked(verdict)
    assert (verdict.label, verdict.score, codes(verdict)) == ("not_applicable", None, ["no_face"])


@pytest.mark.parametrize(
    ("face_px", "reasons"), [(14, ["no_face"]), (31, ["face_too_small"]), (45, [])]
)
def test_a_face_that_is_too_small(
    media: Path, model: Path, face_px: int, reasons: list[str]
) -> None:
    frames = make_media.tiny_face_frames(40, face_px=face_px)
    verdict = detect(make_media.write_video(media / "tiny.mp4", frames), model=model)
    checked(verdict)
    assert codes(verdict) == reasons
    assert (verdict.score is None) == bool(reasons)


def test_a_face_that_is_blurred_beyond_recognition(media: Path, model: Path) -> None:
    frames = (
        cv2.GaussianBlur(frame, (0, 0), 9) for frame in make_media.portrait_frames(30, 640, 360)
    )
    verdict = detect(make_media.write_video(media / "blur.mp4", frames), model=model)
    checked(verdict)
    assert (verdict.label, verdict.score) == ("inconclusive", None)
    assert codes(verdict) == ["face_blurry"]


def test_a_face_unlike_all_that_the_model_was_checked_on(
    portrait: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    known = fit_familiarity(rng.normal(size=(200, 40)), np.arange(200) % 2)
    loaded = load_model(model)
    record = loaded.calibration | Guard(familiarity=known).to_record()
    guarded = dataclasses.replace(loaded, calibration=record)
    given = OnnxModel.logits_and_features
    told = 90.0

    def with_features(self: OnnxModel, frames: np.ndarray, mask: np.ndarray) -> Any:
        return *given(self, frames, mask)[:2], np.full((*mask.shape, 40), told, np.float32)

    monkeypatch.setattr(OnnxModel, "logits_and_features", with_features)
    verdict = detect(portrait, model=guarded)
    tree = checked(verdict)
    assert (verdict.label, verdict.score) == ("inconclusive", None)
    assert codes(verdict) == ["face_unfamiliar"]
    assert {f["left_out"] for f in tree["people"][0]["frames_detail"]} == {"face_unfamiliar"}
    told = 0.0
    assert detect(portrait, model=guarded).score == detect(portrait, model=model).score


def lit(number: int, gain: float) -> Iterator[np.ndarray]:
    """A portrait; from frame ``number`` on its light changes."""
    for at, frame in enumerate(make_media.portrait_frames(60, fps=15)):
        yield frame if at < number else np.clip(frame * gain, 0, 255).astype(np.uint8)


def test_a_face_in_the_dark_is_not_judged_and_the_reason_is_named(media: Path, model: Path) -> None:
    verdict = detect(make_media.write_video(media / "dark.mp4", lit(0, 0.06), fps=15), model=model)
    tree = checked(verdict)
    assert (verdict.label, verdict.score, codes(verdict)) == ("inconclusive", None, ["face_dark"])
    assert {f["left_out"] for f in tree["people"][0]["frames_detail"]} == {"face_dark"}


def test_dark_frames_have_no_say_in_a_video_that_has_enough_others(
    media: Path, model: Path
) -> None:
    path = make_media.write_video(media / "dusk.mp4", lit(40, 0.06), fps=15)
    verdict = detect(path, model=model)
    checked(verdict)
    assert verdict.score is not None
    assert "frames_left_out" in [warn.code for warn in verdict.warnings]
    detail = verdict.people[0].frames_detail
    assert {frame["left_out"] for frame in detail if frame["time_seconds"] > 2.8} == {"face_dark"}
    light = [frame["score"] for frame in detail if frame["time_seconds"] < 2.6]
    assert verdict.score == pytest.approx(np.mean(light), abs=0.01)


def test_a_face_that_shows_for_a_moment(media: Path, model: Path) -> None:
    faces = make_media.portrait_frames(60, 320, 240)
    walls = make_media.gradient_frames(60, 320, 240)
    frames = (
        face if k < 4 else wall for k, (face, wall) in enumerate(zip(faces, walls, strict=True))
    )
    verdict = detect(make_media.write_video(media / "moment.mp4", frames), model=model)
    checked(verdict)
    assert (verdict.label, verdict.score) == ("inconclusive", None)
    assert codes(verdict) == ["too_few_frames"]


def test_a_file_of_one_picture_is_a_still(media: Path, model: Path) -> None:
    path = make_media.write_video(media / "one.mp4", make_media.portrait_frames(1))
    verdict = detect(path, model=model)
    checked(verdict)
    assert (verdict.label, codes(verdict)) == ("weak_evidence", [])
    assert [warn.code for warn in verdict.warnings].count("single_picture") == 1
    assert "1 frame," in verdict_text(verdict)


def test_one_picture_that_is_left_of_a_video_is_no_still(media: Path, model: Path) -> None:
    frames = make_media.portrait_frames(30, 320, 240)
    whole = make_media.write_video(media / "whole.mkv", frames, options={"g": "1"})
    path = make_media.write_truncated(whole, media / "first.mkv", 0.1)
    verdict = detect(path, model=model)
    checked(verdict)
    assert verdict.coverage["frames_analysed"] == 1
    assert (verdict.score, codes(verdict)) == (None, ["too_few_frames"])


def test_three_frames_are_too_few(media: Path, model: Path) -> None:
    path = make_media.write_video(media / "three.mp4", make_media.portrait_frames(3))
    verdict = detect(path, model=model)
    checked(verdict)
    assert (verdict.score, codes(verdict)) == (None, ["too_few_frames"])


def test_a_long_video_is_seen_as_one_stretch_however_seldom_it_is_looked_at(
    media: Path, model: Path
) -> None:
    frames, times = make_media.portrait_frames(8, 320, 240), [10.0 * k for k in range(8)]
    path = make_media.write_video(media / "long.mp4", frames, times_seconds=times)
    (person,) = detect(path, model=model, frames=8).people
    assert person.frames == 8
    assert person.seen_ranges_seconds == ((0.0, 70.0),)


def test_a_model_of_single_crops_judges_a_video(portrait: Path, tmp_path: Path) -> None:
    single = write_blueness(tmp_path / "single.onnx", frames=1)
    verdict = detect(portrait, model=single)
    checked(verdict)
    assert verdict.label == "weak_evidence"
    assert verdict.coverage["frames_analysed"] == 32


def test_a_still_is_judged_as_such(media: Path, model: Path) -> None:
    path = media / "still.png"
    cv2.imwrite(str(path), cv2.cvtColor(data.astronaut()[:400], cv2.COLOR_RGB2BGR))
    verdict = detect(path, model=model)
    checked(verdict)
    assert verdict.label == "weak_evidence"
    assert (verdict.input["width_px"], verdict.input["height_px"]) == (512, 400)
    assert verdict.people[0].frames == 1
    assert verdict.people[0].median_face_px < 250  # the face, not the picture
    assert "single_picture" in [warn.code for warn in verdict.warnings]


def test_a_model_without_calibration_is_marked(portrait: Path, tmp_path: Path) -> None:
    bare = write_blueness(tmp_path / "bare.onnx", None, frames=8)
    verdict = detect(portrait, model=bare)
    checked(verdict)
    assert not verdict.calibrated
    assert "not_calibrated" in [warn.code for warn in verdict.warnings]


def test_a_video_that_is_cut_off_gives_what_decodes(
    portrait: Path, media: Path, model: Path
) -> None:
    source = make_media.write_video(
        media / "long.mkv", make_media.portrait_frames(60, 320, 240), options={"g": "10"}
    )
    path = make_media.write_truncated(source, media / "cut.mkv", 0.6)
    verdict = detect(path, model=model)
    checked(verdict)
    assert verdict.status == "completed"
    assert verdict.coverage["partial"]
    assert verdict.label == "weak_evidence"


def bad_files(folder: Path) -> Iterator[tuple[Path, str]]:
    (folder / "empty.mp4").touch()
    yield folder / "empty.mp4", "media_empty"
    (folder / "text.mp4").write_text("This is no video.\n" * 50)
    yield folder / "text.mp4", "media_format"
    (folder / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n")
    yield folder / "list.m3u8", "media_format"
    yield make_media.write_audio(folder / "sound.m4a"), "media_no_video"
    yield folder, "media_not_regular"
    os.mkfifo(folder / "pipe.mp4")
    yield folder / "pipe.mp4", "media_not_regular"
    yield folder / "absent.mp4", "media_not_found"
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    yield folder / "broken.png", "media_damaged"


def test_what_cannot_be_read_fails_with_its_code(tmp_path: Path, model: Path) -> None:
    for path, code in bad_files(tmp_path):
        verdict = detect(path, model=model)
        tree = checked(verdict)
        assert verdict.status == "failed", path
        assert verdict.error is not None
        assert verdict.error["code"] == code, path
        assert tree["verdict"]["score"] is None
        assert tree["input"]["name"] == path.name
        assert (tree["input"]["sha256"] is None) == (not path.is_file())


@pytest.mark.parametrize("share", np.linspace(0.05, 0.95, 10).round(2).tolist())
def test_a_file_whose_end_with_the_index_is_cut_off_is_not_judged(
    portrait: Path, tmp_path: Path, model: Path, share: float
) -> None:
    verdict = detect(make_media.write_truncated(portrait, tmp_path / "cut.mp4", share), model=model)
    checked(verdict)
    assert (verdict.status, verdict.label, verdict.score) == ("failed", "inconclusive", None)
    assert codes(verdict) == ["media_damaged"]


def test_one_bad_file_costs_only_itself(portrait: Path, tmp_path: Path, model: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    verdicts = detect_many([tmp_path / "text.mp4", portrait], model=model)
    assert [verdict.status for verdict in verdicts] == ["failed", "completed"]


def test_many_files_come_one_by_one(portrait: Path, model: Path) -> None:
    endless = itertools.repeat(portrait)
    assert next(detect_many(endless, model=model)).status == "completed"


def test_without_a_model_it_says_so_and_stops(portrait: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        detect_many([portrait], model=tmp_path / "absent.onnx")
    assert caught.value.code == "model_missing"


def test_no_bundled_model_names_the_way_to_one(
    portrait: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unmask import weights

    monkeypatch.setattr(weights, "names", lambda: ())
    with pytest.raises(ModelError) as caught:
        detect(portrait)
    assert caught.value.code == "model_missing"
    assert "unmask train" in caught.value.hint


def test_it_is_exported_and_reaches_no_training_package() -> None:
    assert detect_by_name is detect
    code = (
        "import sys; from unmask import detect; from unmask.report import verdict_json;"
        "heavy = {'torch', 'torchvision', 'timm', 'sklearn', 'matplotlib', 'scipy'};"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_must_be_known_of_the_fit_stands_in_the_verdict(
    portrait: Path, tmp_path: Path
) -> None:
    told = dataclasses.replace(CALIBRATION, notes=("Only 3 authentic validation videos.",))
    verdict = detect(portrait, model=write_blueness(tmp_path / "few.onnx", told, frames=8))
    checked(verdict)
    notes = [w.message for w in verdict.warnings if w.code == "calibration_note"]
    assert notes == ["Only 3 authentic validation videos."]


def test_a_file_that_changes_while_it_is_judged_has_neither_verdict_nor_hash(
    portrait: Path, tmp_path: Path
) -> None:
    """An upload that goes on, or an exchange: the hash would be of another content."""
    path = tmp_path / "upload.mp4"
    path.write_bytes(portrait.read_bytes())
    model, find = load_model(write_blueness(tmp_path / "m.onnx", frames=8)), load_detector()

    class Meddler:
        name = "meddler"

        def __call__(self, image: np.ndarray) -> list[Face]:
            path.write_bytes(portrait.read_bytes() + b"more")
            return find(image)

    verdict = detect(path, model=model, faces=Meddler())
    checked(verdict)
    assert verdict.error is not None
    assert verdict.error["code"] == "media_changed"
    assert (verdict.score, verdict.input) == (None, {"name": "upload.mp4"})
    assert detect(path, model=model).score is not None


def test_an_error_does_not_tell_where_the_file_lay(tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "case 12 of alice"
    folder.mkdir()
    (folder / "a.mp4").write_text("no video")
    for name in ("a.mp4", "gone.mp4"):
        verdict = detect(folder / name, model=model)
        assert "alice" not in json.dumps(as_dict(verdict))
        assert name in verdict.text


def test_a_model_that_gives_no_number_judges_nothing(
    portrait: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = OnnxModel.logits_and_features

    def broken(*args: Any) -> Any:
        frames, clips, features = given(*args)
        return frames, clips * np.nan, features

    monkeypatch.setattr(OnnxModel, "logits_and_features", broken)
    verdict = detect(portrait, model=model)
    tree = checked(verdict)
    assert (tree["status"], tree["verdict"]["score"]) == ("failed", None)
    assert tree["error"]["code"] == "model_not_finite"


def test_sound_that_goes_on_makes_no_video_longer(portrait: Path, tmp_path: Path) -> None:
    sound = make_media.write_audio(tmp_path / "sound.m4a", seconds=30)
    path = tmp_path / "both.mkv"
    with (
        av.open(str(portrait)) as pictures,
        av.open(str(sound)) as heard,
        av.open(str(path), "w") as sink,
    ):
        sources = pictures.streams.video[0], heard.streams.audio[0]
        for source, target in [(one, sink.add_stream_from_template(one)) for one in sources]:
            for packet in source.container.demux(source):
                if packet.dts is not None:
                    packet.stream = target
                    sink.mux(packet)
    model = write_blueness(tmp_path / "blue.onnx")
    whole, both = (detect(file, model=model).input["duration_seconds"] for file in (portrait, path))
    assert both == pytest.approx(whole, abs=0.1)


def test_a_folder_is_told_how_to_be_scanned(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = detect(".", model=model).error
    assert error is not None
    assert error["message"] == ". is a folder."
    assert "unmask scan" in error["hint"]
