"""The door: a path is checked and opened, or refused with a typed error.

Only regular files are opened, only by the ``file`` protocol, only in container formats that hold
video: playlists and stream lists (HLS, DASH, concat), which can point anywhere, are refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from unmask.errors import MediaError

VIDEO_FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,ivf,"
    "flv,asf,ogg,gif,apng,mxf,nut,dv,mjpeg,yuv4mpegpipe"
)
"""FFmpeg demuxers a video may be read with."""

# What PyAV raises: its own tree (much of which also is OSError or ValueError), and plain ValueError
# and RuntimeError from its wrappers.
PYAV_ERRORS = (av.FFmpegError, ValueError, RuntimeError, LookupError, OSError, MemoryError)

_SIGNATURES = (
    *((4, box) for box in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")),
    (0, b"\x1a\x45\xdf\xa3"),  # Matroska, WebM
    *((0, head) for head in (b"RIFF", b"FLV\x01", b"OggS", b"GIF8", b"\x30\x26\xb2\x75", b"DKIF")),
    *((0, head) for head in (b"\x00\x00\x01", b"\x00\x00\x00\x01", b"\x89PNG", b"\xff\xd8", b"BM")),
)


@dataclass(frozen=True)
class Limits:
    """How much one file may ask for; beyond it `MediaError` is raised instead."""

    max_pixels: int = 8192 * 4352
    """Width times height of a picture; the default lets 8K pass."""
    max_duration_seconds: float = 4 * 3600.0

    def __post_init__(self) -> None:
        if self.max_pixels < 1 or not self.max_duration_seconds > 0:
            raise ValueError(f"limits must be positive, got {self}")


def check_regular(path: Path) -> Path:
    """The absolute path of a non-empty regular file; links are followed to their target.

    Nothing is opened, so that a FIFO or a device cannot block.

    Raises:
        MediaError: ``media_not_found`` (also a dangling link), ``media_not_regular``,
            ``media_empty``, ``media_unreadable``.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MediaError(f"There is no file {path}.", code="media_not_found") from error
    except OSError as error:
        raise MediaError(
            f"Cannot read {path}: {error.strerror}.", code="media_unreadable"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        hint = "Give a file; for a whole folder: unmask scan FOLDER --out RESULTS."
        raise MediaError(f"{path} is {kind}.", code="media_not_regular", hint=hint)
    if status.st_size == 0:
        raise MediaError(
            f"{path} is empty.", code="media_empty", hint="Copy it again from its source."
        )
    if not os.access(path, os.R_OK):
        raise MediaError(
            f"Cannot read {path}: permission denied.",
            code="media_unreadable",
            hint="Check the file's permissions.",
        )
    return Path(os.path.abspath(path))  # noqa: PTH100 - absolute() keeps "..", a URL-like name must not


def looks_like_media(path: Path) -> bool:
    """Whether a regular file begins as videos and stills do; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return _is_signed(file.read(16))
    except OSError:
        return False


@contextmanager
def open_container(
    path: Path, limits: Limits, *, threads: int = 1, accelerator: HWAccel | None = None
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a media file and choose its video stream; the decoder is limited before it opens.

    Args:
        path: what `check_regular` returned.
        limits: pixel and duration limits.
        threads: decoder threads.
        accelerator: decodes, where it can take the stream.

    Raises:
        MediaError: ``media_format``, ``media_damaged``, ``media_no_video``, ``media_in_tiles``,
            ``media_too_large``.
    """
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": VIDEO_FORMATS,
        "max_pixels": str(limits.max_pixels),  # opening may decode a little to learn the format
    }
    try:
        container = av.open(
            str(path), options=options, metadata_errors="replace", hwaccel=accelerator
        )
    except PYAV_ERRORS as error:
        raise _refusal(path) from error
    with container:
        stream = _video_stream(container, path)
        check_pixels(stream.codec_context.width, stream.codec_context.height, limits, path)
        for other in container.streams:
            if other.index != stream.index:
                other.discard = av.stream.Discard.all
        context = stream.codec_context
        context.options = {"max_pixels": str(limits.max_pixels)}
        context.thread_count = threads
        context.thread_type = "AUTO" if threads > 1 else "SLICE"
        yield container, stream


def header_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """How long the header says that the video lasts; None where it does not, or tells only of a
    whole in which the sound may last longer."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def check_pixels(width_px: int, height_px: int, limits: Limits, path: Path) -> None:
    """Raise ``media_too_large`` where a picture has more pixels than the limit."""
    if width_px * height_px > limits.max_pixels:
        raise MediaError(
            f"{path} has pictures of {width_px} x {height_px} pixels, more than the limit of "
            f"{limits.max_pixels / 1e6:.0f} megapixels.",
            code="media_too_large",
            hint="Scale the video down, or raise the limit.",
        )


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The main video stream; cover pictures of music files do not count."""
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams:
        raise MediaError(f"{path} holds no video stream.", code="media_no_video")
    best = container.streams.best("video")
    stream = next((stream for stream in streams if stream is best), streams[0])
    if stream.disposition & Disposition.dependent:  # one of the parts that make the picture
        raise MediaError(
            f"{path} is a photo in tiles, as phones write HEIC; they are not put together here.",
            code="media_in_tiles",
            hint="Save it as JPEG or PNG, without scaling it, and judge that.",
        )
    # Typed as always present, yet None where this FFmpeg has no decoder for the codec.
    if getattr(stream, "codec_context", None) is None:
        raise MediaError(
            f"The video stream of {path} is in a codec that cannot be decoded here.",
            code="media_format",
            hint="Convert it to H.264.",
        )
    return stream


def _is_signed(head: bytes) -> bool:
    return any(head[at : at + len(mark)] == mark for at, mark in _SIGNATURES)


def _refusal(path: Path) -> MediaError:
    """Why a regular file did not open, told from its first bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as failure:
        return MediaError(f"Cannot read {path}: {failure.strerror}.", code="media_unreadable")
    if _is_signed(head):
        return MediaError(
            f"{path} is damaged: nothing in it can be read.",
            code="media_damaged",
            hint="It may be cut off; copy it again from its source.",
        )
    return MediaError(
        f"{path} is not a video file of a known kind.",
        code="media_format",
        hint="Give a video, or a still as JPEG, PNG, WebP or BMP; playlists are not followed.",
    )
