"""Media made on the fly for all rooms' tests; how to make more: scripts/make_media.py."""

from pathlib import Path

import pytest

import make_media


@pytest.fixture(scope="session")
def portrait_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of one moving person, 320 x 240, 25 fps, H.264."""
    path = tmp_path_factory.mktemp("media") / "portrait.mp4"
    return make_media.write_video(path, make_media.portrait_frames(50, 320, 240))


@pytest.fixture(scope="session")
def numbered_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 tiny frames that carry their number, a keyframe every 30, with B-frames."""
    path = tmp_path_factory.mktemp("media") / "numbered.mp4"
    return make_media.write_video(
        path, make_media.numbered_frames(600), options={"g": "30", "preset": "veryfast"}
    )
