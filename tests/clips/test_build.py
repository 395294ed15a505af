from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from make_media import gradient_frames, portrait_frames, two_people_frames, write_video
from unmask.clips import build_clips, clips_of, clips_of_still, clips_of_video
from unmask.config import ClipSpec
from unmask.errors import MediaError
from unmask.faces import load_detector
from unmask.media import Limits
from unmask.types import Crop, Face, Track

DETECTOR = load_detector()


def track_of(slots: list[int], track_id: int = 0) -> Track:
    face = Face((10, 10, 50, 60), np.arange(10, dtype=np.float32).reshape(5, 2), 0.9)
    return Track(
        track_id,
        tuple(Crop(np.full((32, 32, 3), s + 1, np.uint8), s / 10, s, face) for s in slots),
    )


def values(clip: object) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in clip.frames]  # type: ignore[attr-defined]


def test_slots_of_an_even_clip() -> None:
    (clip,) = build_clips([track_of([0, 2, 3])], ClipSpec(frames=4, size_px=32))
    assert values(clip) == [1, 0, 3, 4]
    assert clip.mask.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(clip.pts_seconds, np.float32([0, np.nan, 0.2, 0.3]))
    assert np.isnan(clip.boxes_xyxy_px[1]).all()
    assert clip.boxes_xyxy_px[0].tolist() == [10, 10, 50, 60]
    assert clip.keypoints_px[2].ravel().tolist() == list(range(10))
    assert np.isnan(clip.keypoints_px[1]).all()


def test_even_clips_interleave_and_windows_follow_each_other() -> None:
    track = track_of(list(range(8)))
    even = build_clips([track], ClipSpec(frames=4, size_px=32, clips=2))
    assert [values(clip) for clip in even] == [[1, 3, 5, 7], [2, 4, 6, 8]]
    windows = build_clips([track], ClipSpec(frames=4, size_px=32, clips=2, sampling="windows"))
    assert [values(clip) for clip in windows] == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_a_clip_with_too_few_crops_is_dropped() -> None:
    spec = ClipSpec(frames=8, size_px=32)
    assert build_clips([track_of([0])], spec) == []
    assert len(build_clips([track_of([0, 7])], spec)) == 1
    tracks = [track_of([0, 1, 2]), track_of([3], 1)]
    assert [clip.track_id for clip in build_clips(tracks, spec)] == [0]


def test_only_so_many_crops_as_fit_are_put_together_and_only_where_some_would_be_lost() -> None:
    spec = ClipSpec(frames=8, size_px=32, clips=2, sampling="windows")
    late = [4, 5, 6, 7]
    (kept,) = build_clips([track_of(late)], spec)  # nothing in the second clip, so nothing is lost
    assert np.flatnonzero(kept.mask).tolist() == late
    (full,) = build_clips([track_of([*range(7), 8])], spec)
    assert full.mask.all()
    assert values(full)[-1] == 9
    (first,) = build_clips([track_of([*range(8), 8])], spec)  # nine do not fit into one of eight
    assert values(first) == list(range(1, 9))


def test_a_person_who_is_in_one_of_several_very_short_clips() -> None:
    spec = ClipSpec(frames=2, size_px=32, clips=3, sampling="windows")
    assert [values(clip) for clip in build_clips([track_of([2, 3])], spec)] == [[3, 4]]


def test_a_video_gives_one_clip_a_person(tmp_path: Path) -> None:
    path = write_video(tmp_path / "two.mp4", two_people_frames(30, 640, 320))
    found = clips_of_video(path, ClipSpec(frames=6, size_px=96), DETECTOR)
    assert [clip.track_id for clip in found.clips] == [0, 1]
    assert found.tracks == 2
    assert found.coverage.frames_analysed == 6
    assert found.frames_with_face == 6
    for clip in found.clips:
        assert clip.frames.shape == (6, 96, 96, 3)
        assert (np.diff(clip.pts_seconds[clip.mask]) > 0).all()
    left, right = (np.nanmean(clip.boxes_xyxy_px[:, [0, 2]]) for clip in found.clips)
    assert (left < 320) != (right < 320)


def test_a_video_shorter_than_a_clip(tmp_path: Path) -> None:
    path = write_video(tmp_path / "short.mp4", portrait_frames(3, 320, 240))
    (clip,) = clips_of(path, ClipSpec(frames=8, size_px=64), DETECTOR).clips
    assert clip.mask.sum() == 3


@pytest.mark.parametrize(("frames", "single"), [(1, True), (2, False)])
def test_a_video_of_one_picture_is_told_and_how_long_one_lasts(
    tmp_path: Path, frames: int, single: bool
) -> None:
    path = write_video(tmp_path / "short.mp4", portrait_frames(frames, 320, 240))
    found = clips_of(path, ClipSpec(frames=4, size_px=64), DETECTOR)
    assert found.single == single
    assert found.seconds == pytest.approx(frames / 25, abs=0.02)


def test_damage_is_told_with_the_clips(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.mkv", portrait_frames(50, 320, 240))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = clips_of(path, ClipSpec(frames=4, size_px=64), DETECTOR)
    assert found.coverage.partial
    assert found.coverage.warnings
    assert set(found.coverage.warnings) <= set(found.warnings)


def test_a_video_without_a_face_gives_none(tmp_path: Path) -> None:
    path = write_video(tmp_path / "empty.mp4", gradient_frames(10, 320, 180))
    found = clips_of(path, ClipSpec(frames=4, size_px=64), DETECTOR)
    assert (found.clips, found.tracks, found.frames_with_face) == ((), 0, 0)
    assert found.coverage.frames_analysed == 4


@pytest.mark.parametrize("size", [(200, 150), (48, 64), (96, 96)])
def test_a_still_is_taken_whole(tmp_path: Path, size: tuple[int, int]) -> None:
    image = cv2.resize(next(portrait_frames(1, 200, 200, face_px=180)), size)
    path = tmp_path / "face.PNG"
    cv2.imwrite(str(path), image[..., ::-1])
    found = clips_of(path, ClipSpec(frames=16, size_px=96), DETECTOR)
    (clip,) = found.clips
    assert clip.frames.shape == (1, 96, 96, 3)
    how = cv2.INTER_AREA if min(size) > 96 else cv2.INTER_CUBIC  # AREA blurs what it enlarges
    np.testing.assert_array_equal(clip.frames[0], cv2.resize(image, (96, 96), interpolation=how))
    assert clip.boxes_xyxy_px.tolist() == [[0, 0, *size]]
    assert np.isnan(clip.keypoints_px).all()
    assert found.info is None
    assert found.single


def test_a_still_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "face.jpg"
    path.write_text("not a picture")
    with pytest.raises(MediaError):
        clips_of_still(path, ClipSpec())


@pytest.mark.parametrize("name", ["large.png", "large.mp4"])
def test_what_a_file_may_ask_for_is_limited_whatever_it_is(tmp_path: Path, name: str) -> None:
    frames = list(gradient_frames(3, 160, 120))
    if name.endswith(".png"):
        cv2.imwrite(str(tmp_path / name), frames[0])
    else:
        write_video(tmp_path / name, frames)
    spec = ClipSpec(frames=2, size_px=32)
    assert clips_of(tmp_path / name, spec, DETECTOR).coverage.frames_analysed >= 1
    with pytest.raises(MediaError) as caught:
        clips_of(tmp_path / name, spec, DETECTOR, Limits(max_pixels=100 * 100))
    assert caught.value.code == "media_too_large"


@pytest.mark.parametrize("sampling", ["even", "windows"])
@pytest.mark.parametrize("count", [3, 4, 5, 7])
def test_a_few_crops_go_into_one_clip(count: int, sampling: Literal["even", "windows"]) -> None:
    """Of a video shorter than the clips that it would be spread over."""
    spec = ClipSpec(frames=12, size_px=32, clips=3, sampling=sampling)
    slots = [slot * 36 // count for slot in range(count)]
    made = build_clips([track_of(slots)], spec)
    assert sum(int(clip.mask.sum()) for clip in made) == count
    assert len(made) == 1
    assert (np.diff(made[0].pts_seconds[made[0].mask]) > 0).all()
