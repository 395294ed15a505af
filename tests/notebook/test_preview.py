"""The first look: which file is shown, what of it, and why others are not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pictures import pixels

import make_media
from unmask.clips.sheet import contact_sheet
from unmask.config import ClipSpec
from unmask.data.discover import FoundDataset
from unmask.data.rows import Layout, Row
from unmask.errors import DatasetError
from unmask.faces import FaceDetector
from unmask.faces.detect import load_detector
from unmask.faces.outline import _POINT_RGB
from unmask.notebook import preview

SPEC = ClipSpec(frames=4, size_px=64, clips=3)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preview")
    make_media.write_video(folder / "nobody.mp4", make_media.gradient_frames(4, 96, 96))
    two = make_media.two_people_frames(12, 800, 400)
    make_media.write_video(folder / "two.mp4", two, rotation_deg=90)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    (portrait,) = make_media.portrait_frames(1)
    cv2.imwrite(str(folder / "still.png"), portrait)
    return folder


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return load_detector()


def found(folder: Path, *rows: tuple[str, int]) -> FoundDataset:
    return FoundDataset(folder, Layout("folders", tuple(Row(path, label) for path, label in rows)))


def test_the_first_manipulated_file_with_a_face_is_shown_and_the_rest_told(
    videos: Path, detector: FaceDetector
) -> None:
    rows = [
        ("still.png", 0), ("gone.mp4", 1), ("broken.mp4", 1), ("nobody.mp4", 1), ("two.mp4", 1),
    ]  # fmt: skip
    look = preview(found(videos, *rows), SPEC, detector)
    assert look.path == "two.mp4"
    assert [path for path, _ in look.skipped] == ["gone.mp4", "broken.mp4", "nobody.mp4"]
    reasons = [why for _, why in look.skipped]
    assert reasons[::2] == ["the file is not there", "no usable face"]
    assert reasons[1].startswith("[media_")
    told = dict(look.table().rows)
    assert told["clips"] == "2"  # one a person, though there are three in the settings
    assert told["video"] == "h264 in mov,mp4,m4a,3gp,3g2,mj2, 800 x 400"
    assert told["turned"] == "90 degrees, corrected"
    assert look.table().notes[0] == "Passed over gone.mp4: the file is not there"


def test_the_frames_are_four_spread_over_the_video_with_keypoints(
    tmp_path: Path, detector: FaceDetector
) -> None:
    def lighter() -> Iterator[np.ndarray]:
        for number, frame in enumerate(make_media.portrait_frames(12, 240, 240)):
            frame[:16] = 20 * number
            yield frame

    make_media.write_video(tmp_path / "lighter.mp4", lighter())
    look = preview(found(tmp_path, ("lighter.mp4", 1)), replace(SPEC, frames=12), detector)
    shown = pixels(look.frames)
    assert shown.shape == (240, 4 * 240, 3)
    light = [shown[4:8, x : x + 240].mean() for x in range(0, 960, 240)]
    np.testing.assert_allclose(light, [0, 60, 120, 180], atol=10)
    for x in range(0, 960, 240):
        assert (shown[:, x : x + 240] == _POINT_RGB).all(axis=2).any()


def test_a_large_video_is_shown_small_with_a_row_a_person(
    videos: Path, detector: FaceDetector
) -> None:
    look = preview(found(videos, ("two.mp4", 1)), SPEC, detector)
    assert pixels(look.frames).shape == (180, 4 * 360, 3)
    assert [clip.track_id for clip in look.clips] == [0, 1]
    expected = contact_sheet(look.clips, ["person 1", "person 2"])
    np.testing.assert_array_equal(pixels(look.crops), expected)


def test_a_still_is_shown_as_it_is(videos: Path, detector: FaceDetector) -> None:
    look = preview(found(videos, ("still.png", 0)), SPEC, detector)
    assert (look.path, look.info, look.crops, look.skipped) == ("still.png", None, None, ())
    still = cv2.imread(str(videos / "still.png"), cv2.IMREAD_COLOR_RGB)
    assert pixels(look.frames).shape[1] == min(360, still.shape[1])


def test_after_25_files_without_a_face_the_first_reason_is_told(
    videos: Path, detector: FaceDetector
) -> None:
    rows = [("gone.mp4", 1), *[(f"gone{n}.mp4", 1) for n in range(24)], ("two.mp4", 1)]
    with pytest.raises(DatasetError, match="first 25 files") as caught:
        preview(found(videos, *rows), SPEC, detector)
    assert caught.value.code == "dataset_no_clips"
    assert "The first: gone.mp4: the file is not there" in caught.value.message
    assert preview(found(videos, *rows[1:]), SPEC, detector).path == "two.mp4"
