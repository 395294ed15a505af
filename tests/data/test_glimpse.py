"""A few clips of a dataset of stills, which need no face to be found."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from unmask.config import ClipSpec
from unmask.data import read_manifest
from unmask.data.glimpse import first_clips
from unmask.errors import DatasetError

SPEC = ClipSpec(frames=1, size_px=32)
SHADES = {"real": 200, "fake": 50}


def stills(root: Path) -> Path:
    """Bright authentic pictures and dark manipulated ones; those of val and test are black."""
    for split in ("train", "val", "test"):
        for label, shade in SHADES.items():
            folder = root / split / label
            folder.mkdir(parents=True)
            for n in range(4):
                value = shade + n if split == "train" else 0
                cv2.imwrite(str(folder / f"{n}.png"), np.full((40, 40, 3), value, np.uint8))
    return root


def test_pairs_of_training_videos_each_with_its_own_clip(tmp_path: Path) -> None:
    glimpse = first_clips(read_manifest(stills(tmp_path)), SPEC, each=2)
    paths = [f"train/{label}/{n}.png" for n in range(2) for label in ("real", "fake")]
    assert [record.path for record in glimpse.records] == paths
    assert glimpse.labels.tolist() == [0, 1, 0, 1]
    assert [int(clip.frames[0, 16, 16, 0]) for clip in glimpse.clips] == [200, 50, 201, 51]
    assert glimpse.skipped == ()


def test_what_gives_no_clip_is_passed_over_and_told(tmp_path: Path) -> None:
    manifest = read_manifest(stills(tmp_path))
    (tmp_path / "train/real/0.png").unlink()
    (tmp_path / "train/fake/1.png").write_text("no picture")
    glimpse = first_clips(manifest, SPEC, each=3)
    pairs = ((1, 0), (2, 2), (3, 3))
    assert [record.path for record in glimpse.records] == [
        path for a, b in pairs for path in (f"train/real/{a}.png", f"train/fake/{b}.png")
    ]
    assert glimpse.skipped[0] == ("train/real/0.png", "the file is not there")
    assert glimpse.skipped[1][0] == "train/fake/1.png"
    assert glimpse.skipped[1][1].startswith("[media_")
    (tmp_path / "train/fake/2.png").unlink()
    fewer = first_clips(manifest, SPEC, each=3)
    assert fewer.labels.tolist() == [0, 1, 0, 1]  # no class outweighs the other


def test_a_class_without_a_clip_is_an_error(tmp_path: Path) -> None:
    manifest = read_manifest(stills(tmp_path))
    for file in (tmp_path / "train/fake").iterdir():
        file.unlink()
    with pytest.raises(DatasetError, match="4 manipulated training videos") as caught:
        first_clips(manifest, SPEC)
    assert caught.value.code == "dataset_no_clips"
    assert "train/fake/0.png: the file is not there" in caught.value.message
