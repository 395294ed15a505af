"""Tracks become clips: the very same steps for training and for detection."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from unmask.config import ClipSpec
from unmask.faces import Extraction, FaceDetector, extract
from unmask.media import (
    Coverage,
    Limits,
    MediaInfo,
    Video,
    ahead,
    open_video,
    read_image,
    sample,
)
from unmask.types import Clip, Crop, Track, Warn

STILL_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
VIDEO_SUFFIXES = frozenset({
    ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv",
})  # fmt: skip


@dataclass(frozen=True)
class VideoClips:
    """What one file gave."""

    clips: tuple[Clip, ...]
    """Ordered by track, then by time; empty where no face was usable."""
    info: MediaInfo | None
    """None for a still."""
    coverage: Coverage
    frames_with_face: int
    tracks: int
    """Faces followed, those too short to give a clip included."""
    warnings: tuple[Warn, ...]
    decoder: Literal["cpu", "cuda"] = "cpu"
    """Where its pictures were decoded."""
    seconds: float | None = None
    """How long the video lasts by the times of its pictures; None for a still."""
    single: bool = False
    """Whether the file is whole and holds one picture: a still, whatever its name says."""
    still_px: tuple[int, int] | None = None
    """Width and height of a still's upright picture; None for a video, whose ``info`` tells."""


def build_clips(tracks: Sequence[Track], spec: ClipSpec) -> list[Clip]:
    """Put the crops of each track into the slots of its clips.

    `Crop.frame_index` is the slot s of `unmask.media.sample`: with ``even`` sampling clip
    ``s % clips``, position ``s // clips``; with ``windows`` clip ``s // frames``, position
    ``s % frames``. A clip with crops in less than a quarter of its slots is dropped, unless all
    crops of the track fit into one: so few are put together, in order of time.
    """
    clips, enough = [], max(1, spec.frames // 4)
    for track in tracks:
        owned = _by_clip(track, spec)
        if len(track.crops) <= spec.frames and any(0 < len(crops) < enough for crops in owned):
            owned = [dict(enumerate(track.crops))]
        clips += [
            _clip(crops, spec.frames, track.track_id) for crops in owned if len(crops) >= enough
        ]
    return clips


def _by_clip(track: Track, spec: ClipSpec) -> list[dict[int, Crop]]:
    """The track's crops by position, for each clip."""
    owned: list[dict[int, Crop]] = [{} for _ in range(spec.clips)]
    for crop in track.crops:
        if spec.sampling == "even":
            position, clip = divmod(crop.frame_index, spec.clips)
        else:
            clip, position = divmod(crop.frame_index, spec.frames)
        owned[clip][position] = crop
    return owned


def clips_of_video(
    path: str | Path,
    spec: ClipSpec,
    detector: FaceDetector,
    limits: Limits | None = None,
    threads: int = 0,
) -> VideoClips:
    """Decode, find and follow faces, crop them and cut clips.

    Args:
        path: a video.
        spec: how.
        detector: finds the faces.
        limits: what the file may ask for.
        threads: decoder threads; 0 = as many as this process may use. Unless it is 1, frames are
            decoded while faces are found in those before.

    Raises:
        MediaError: the file cannot be read as video.
    """
    with open_video(path, limits, threads) as video:
        # A process with one thread is one of many, all of them busy: nobody would run the other.
        sampled = sample(video, spec)
        frames = nullcontext(sampled) if threads == 1 else closing(ahead(sampled))
        with frames as pictures:  # the thread must end before the file is closed
            extraction = extract(pictures, spec, detector)
        return cut_clips(video, extraction, spec)


def cut_clips(
    video: Video, extraction: Extraction, spec: ClipSpec, decoder: Literal["cpu", "cuda"] = "cpu"
) -> VideoClips:
    """What a video gave, once its frames have been gone through."""
    coverage = video.coverage
    return VideoClips(
        clips=tuple(build_clips(extraction.tracks, spec)),
        info=video.info,
        coverage=coverage,
        frames_with_face=extraction.frames_with_face,
        tracks=len(extraction.tracks),
        warnings=coverage.warnings + extraction.warnings,
        decoder=decoder,
        seconds=video.timeline.end_seconds,
        single=len(video.timeline) == 1 and not coverage.partial,
    )


def clips_of_still(path: str | Path, spec: ClipSpec, limits: Limits | None = None) -> VideoClips:
    """The clip of one still that already is a cropped face: the whole picture, T = 1.

    The picture is resized to ``spec.size_px``; its box is the whole picture, its keypoints are
    unknown (NaN).

    Raises:
        MediaError: the file cannot be read as a still.
    """
    image = read_image(path, limits).image
    height, width = image.shape[:2]
    size = (spec.size_px, spec.size_px)
    shrinks = min(height, width) > spec.size_px
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    crop = image if image.shape[:2] == size else cv2.resize(image, size, interpolation=how)
    clip = Clip(
        frames=np.asarray(crop, dtype=np.uint8)[None],
        mask=np.ones(1, dtype=np.bool_),
        pts_seconds=np.zeros(1, dtype=np.float32),
        boxes_xyxy_px=np.array([[0, 0, width, height]], dtype=np.float32),
        keypoints_px=np.full((1, 5, 2), np.nan, dtype=np.float32),
        track_id=0,
    )
    return VideoClips(
        clips=(clip,),
        info=None,
        coverage=Coverage(1, 1, partial=False, analysed_ranges_seconds=[(0.0, 0.0)], warnings=()),
        frames_with_face=1,
        tracks=1,
        warnings=(),
        single=True,
    )


def clips_of(
    path: str | Path,
    spec: ClipSpec,
    detector: FaceDetector,
    limits: Limits | None = None,
    threads: int = 0,
) -> VideoClips:
    """`clips_of_still` or `clips_of_video`, by the file's suffix."""
    if Path(path).suffix.lower() in STILL_SUFFIXES:
        return clips_of_still(path, spec, limits)
    return clips_of_video(path, spec, detector, limits, threads)


def _clip(crops: dict[int, Crop], frames: int, track_id: int) -> Clip:
    size_px = next(iter(crops.values())).image.shape[0]
    images = np.zeros((frames, size_px, size_px, 3), dtype=np.uint8)
    pts = np.full(frames, np.nan, dtype=np.float32)
    boxes = np.full((frames, 4), np.nan, dtype=np.float32)
    keypoints = np.full((frames, 5, 2), np.nan, dtype=np.float32)
    for position, crop in crops.items():
        images[position] = crop.image
        pts[position] = crop.pts_seconds
        boxes[position] = crop.face.box_xyxy_px
        keypoints[position] = crop.face.keypoints_px
    return Clip(images, ~np.isnan(pts), pts, boxes, keypoints, track_id)
