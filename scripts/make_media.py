"""Make videos for tests and demos from public-domain pictures that scikit-image ships.

The only person in them is NASA's portrait of the astronaut Eileen Collins (public domain), moved,
turned and lit differently by each seed. As a program it writes one video:

    python scripts/make_media.py portrait out.mp4 --seconds 10 --size 1280x720 --seed 3
"""

from __future__ import annotations

import argparse
import importlib.util
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

Image = NDArray[np.uint8]

FACE_CENTRE_XY = (224.0, 118.0)
"""Middle of the face in the 512 x 512 portrait."""
FACE_SIDE_PX = 130.0
"""Longer side of the face in the portrait, brow to chin and ear to ear."""

# name: (reformatter's matrix, H.273 code of matrix, of transfer curve, of primaries)
MATRICES = {
    "bt601": (Colorspace.ITU601, 6, 6, 6),
    "bt709": (Colorspace.ITU709, 1, 1, 1),
    "bt2020": (Colorspace.BT2020, 9, 14, 9),
    "bt2020_pq": (Colorspace.BT2020, 9, 16, 9),
    "bt2020_hlg": (Colorspace.BT2020, 9, 18, 9),
}


def write_video(
    path: Path,
    frames: Iterable[Image | av.VideoFrame],
    *,
    fps: float = 25,
    times_seconds: Sequence[float] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    rotation_deg: int = 0,
    mirrored: bool = False,
    matrix: str | None = None,
    full_range: bool = False,
) -> Path:
    """Encode frames; the container is chosen by the suffix.

    Args:
        path: where to; an existing file is replaced.
        frames: RGB ``(H, W, 3)`` uint8 as a viewer shall see them, or PyAV frames that are stored
            as they are.
        fps: pictures a second, where ``times_seconds`` is not given.
        times_seconds: presentation time of every frame, for variable frame rates.
        codec: an FFmpeg encoder.
        pix_fmt: what is stored, e.g. ``"yuv420p10le"``.
        options: the encoder's options.
        rotation_deg: pictures are stored turned, and a display matrix tells players to turn them
            back by this many degrees counter-clockwise (-90, 90, 180).
        mirrored: the same with a left-right flip.
        matrix: colour tags, a name in `MATRICES`; None leaves the file untagged (BT.601 is written
            below 720 lines, BT.709 from there on, as players assume).
        full_range: store full instead of limited range, and tag it.

    Returns:
        ``path``.
    """
    reformatter = VideoReformatter()
    with av.open(str(path), "w") as container:
        stream: VideoStream | None = None
        for index, frame in enumerate(frames):
            if isinstance(frame, np.ndarray):
                frame = _stored(frame, rotation_deg, mirrored)
                name = matrix or ("bt601" if frame.shape[0] < 720 else "bt709")
                picture = _to_format(reformatter, frame, pix_fmt, MATRICES[name][0], full_range)
            else:
                picture = frame
            if stream is None:
                stream = video_stream(container, codec, Fraction(fps).limit_denominator(1001))
                stream.width, stream.height = picture.width, picture.height
                stream.pix_fmt = picture.format.name
                context = stream.codec_context
                context.options = {"threads": "1", **(options or {})}
                context.time_base = _tick(codec, fps)
                if matrix:
                    _, context.colorspace, context.color_trc, context.color_primaries = MATRICES[
                        matrix
                    ]
                if matrix or full_range:
                    context.color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
                if rotation_deg or mirrored:
                    stream.set_display_matrix(display_matrix(rotation_deg, mirrored))
            seconds = times_seconds[index] if times_seconds is not None else index / fps
            picture.time_base = _tick(codec, fps)
            picture.pts = round(seconds / picture.time_base)
            container.mux(stream.encode(picture))
        if stream is None:
            raise ValueError("a video needs at least one frame")
        container.mux(stream.encode(None))
    return path


def video_stream(container: OutputContainer, codec: str, rate: Fraction) -> VideoStream:
    """A new stream of ``container``, at ``rate`` pictures a second.

    Raises:
        TypeError: the encoder ``codec`` makes no pictures.
    """
    stream = container.add_stream(codec, rate=rate)
    if not isinstance(stream, VideoStream):
        raise TypeError(f"{codec} does not encode video")
    return stream


def display_matrix(rotation_deg: int, mirrored: bool) -> list[int]:
    """The container's 3 x 3 matrix, ``[a b u; c d v; x y w]`` in fixed point.

    It tells players to flip left-right (if ``mirrored``) and then to turn counter-clockwise.
    """
    a, b, c, d = {0: (1, 0, 0, 1), 90: (0, -1, 1, 0), -90: (0, 1, -1, 0), 180: (-1, 0, 0, -1)}[
        rotation_deg
    ]
    if mirrored:
        a, b = -a, -b
    return [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]


def write_audio(path: Path, seconds: float = 1.0, codec: str = "aac") -> Path:
    """Write a file that holds a tone and no picture."""
    rate = 16_000
    wave = np.sin(np.arange(int(rate * seconds)) * (2 * np.pi * 440 / rate)) * 8000
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        if not isinstance(stream, AudioStream):
            raise TypeError(f"{codec} does not encode audio")
        sound = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
        sound.sample_rate = rate
        sound.pts = 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return path


def write_gif_with_alpha(path: Path, count: int = 4, side_px: int = 48) -> Path:
    """Write an animated GIF: a red square with a transparent middle that grows."""
    palette = np.zeros((256, 4), np.uint8)
    palette[1] = (255, 255, 0, 0)  # ARGB red; entry 0 is transparent
    frames = []
    for index in range(count):
        indices = np.ones((side_px, side_px), np.uint8)
        inset = side_px // 2 - 4 - 2 * index
        indices[inset:-inset, inset:-inset] = 0
        # PyAV takes the pair, its stub does not know.
        frame = av.VideoFrame.from_ndarray((indices, palette), format="pal8")  # type: ignore[arg-type]
        frames.append(frame)
    return write_video(path, frames, fps=10, codec="gif")


def write_tiled_photo(path: Path, image: Image) -> Path:
    """Write a HEIC as phones do: two H.265 tiles side by side, and a grid that makes them one.

    Args:
        path: the file; beside it a tile lies for a moment.
        image: ``(H, 2 * W, 3)``.
    """

    def box(kind: bytes, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return struct.pack(">I", 8 + len(body)) + kind + body

    def full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
        return box(kind, struct.pack(">I", flags), *parts)

    width_px = image.shape[1] // 2
    tiles, settings, quiet = [], b"", {"x265-params": "log-level=none:bframes=0"}
    for tile in (image[:, :width_px], image[:, width_px:]):
        file = write_video(path.with_suffix(".mp4"), [tile], codec="libx265", options=quiet)
        with av.open(str(file)) as video:
            settings = video.streams.video[0].codec_context.extradata or b""
            tiles.append(bytes(next(video.demux(video=0))))
        file.unlink()
    grid = struct.pack(">BBBBHH", 0, 0, 0, 1, 2 * width_px, len(image))
    items = [*tiles, grid]
    entries = [
        full(b"infe", struct.pack(">HH4sx", number, 0, kind), flags=2 << 24)
        for number, kind in enumerate((b"hvc1", b"hvc1", b"grid"), start=1)
    ]
    sizes = [
        full(b"ispe", struct.pack(">II", wide, len(image))) for wide in (width_px, 2 * width_px)
    ]
    # of each item: which properties it has, from 1 in the order of ipco (its codec must be known)
    held = b"".join(
        struct.pack(">HB", number, len(which)) + bytes(which)
        for number, which in ((1, [0x81, 2]), (2, [0x81, 2]), (3, [3]))
    )
    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")

    def meta(start: int) -> bytes:
        places, at = [], start
        for number, item in enumerate(items, start=1):
            places.append(struct.pack(">HHHII", number, 0, 1, at, len(item)))
            at += len(item)
        return full(
            b"meta",
            full(b"hdlr", bytes(4), b"pict", bytes(13)),
            full(b"pitm", struct.pack(">H", 3)),
            full(b"iloc", struct.pack(">BBH", 0x44, 0, len(items)), *places),
            full(b"iinf", struct.pack(">H", len(items)), *entries),
            full(b"iref", box(b"dimg", struct.pack(">HHHH", 3, 2, 1, 2))),
            box(
                b"iprp",
                box(b"ipco", box(b"hvcC", settings), *sizes),
                full(b"ipma", struct.pack(">I", len(items)), held),
            ),
        )

    body = meta(len(head) + len(meta(0)) + 8)
    path.write_bytes(head + body + box(b"mdat", *items))
    return path


def write_truncated(source: Path, path: Path, share: float) -> Path:
    """Write the first ``share`` (0-1) of a file's bytes."""
    content = source.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def portrait_frames(
    count: int,
    width_px: int = 640,
    height_px: int = 360,
    *,
    seed: int = 0,
    face_px: float | None = None,
    fps: float = 25,
    retouch: Callable[[Image, int], Image] | None = None,
) -> Iterator[Image]:
    """Yield the portrait with a smoothly moving, turning, growing and flickering head.

    Args:
        count: how many frames.
        width_px: of the picture.
        height_px: of the picture.
        seed: chooses the path, the pace, the light and whether the portrait is mirrored.
        face_px: mean longer side of the face; None = two fifths of the picture's shorter side.
        fps: pace of the motion.
        retouch: called with the still 512 x 512 portrait and the frame's number before the head is
            moved; gives the portrait that is shown, e.g. a manipulated one.
    """
    rng = np.random.default_rng(seed)
    side = face_px or 0.4 * min(width_px, height_px)
    phase = rng.uniform(0, 2 * np.pi, 6)
    hertz = rng.uniform(0.1, 0.5, 6)
    reach = rng.uniform(0.4, 1.0, 6) * [0.25, 0.2, 0.12, 9.0, 0.12, 6.0]
    gain, tint = rng.uniform(0.8, 1.15), rng.uniform(-8, 8, 3)
    mirrored = rng.random() < 0.5
    centre_x = 511 - FACE_CENTRE_XY[0] if mirrored else FACE_CENTRE_XY[0]
    for index in range(count):
        x, y, zoom, turn, light, lift = reach * np.sin(2 * np.pi * hertz * index / fps + phase)
        move = cv2.getRotationMatrix2D(
            (centre_x, FACE_CENTRE_XY[1]), turn, side / FACE_SIDE_PX * (1 + zoom)
        )
        move[:, 2] += [
            width_px / 2 + side * x - centre_x,
            height_px * 0.45 + side * y - FACE_CENTRE_XY[1],
        ]
        portrait = retouch(_portrait(), index) if retouch else _portrait()
        image = cv2.warpAffine(
            portrait[:, ::-1] if mirrored else portrait,
            move,
            (width_px, height_px),
            flags=cv2.INTER_AREA,
            borderMode=cv2.BORDER_REPLICATE,
        )
        yield _lit(np.asarray(image, np.uint8), gain * (1 + light), lift + tint)


def two_people_frames(
    count: int, width_px: int = 640, height_px: int = 360, *, seed: int = 0
) -> Iterator[Image]:
    """Yield two portraits side by side; the right one is another seed's, mirrored in its half."""
    half = width_px // 2
    left = portrait_frames(count, half, height_px, seed=seed, face_px=0.35 * half)
    right = portrait_frames(count, width_px - half, height_px, seed=seed + 1, face_px=0.3 * half)
    for one, other in zip(left, right, strict=True):
        yield np.hstack([one, other[:, ::-1]])


def tiny_face_frames(
    count: int, width_px: int = 640, height_px: int = 360, *, seed: int = 0, face_px: float = 14
) -> Iterator[Image]:
    """Yield a portrait so far away that its face is ``face_px`` wide, on a plain wall."""
    side = int(face_px * 3)
    x, y = width_px // 2 - side // 2, height_px // 3
    for scene, person in zip(
        gradient_frames(count, width_px, height_px, seed=seed),
        portrait_frames(count, side, side, seed=seed, face_px=face_px),
        strict=True,
    ):
        scene[y : y + side, x : x + side] = person
        yield scene


def gradient_frames(
    count: int, width_px: int = 640, height_px: int = 360, *, seed: int = 0, step_px: float = 4
) -> Iterator[Image]:
    """Yield slowly moving colour gradients: a scene without a face."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(0.5, 1.5, (3, 2)) * 2 * np.pi / max(width_px, height_px)
    phase = rng.uniform(0, 2 * np.pi, 3)
    y, x = np.mgrid[:height_px, :width_px].astype(np.float32)
    for index in range(count):
        planes = [
            128 + 80 * np.sin(waves[c, 0] * (x + step_px * index) + waves[c, 1] * y + phase[c])
            for c in range(3)
        ]
        yield np.stack(planes, axis=-1).astype(np.uint8)


def numbered_frames(count: int, width_px: int = 160, height_px: int = 96) -> Iterator[Image]:
    """Yield frames that carry their number as 8 black or white bars; `read_number` reads it."""
    for index in range(count):
        bits = [(index >> bit) & 1 for bit in range(12)]
        image = np.full((height_px, width_px, 3), 128, np.uint8)
        for at, part in enumerate(np.array_split(np.arange(width_px), 12)):
            image[: height_px // 2, part] = 235 * bits[at] + 10
        yield image


def read_number(image: Image) -> int:
    """The number of a (decoded) frame of `numbered_frames`."""
    row = image[image.shape[0] // 4].mean(axis=-1)
    parts = np.array_split(row, 12)
    return sum((float(part.mean()) > 128) << bit for bit, part in enumerate(parts))


@cache
def _portrait() -> Image:
    """Read as a file: importing scikit-image is slow, and needs more than its pictures do."""
    spec = importlib.util.find_spec("skimage")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise SystemExit("The portrait comes with scikit-image: pip install --no-deps scikit-image")
    image = cv2.imread(str(Path(folders[0]) / "data" / "astronaut.png"), cv2.IMREAD_COLOR_RGB)
    return np.asarray(image, np.uint8)


def _lit(image: Image, gain: float, lift: NDArray[np.float64]) -> Image:
    table = np.clip(np.arange(256)[:, None] * gain + lift, 0, 255).astype(np.uint8)  # (256, 3)
    return np.asarray(cv2.LUT(image, table[None]), np.uint8)


def _stored(image: Image, rotation_deg: int, mirrored: bool) -> Image:
    """The picture that a player's turn (after its flip) brings back to ``image``."""
    image = np.rot90(image, -(rotation_deg // 90))
    return np.ascontiguousarray(image[:, ::-1] if mirrored else image)


def _tick(codec: str, fps: float) -> Fraction:
    """The clock of an encoder: fine, where it is free to choose."""
    if codec == "gif":
        return Fraction(1, 100)
    return 1 / Fraction(fps).limit_denominator(1001) if "mpeg" in codec else Fraction(1, 90_000)


def _to_format(
    reformatter: VideoReformatter, image: Image, pix_fmt: str, matrix: Colorspace, full: bool
) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    if pix_fmt == "rgb24":
        return frame
    stored = reformatter.reformat(
        frame,
        format=pix_fmt,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        threads=1,
    )
    stored.pict_type = 0
    return stored


SCENES: dict[str, Callable[..., Iterator[Image]]] = {
    "portrait": portrait_frames,
    "two_people": two_people_frames,
    "tiny_face": tiny_face_frames,
    "gradient": gradient_frames,
}


def main() -> None:
    """Write one video of a scene."""
    parser = argparse.ArgumentParser(description="Make a small video without private material.")
    parser.add_argument("scene", choices=sorted(SCENES))
    parser.add_argument("path", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--size", default="640x360", help="WIDTHxHEIGHT")
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    width_px, height_px = (int(side) for side in words.size.split("x"))
    count = round(words.seconds * words.fps)
    frames = SCENES[words.scene](count, width_px, height_px, seed=words.seed)
    print(write_video(words.path, frames, fps=words.fps))


if __name__ == "__main__":
    main()
