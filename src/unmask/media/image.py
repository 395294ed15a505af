"""Read a still picture: upright RGB, with the same limits and errors as videos."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from unmask.errors import MediaError
from unmask.media.container import Limits, check_pixels, check_regular
from unmask.types import Frame, UInt8Array


def read_image(path: str | Path, limits: Limits | None = None) -> Frame:
    """The picture of a JPEG, PNG, WebP or BMP file, EXIF orientation applied, at time 0.

    Transparency is dropped; more than 8 bits are reduced to 8. Of a cut-off file, the part that
    decodes is given where OpenCV gives one.

    Raises:
        MediaError: ``media_not_found``, ``media_not_regular``, ``media_empty``,
            ``media_unreadable``, ``media_format``, ``media_too_large``, ``media_damaged``.
    """
    path = check_regular(Path(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MediaError(
            f"Cannot read {path}: {error.strerror}.", code="media_unreadable"
        ) from error
    # Before anything is allocated for the pixels, which a small file may claim to have many of.
    try:
        size_px = _size_from_header(content)
    except (struct.error, IndexError):
        raise _damaged(path) from None
    if size_px is None:
        raise MediaError(
            f"{path} is not a picture of a known kind.",
            code="media_format",
            hint="Give a JPEG, PNG, WebP or BMP file.",
        )
    check_pixels(*size_px, limits or Limits(), path)
    try:
        bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise _damaged(path) from error
    if bgr is None:
        raise _damaged(path)
    image = cast(UInt8Array, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
    return Frame(image=image, pts_seconds=0.0, index=0)


def _damaged(path: Path) -> MediaError:
    return MediaError(
        f"The picture {path} is damaged.",
        code="media_damaged",
        hint="It may be cut off; copy it again from its source.",
    )


def _size_from_header(content: bytes) -> tuple[int, int] | None:
    """Width and height that the file claims; None where it is of no known kind.

    Raises:
        struct.error, IndexError: the header is cut off.
    """
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return cast(tuple[int, int], struct.unpack_from(">II", content, 16))
    if content.startswith(b"BM"):
        os2 = struct.unpack_from("<I", content, 14) == (12,)  # the oldest header: 16-bit sizes
        width_px, height_px = struct.unpack_from("<HH" if os2 else "<ii", content, 18)
        return abs(width_px), abs(height_px)  # a negative height means rows from the top
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return _webp_size(content)
    if content.startswith(b"\xff\xd8"):
        return _jpeg_size(content)
    return None


def _webp_size(content: bytes) -> tuple[int, int]:
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[at : at + 3], "little") for at in (24, 27))
        return width + 1, height + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", content, 26)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Walk the segments up to the first frame header (SOF0-15 but for DHT, JPG and DAC)."""
    at = 2
    while True:
        if content[at] != 0xFF:
            raise IndexError("a JPEG segment does not start where the last one ends")
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # without a length, as decoders read them
            at += 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height_px, width_px = struct.unpack_from(">HH", content, at + 5)
            return width_px, height_px
        (length,) = struct.unpack_from(">H", content, at + 2)
        at += 2 + length
