"""Unusual files of a collection that may lie beside the repository."""

from pathlib import Path

import numpy as np
import pytest

from unmask.config import ClipSpec
from unmask.media import open_video, sample

ODD = Path(__file__).parents[3] / "shared" / "data" / "odd"
FILES = sorted(path for path in ODD.glob("*") if path.is_file()) if ODD.is_dir() else []
STILL = {"frame_exceeds_screen.gif", "gradient.gif", "testsrc2_mpeg4.mp4", "transparent.gif"}


@pytest.mark.skipif(not FILES, reason="the collection is not here")
def test_there_are_files() -> None:
    assert len(FILES) > 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_one_of_them_decodes(path: Path) -> None:
    with open_video(path) as video:
        frames = list(sample(video, ClipSpec(frames=4)))
        info = video.info
    assert len(frames) == (1 if path.name in STILL else 4)
    times = [frame.pts_seconds for frame in frames]
    assert (np.diff(times) > 0).all()
    assert {frame.image.shape for frame in frames} == {(info.height_px, info.width_px, 3)}
    assert len({frame.image.tobytes() for frame in frames}) == len(frames)
    assert not video.coverage.partial
