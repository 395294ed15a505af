"""A verdict drawn into its video: boxes, scores and a running timeline; the sound stays.

Every frame is decoded and encoded again, one at a time. The picture itself is not covered but for
the boxes: the timeline has a strip of its own below.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from unmask.clips import STILL_SUFFIXES
from unmask.errors import InputError
from unmask.files import atomic_path
from unmask.media import Limits, Video, open_video
from unmask.media.write import open_writer
from unmask.progress import Progress
from unmask.report.motion import Motion
from unmask.report.strip import Canvas, Strip
from unmask.types import STRETCH_STEP_SECONDS, Verdict, Warn

MAX_SECONDS = 3600.0
"""Longer videos are refused: an hour of 1080p at 25 frames/s asks for 100 minutes of one core."""
LONGEST_PX = 1920
"""Larger pictures are shrunk to this longer side."""
NARROWEST_PX = 480
"""Smaller pictures are enlarged to this width, so that words can be read."""


def write_annotated(
    out: Path,
    path: str | Path,
    verdict: Verdict,
    *,
    limits: Limits | None = None,
    progress: bool = False,
) -> tuple[Warn, ...]:
    """Write the video once more, with what the verdict says drawn into it.

    Boxes stand where the face was found in the frames that were looked at, and move in a straight
    line between two of them that are at most two seconds apart.

    Args:
        out: an MP4 file (H.264; sound copied, or AAC where its codec does not fit).
        path: the video that the verdict is about.
        verdict: what `unmask.detect` said of it.
        limits: as they were for the verdict.
        progress: show how far it has come.

    Returns:
        What a viewer must know: sound that was lost or converted, frames looked at too seldom.

    Raises:
        InputError: ``annotate_still``, ``annotate_too_long`` (over an hour), ``annotate_itself``,
            ``annotate_failed`` (the encoder refused).
        OSError: the folder cannot be written to.
        MediaError: the file cannot be read as video.
    """
    path = Path(path)
    if path.suffix.lower() in STILL_SUFFIXES:
        raise InputError(
            "A still cannot be annotated.", code="annotate_still", hint="Use --html instead."
        )
    if out.exists() and path.exists() and out.samefile(path):
        raise InputError(
            f"{out} is the video itself.", code="annotate_itself", hint="Name another file."
        )
    with open_video(path, limits) as video:
        timeline = video.timeline
        if timeline.end_seconds > MAX_SECONDS:
            raise InputError(
                f"{path.name} lasts {timeline.end_seconds / 60:.0f} minutes; videos of up to "
                f"{MAX_SECONDS / 60:.0f} are annotated.",
                code="annotate_too_long",
                hint="Cut out the part that matters.",
            )
        with atomic_path(out) as temporary:
            try:
                warnings = _write(temporary, path, video, verdict, progress)
            except av.FFmpegError as error:
                raise InputError(
                    f"{path.name} could not be written as MP4: {error.strerror}.",
                    code="annotate_failed",
                ) from error
    return warnings + _sparse(verdict)


def _write(
    out: Path, path: Path, video: Video, verdict: Verdict, progress: bool
) -> tuple[Warn, ...]:
    timeline = video.timeline
    canvas = Canvas.fit(video.info.width_px, video.info.height_px, LONGEST_PX, NARROWEST_PX)
    strip = Strip(verdict, canvas, timeline.end_seconds)
    looked = [f["time_seconds"] for person in verdict.people for f in person.frames_detail]
    motions = [Motion(person, looked) for person in verdict.people]
    size = (canvas.width_px, canvas.height_px + strip.height_px)
    origin = float(timeline.pts[0]) * timeline.tick_seconds if timeline.exact else 0.0
    rate = min(120.0, max(1.0, len(timeline) / timeline.end_seconds))
    frame_seconds = timeline.end_seconds / len(timeline)
    page = np.zeros((size[1], size[0], 3), np.uint8)
    with (
        open_writer(out, size, rate=rate, sound_of=path, origin_seconds=origin) as writer,
        Progress("annotate", len(timeline), "frames", shown=progress) as bar,
    ):
        for frame in video.frames():
            picture = canvas.place(frame.image)
            for person, motion in zip(verdict.people, motions, strict=True):
                spot = motion.at(frame.pts_seconds, frame_seconds / 2)
                if spot is not None:
                    canvas.draw(picture, frame.image.shape[:2], person, spot)
            page[: canvas.height_px] = picture
            page[canvas.height_px :] = strip.at(frame.pts_seconds)
            writer.write(page, frame.pts_seconds)
            bar.advance()
    return writer.warnings


def _sparse(verdict: Verdict) -> tuple[Warn, ...]:
    steps = [
        float(np.median(np.diff([frame["time_seconds"] for frame in person.frames_detail])))
        for person in verdict.people
        if len(person.frames_detail) > 1
    ]
    if not steps or min(steps) <= STRETCH_STEP_SECONDS:
        return ()
    message = (
        f"Frames in which a face was found lie {min(steps):.0f} s apart, so boxes show only now "
        "and then; look at more with --frames."
    )
    return (Warn("boxes_sparse", message),)
