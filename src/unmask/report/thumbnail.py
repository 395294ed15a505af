"""One small picture of a judged file: the frame that speaks most for its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unmask.clips import STILL_SUFFIXES
from unmask.errors import MediaError
from unmask.files import write_bytes
from unmask.media import open_video, read_image
from unmask.types import Frame, UInt8Array

SIDE_PX = 192
_QUALITY = 75
_INK_RGB = (255, 255, 255)
_EDGE_RGB = (0, 0, 0)


def write_thumbnail(source: Path, verdict: Mapping[str, Any], file: Path) -> bool:
    """Write a JPEG of a frame, its longer side `SIDE_PX`, with a box around the face.

    Args:
        source: the file that was judged.
        verdict: its verdict as `unmask.report.as_dict` gives it.
        file: where to; ends in ``.jpg``.

    Returns:
        False where no frame can be had; nothing is written then.
    """
    seconds, box = _moment(verdict)
    try:
        frame = _frame(source, seconds)
    except (MediaError, OSError):
        return False
    small = _shrunk(frame.image, box)
    done, content = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    if done:
        write_bytes(file, content.tobytes())
    return bool(done)


def _moment(verdict: Mapping[str, Any]) -> tuple[float, list[float] | None]:
    """The time and box of the highest frame of the highest person; the first person otherwise."""
    people = sorted(verdict["people"], key=lambda person: -(person["score"] or 0.0))
    if people:
        frames = people[0]["frames_detail"]
        best = max(frames, key=lambda frame: frame["score"] or 0.0)
        return best["time_seconds"], best["box_xyxy_px"]
    ranges = verdict["coverage"]["analysed_ranges_seconds"]
    return (ranges[0][0] if ranges else 0.0), None


def _frame(source: Path, seconds: float) -> Frame:
    if source.suffix.lower() in STILL_SUFFIXES:
        return read_image(source)
    with open_video(source, threads=1) as video:
        # Times in a verdict are rounded to a millisecond.
        ordinal = int(np.abs(video.timeline.seconds - seconds).argmin())
        return next(frame for _, frame in video.pick([ordinal], gap_seconds=1.0))


def _shrunk(image: UInt8Array, box: list[float] | None) -> UInt8Array:
    height, width = image.shape[:2]
    scale = min(1.0, SIDE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    if box is not None:
        x0, y0, x1, y1 = (round(value * scale) for value in box)
        cv2.rectangle(small, (x0, y0), (x1, y1), _EDGE_RGB, 4)
        cv2.rectangle(small, (x0, y0), (x1, y1), _INK_RGB, 2)
    return small
