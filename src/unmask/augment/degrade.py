"""What happens to every picture on its way: colour, blur, noise, rescaling, JPEG, H.264.

One `Degradation` is drawn for an authentic image and its pseudo-fake together and applied to both,
so that no format difference can tell the classes apart (codec hygiene). NumPy, OpenCV and PyAV
only: it runs in data workers, before anything reaches the training device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import partial

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from unmask.augment import tone
from unmask.augment.opencv import cv2
from unmask.types import FloatArray, UInt8Array


@dataclass(frozen=True)
class DegradeConfig:
    """Probabilities (0-1) and ranges."""

    colour: float = 0.6
    hue_saturation: float = 0.35
    grayscale: float = 0.05
    blur: float = 0.12
    motion_blur: float = 0.04
    sharpen: float = 0.1
    noise: float = 0.15
    noise_sigma: tuple[float, float] = (1.0, 7.0)
    rescale: float = 0.5
    scale: tuple[float, float] = (0.45, 1.0)
    """The picture is coded at this share of its size; below 1 fine detail is lost for good."""
    enlarge: float = 0.08
    """Probability of coding at 1-1.4 times the size instead: weaker traces."""
    jpeg: float = 0.35
    jpeg_quality: tuple[int, int] = (40, 97)
    double_jpeg: float = 0.25
    """Share of the JPEG cases that are coded twice, the grid moved in between."""
    h264: float = 0.4
    """Taken where JPEG is not; the rest (1 - jpeg - h264) is not coded here at all."""
    h264_crf: tuple[int, int] = (17, 33)
    h264_frames: int = 3
    """At most this many pictures in the group that a still is coded at the end of."""
    final_jpeg: float = 0.1
    """Probability of one more JPEG at full size (quality 60-98)."""
    low_light: float = 0.0
    light: tuple[float, float] = (0.35, 0.85)
    """What is left of the light; noise comes after it, as in a camera."""

    @classmethod
    def off(cls) -> DegradeConfig:
        """Nothing at all (for validation on clean pairs, and for tests)."""
        zero = {f.name: 0.0 for f in fields(cls) if f.type == "float"}
        return cls(**zero)  # type: ignore[arg-type]

    @classmethod
    def harsh(cls) -> DegradeConfig:
        """The worst that still shows a face: a dark room's grain, small and coarsely coded."""
        return cls(
            low_light=0.35, noise=0.5, noise_sigma=(4.0, 16.0), blur=0.2, rescale=0.6,
            scale=(0.22, 0.6), jpeg_quality=(15, 50), h264_crf=(28, 41),
        )  # fmt: skip


_COLOUR_GRAIN = 0.4
GRAIN_GAIN = math.hypot(1, _COLOUR_GRAIN)
"""Times ``noise_sigma``, what the noise of a channel comes to."""

# Only where they can happen, so that the draws of everything else stay what they were.
_DRAWN_LAST = ("low_light", "light")


class Degradation:
    """One draw, applied alike to any number of equally sized clips.

    Args:
        config: probabilities and ranges.
        rng: all draws are made here, at once; applying draws nothing.
        size_px: side of the pictures.
    """

    def __init__(self, config: DegradeConfig, rng: np.random.Generator, size_px: int) -> None:
        self.size_px = size_px
        self._noise_seed = int(rng.integers(2**31))
        p = {f.name: rng.random() for f in fields(config) if f.name not in _DRAWN_LAST}
        self.table = tone.draw_table(rng, 20, 0.15, 0.25) if p["colour"] < config.colour else None
        hsv = p["hue_saturation"] < config.hue_saturation
        self.hsv = tone.draw_hsv_table(rng, 5, 0.5, 0.15) if hsv else None
        self.gray = p["grayscale"] < config.grayscale
        self.blur = rng.uniform(0.4, 1.4) if p["blur"] < config.blur else 0.0
        self.motion = _motion(rng, size_px) if p["motion_blur"] < config.motion_blur else None
        self.sharpen = rng.uniform(0.2, 0.8) if p["sharpen"] < config.sharpen else 0.0
        self.noise = rng.uniform(*config.noise_sigma) if p["noise"] < config.noise else 0.0
        scale = 1.0
        if p["rescale"] < config.rescale:
            scale = rng.uniform(*config.scale)
        elif p["enlarge"] < config.enlarge:
            scale = rng.uniform(1.0, 1.4)
        self.coded_px = max(24, round(size_px * scale))
        ways = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
        self.down, self.up = ways[rng.integers(3)], ways[1 + rng.integers(2)]
        self.jpeg: tuple[int, ...] = ()
        self.crf = -1
        if p["jpeg"] < config.jpeg:
            low, high = config.jpeg_quality
            count = 2 if p["double_jpeg"] < config.double_jpeg else 1
            self.jpeg = tuple(int(q) for q in rng.integers(low, high + 1, count))
        elif p["jpeg"] < config.jpeg + config.h264:
            self.crf = int(rng.integers(config.h264_crf[0], config.h264_crf[1] + 1))
        self.chroma = (0x111111, 0x221111)[int(rng.random() < 0.7)]
        self.drift = rng.uniform(-1.5, 1.5, (max(1, int(rng.integers(config.h264_frames + 1))), 2))
        self.swap_sides = bool(rng.random() < 0.5)
        final = p["final_jpeg"] < config.final_jpeg
        self.final = int(rng.integers(60, 99)) if final else 0
        dark = config.low_light > 0 and rng.random() < config.low_light
        self.light = rng.uniform(*config.light) if dark else 1.0

    def __call__(self, clips: list[list[UInt8Array]]) -> list[list[UInt8Array]]:
        """The clips, degraded alike.

        Args:
            clips: equally long lists of RGB frames ``(S, S, 3)`` uint8: usually an authentic clip
                and its pseudo-fake, one frame each for stills.
        """
        noise = self._noise(len(clips[0]))
        seen = [[self._before(frame, noise[t]) for t, frame in enumerate(clip)] for clip in clips]
        if self.crf >= 0:
            seen = self._h264(seen)
        return [[self._after(frame) for frame in clip] for clip in seen]

    def _noise(self, frames: int) -> list[UInt8Array | None]:
        """The same noise for every clip, another one for every frame; offset by 128."""
        if not self.noise:
            return [None] * frames
        rng = np.random.default_rng(self._noise_seed)
        side, grain = self.size_px, self.size_px + 32
        # One grain picture, mostly luma, read at a random place for every frame.
        luma = rng.standard_normal((grain, grain), np.float32)
        colour = [luma + np.roll(_COLOUR_GRAIN * luma, 7 + 5 * c, (0, 1)) for c in range(3)]
        grains = cv2.convertScaleAbs(cv2.merge(colour), alpha=self.noise, beta=128)
        corners = rng.integers(0, 33, (frames, 2))
        return [grains[y : y + side, x : x + side] for y, x in corners]

    def _before(self, image: UInt8Array, noise: UInt8Array | None) -> UInt8Array:
        if self.table is not None:
            image = cv2.LUT(image, self.table)
        if self.light < 1:
            image = cv2.convertScaleAbs(image, alpha=self.light)
        if self.hsv is not None:
            image = tone.apply_hsv(image, self.hsv)
        if self.gray:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        if self.blur:
            image = cv2.GaussianBlur(image, (0, 0), self.blur)
        if self.motion is not None:
            image = cv2.filter2D(image, -1, self.motion)
        if self.sharpen:
            image = tone.sharpen(image, self.sharpen, 1.0)
        if noise is not None:
            image = cv2.addWeighted(image, 1, noise, 1, -128)
        if self.coded_px != self.size_px:
            image = _resize(image, self.coded_px, self.down)
        for again, quality in enumerate(self.jpeg):
            if again:  # the second coder's blocks lie elsewhere
                image = np.roll(
                    jpeg(np.roll(image, (3, 5), (0, 1)), quality, self.chroma), (-3, -5), (0, 1)
                )
            else:
                image = jpeg(image, quality, self.chroma)
        return image

    def _after(self, image: UInt8Array) -> UInt8Array:
        if image.shape[0] != self.size_px:
            image = _resize(image, self.size_px, self.up)
        return jpeg(image, self.final, self.chroma) if self.final else image

    def _h264(self, clips: list[list[UInt8Array]]) -> list[list[UInt8Array]]:
        """All clips side by side through one encoder: the very same settings and rate control."""
        order = clips[::-1] if self.swap_sides else clips
        side = self.coded_px
        pad = -side % 16
        wide = [
            np.hstack([cv2.copyMakeBorder(f, 0, pad, 0, pad, cv2.BORDER_REPLICATE) for f in column])
            for column in zip(*order, strict=True)
        ]
        if len(wide) == 1:  # a still: earlier frames of the group are small shifts of it
            moves = self.drift * side / 196
            shape = (wide[0].shape[1], wide[0].shape[0])
            wide = [
                cv2.warpAffine(
                    wide[0],
                    np.array([[1, 0, dx], [0, 1, dy]]),
                    shape,
                    borderMode=cv2.BORDER_REPLICATE,
                )
                for dx, dy in moves[1:]
            ] + wide
        coded = h264(wide, self.crf)[-len(clips[0]) :]
        out = [
            [frame[:side, at * (side + pad) : at * (side + pad) + side] for frame in coded]
            for at in range(len(order))
        ]
        return out[::-1] if self.swap_sides else out


def jpeg(image: UInt8Array, quality: int, chroma: int = 0x221111) -> UInt8Array:
    """An RGB picture through JPEG; ``chroma`` is OpenCV's sampling factor (0x221111 = 4:2:0)."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, chroma]
    # libjpeg is told BGR: the planes' order must be right for its colour conversion.
    data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)[1]
    out: UInt8Array = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    return out


_CPU_AVX_512F = 13  # OpenCV's number of it, which its Python module does not name
# x264's macroblock tree gives other pictures from run to run where it uses AVX-512.
_X264 = "log-level=none" + ":asm=AVX2" * cv2.checkHardwareSupport(_CPU_AVX_512F)


def h264(frames: list[UInt8Array], crf: int, preset: str = "veryfast") -> list[UInt8Array]:
    """RGB frames through libx264 and back, in memory; sides must be even.

    About 2.5 ms for one picture of 400 x 208 and 1.5 ms for each more, on one core.
    """
    height, width = frames[0].shape[:2]
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = width, height
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"crf": str(crf), "preset": preset, "x264-params": _X264}
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = []
    # Left to itself FFmpeg converts with a thread a core: dearer than the pictures are small.
    convert = partial(VideoReformatter().reformat, threads=1)
    for pts, frame in enumerate(frames):
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = convert(rgb, format="yuv420p")
        picture.pts = pts
        packets += encoder.encode(picture)
    packets += encoder.encode(None)
    out = [picture for packet in packets for picture in decoder.decode(packet)]
    out += decoder.decode(None)
    return [np.asarray(convert(one, format="rgb24").to_ndarray(), np.uint8) for one in out]


def _resize(image: UInt8Array, side_px: int, way: int) -> UInt8Array:
    out: UInt8Array = cv2.resize(image, (side_px, side_px), interpolation=way)
    return out


def _motion(rng: np.random.Generator, size_px: int) -> FloatArray:
    """A straight motion blur's kernel, up to 3 % of the side long."""
    length = max(3, round(rng.uniform(0.01, 0.03) * size_px)) | 1
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length // 2)
    middle = np.array([length // 2, length // 2])
    ends = [tuple(int(v) for v in np.round(middle + sign * reach)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA)
    return np.asarray(kernel / kernel.sum(), np.float32)
