"""What a video is: decoded from its first picture where possible, else named `*_from_header`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from unmask.errors import MediaError
from unmask.media import picture
from unmask.media.container import (
    PYAV_ERRORS,
    Limits,
    check_pixels,
    check_regular,
    header_seconds,
    open_container,
)
from unmask.media.timeline import Scan
from unmask.types import Warn


@dataclass(frozen=True)
class MediaInfo:
    """A video file at a glance."""

    path: Path
    size_bytes: int
    container: str
    """FFmpeg's name of the container format, e.g. ``"mov,mp4,m4a,3gp,3g2,mj2"``."""
    codec: str
    """FFmpeg's name of the codec, e.g. ``"av1"``."""
    decoder: str
    """FFmpeg's name of the decoder that reads it here, e.g. ``"libdav1d"``."""
    pixel_format: str
    """FFmpeg's name of the decoded pixel format, e.g. ``"yuv420p"``."""
    width_px: int
    """Of the upright picture."""
    height_px: int
    """Of the upright picture."""
    rotation_deg: int
    """Counter-clockwise turn that sets the stored picture upright: -90, 0, 90 or 180."""
    mirrored: bool
    """Whether the stored picture is flipped left-right before that turn."""
    duration_seconds_from_header: float | None
    """Of the video; None where the header tells only how long it lasts with the sound."""
    frame_rate_from_header: float | None
    """Mean pictures a second."""
    frames_from_header: int | None
    warnings: tuple[Warn, ...]
    """What is lost or uncertain when its pictures are made RGB."""


def probe(path: str | Path, limits: Limits | None = None) -> MediaInfo:
    """Open a video and decode its first picture.

    Raises:
        MediaError: the file cannot be read as video (its codes are listed there).
    """
    limits = limits or Limits()
    path = check_regular(Path(path))
    with open_container(path, limits) as (container, stream):
        packets = Scan(stream, limits, path).watch(container.demux(stream))
        return inspect(path, container, stream, packets, limits)


def inspect(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    packets: Iterator[Packet[VideoStream]],
    limits: Limits,
) -> MediaInfo:
    """The facts about an opened video; takes packets up to the first picture that decodes.

    Raises:
        MediaError: ``media_no_frames``, ``media_damaged``, ``media_too_large``.
    """
    frame = _first_picture(path, packets)
    check_pixels(frame.width, frame.height, limits, path)
    transpose, flip_x, flip_y = picture.orientation_of(frame)
    rotation_deg, mirrored = picture.rotation_and_mirror(transpose, flip_x, flip_y)
    width_px, height_px = frame.width, frame.height
    if transpose:
        width_px, height_px = height_px, width_px
    return MediaInfo(
        path=path,
        size_bytes=path.stat().st_size,
        container=container.format.name,
        codec=stream.codec_context.codec.canonical_name,
        decoder=stream.codec_context.name,
        pixel_format=frame.format.name,
        width_px=width_px,
        height_px=height_px,
        rotation_deg=rotation_deg,
        mirrored=mirrored,
        duration_seconds_from_header=header_seconds(container, stream),
        frame_rate_from_header=float(stream.average_rate) if stream.average_rate else None,
        frames_from_header=stream.frames or None,
        warnings=picture.warnings_of(frame) + _shape_warnings(stream),
    )


def _first_picture(path: Path, packets: Iterator[Packet[VideoStream]]) -> VideoFrame:
    seen, failed = 0, False
    for packet in packets:
        seen += bool(packet.size)
        try:
            frames = packet.decode()
        except PYAV_ERRORS:
            failed = True
            continue
        if frames:
            return frames[0]
    if seen == 0 and not failed:
        raise MediaError(
            f"{path} holds no pictures.", code="media_no_frames", hint="It may be cut off."
        )
    raise MediaError(
        f"No picture of {path} can be decoded.",
        code="media_damaged",
        hint="It may be cut off; copy it again from its source.",
    )


def _shape_warnings(stream: VideoStream) -> tuple[Warn, ...]:
    aspect = float(stream.sample_aspect_ratio or 1)
    if 0.98 <= aspect <= 1.02:  # rounding in headers
        return ()
    return (
        Warn(
            "non_square_pixels",
            f"Pixels are {aspect:.2f} times as wide as high; the picture was not stretched.",
        ),
    )
