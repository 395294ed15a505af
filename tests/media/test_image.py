"""Stills: upright RGB, limited, typed errors."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

import make_media
from unmask.errors import MediaError
from unmask.media import Limits, read_image

EXIF_TURN_RIGHT = (  # APP1 segment with orientation 6: shown turned clockwise by 90 degrees
    b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return next(make_media.portrait_frames(1, 120, 90))


@pytest.mark.parametrize(
    ("suffix", "bound"), [(".png", 0), (".bmp", 0), (".jpg", 12), (".webp", 25)]
)
def test_reads_rgb(tmp_path: Path, picture: np.ndarray, suffix: str, bound: int) -> None:
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), picture[..., ::-1])
    frame = read_image(path)
    assert frame.image.shape == picture.shape
    assert frame.pts_seconds == 0.0
    assert np.percentile(np.abs(frame.image.astype(int) - picture), 95) <= bound


def test_the_oldest_header_of_a_bmp_is_read(tmp_path: Path) -> None:
    """12 bytes with sizes of 16 bits, as OS/2 wrote it; rows from the bottom, padded to 4 bytes."""
    rows = bytes(range(6)) + b"\0\0" + bytes(range(6, 12)) + b"\0\0"
    header = struct.pack("<IHHHH", 12, 2, 2, 1, 24)
    content = b"BM" + struct.pack("<IHHI", 26 + len(rows), 0, 0, 26) + header + rows
    path = tmp_path / "old.bmp"
    path.write_bytes(content)
    assert read_image(path).image.tolist() == [[[8, 7, 6], [11, 10, 9]], [[2, 1, 0], [5, 4, 3]]]


def test_exif_orientation_is_applied(tmp_path: Path, picture: np.ndarray) -> None:
    ok, data = cv2.imencode(".jpg", picture[..., ::-1])
    assert ok
    content = data.tobytes()
    path = tmp_path / "a.jpg"
    path.write_bytes(content[:2] + EXIF_TURN_RIGHT + content[2:])
    image = read_image(path).image
    assert image.shape == (120, 90, 3)
    assert np.abs(image.astype(int) - np.rot90(picture, -1)).mean() < 5


def png_header(width_px: int, height_px: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.jpg", b"", "media_empty"),
        ("text.jpg", b"no picture" * 50, "media_format"),
        ("bomb.png", png_header(40_000, 40_000) + b"\0" * 64, "media_too_large"),
        ("bomb.bmp", b"BM" + bytes(16) + struct.pack("<ii", 40_000, -40_000), "media_too_large"),
        (
            "bomb.webp",
            b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0",
            "media_too_large",
        ),
        (
            "bomb.jpg",
            b"\xff\xd8\xff\xe0\0\x04\0\0\xff\xff\xc2\0\x0b\x08\xff\xdc\xff\xdc\x01\x01\x11\0",
            "media_too_large",
        ),
        (  # a marker without a length, and behind it what a reader of lengths would take for small
            "hidden.jpg",
            b"\xff\xd8\xff\xd0\xff\xc0\0\x0b\x08\xff\xdc\xff\xdc\x01\x01\x11\0"
            + bytes(0xFFC0 - 13)
            + b"\xff\xc0\0\x0b\x08\0\x10\0\x10\x01\x01\x11\0",
            "media_too_large",
        ),
        ("cut.png", b"\x89PNG\r\n\x1a\n", "media_damaged"),
        ("cut.jpg", b"\xff\xd8\xff\xe0\0\x10", "media_damaged"),
        ("cut.webp", b"RIFF\x20\0\0\0WEBP", "media_damaged"),
        ("loop.jpg", b"\xff\xd8\xff\xe0\0\0" * 9, "media_damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_stills_are_refused(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        read_image(path)
    assert caught.value.code == code


def test_limit_and_kind(tmp_path: Path, picture: np.ndarray, portrait_video: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), picture[..., ::-1])
    with pytest.raises(MediaError) as caught:
        read_image(path, Limits(max_pixels=1000))
    assert caught.value.code == "media_too_large"
    with pytest.raises(MediaError) as caught:
        read_image(portrait_video)
    assert caught.value.code == "media_format"
    with pytest.raises(MediaError) as caught:
        read_image(tmp_path)
    assert caught.value.code == "media_not_regular"
