"""The first look at a dataset: one video, its frames, and the faces that are found in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from unmask.clips import STILL_SUFFIXES, build_clips
from unmask.clips.sheet import contact_sheet
from unmask.config import ClipSpec
from unmask.data.discover import FoundDataset
from unmask.data.sources import as_file, locate
from unmask.errors import DatasetError, MediaError
from unmask.faces import FaceDetector, extract
from unmask.faces.detect import load_detector
from unmask.faces.outline import outline
from unmask.media import MediaInfo, open_video, read_image, sample
from unmask.notebook.show import Picture
from unmask.report.table import Table
from unmask.types import FAKE, Clip, Frame, UInt8Array, VideoRecord

_SHOWN = 4  # frames
_WIDTH_PX = 360  # of a frame that is shown
_TRIED = 25  # files, until one can be shown


@dataclass(frozen=True)
class Preview:
    """One file as the detector sees it."""

    path: str
    """Within its dataset."""
    info: MediaInfo | None
    """None for a still."""
    frames: Picture
    """A few frames with boxes and keypoints."""
    clips: tuple[Clip, ...]
    """Empty for a still: it is taken as a face already."""
    skipped: tuple[tuple[str, str], ...]
    """Files before it that could not be shown, with the reason."""

    @property
    def crops(self) -> Picture | None:
        """The crops of its clips."""
        if not self.clips:
            return None
        captions = [f"person {clip.track_id + 1}" for clip in self.clips]
        return Picture.of(contact_sheet(self.clips, captions), f"{self.path}: crops")

    def table(self) -> Table:
        """What is known of the file, and what was passed over."""
        rows = [("file", self.path), ("clips", str(len(self.clips)))]
        if self.info is not None:
            info = self.info
            rows += [
                ("video", f"{info.codec} in {info.container}, {info.width_px} x {info.height_px}"),
                (
                    "turned",
                    f"{info.rotation_deg} degrees, corrected" if info.rotation_deg else "no",
                ),
            ]
        passed = tuple(f"Passed over {path}: {why}" for path, why in self.skipped)
        return Table("One file of the dataset", ("", ""), tuple(rows), passed)


def preview(found: FoundDataset, spec: ClipSpec, detector: FaceDetector | None = None) -> Preview:
    """Decode the first file that shows a face, manipulated ones first.

    Raises:
        DatasetError: ``dataset_no_clips``: none of the first 25 files can be shown.
    """
    detector = detector or load_detector()
    skipped: list[tuple[str, str]] = []
    rows = sorted(found.layout.rows, key=lambda row: row.label != FAKE)[:_TRIED]
    records = [VideoRecord(row.path, row.label, row.split or "train", "") for row in rows]
    sources = locate(found.path, records)
    for record in records:
        if record.path not in sources:
            skipped.append((record.path, "the file is not there"))
            continue
        try:
            with as_file(sources[record.path]) as path:
                shown = _look(path, spec, detector)
        except MediaError as error:
            skipped.append((record.path, f"[{error.code}] {error.message}"))
            continue
        info, pictures, clips = shown
        if clips or info is None:
            frames = Picture.of(_side_by_side(pictures), f"{record.path}: frames and faces")
            return Preview(record.path, info, frames, clips, tuple(skipped))
        skipped.append((record.path, "no usable face"))
    first = f" The first: {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
    raise DatasetError(
        f"None of the first {len(records)} files of {found.path} can be shown.{first}",
        code="dataset_no_clips",
        hint="Look at these files: can a player open them, is a face visible?",
    )


def _look(
    path: Path, spec: ClipSpec, detector: FaceDetector
) -> tuple[MediaInfo | None, list[UInt8Array], tuple[Clip, ...]]:
    if path.suffix.lower() in STILL_SUFFIXES:
        return None, [read_image(path).image], ()
    spec = replace(spec, clips=1)
    with open_video(path) as video:
        frames: list[Frame] = list(sample(video, spec))
        clips = build_clips(extract(frames, spec, detector).tracks, spec)
        step = max(1, len(frames) // _SHOWN)
        pictures = [outline(f.image, detector(f.image)) for f in frames[::step][:_SHOWN]]
        return video.info, pictures, tuple(clips)


def _side_by_side(pictures: Sequence[UInt8Array]) -> UInt8Array:
    """Pictures of one size in a row, made smaller where they are large."""
    height, width = pictures[0].shape[:2]
    scale = min(1.0, _WIDTH_PX / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.asarray(np.hstack(small), dtype=np.uint8)
