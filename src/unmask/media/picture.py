"""From a decoder's picture to upright RGB: colour, orientation, transparency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import cv2
import numpy as np
from av.buffer import Buffer
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from unmask.types import UInt8Array, Warn

# ITU-T H.273 code points (FFmpeg's AVCOL_*), as the decoder reports them.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_BT2020_PRIMARIES = 9
_PQ, _HLG = 16, 18


class RgbConverter:
    """Converts pictures to upright RGB; keep one a stream, it reuses its tables.

    Colour is converted explicitly. The matrix (BT.601, BT.709, BT.2020 ...) and the range (full or
    limited) are the picture's own tags; an untagged picture is taken as BT.601 below 720 lines and
    as BT.709 from there on, limited range, as players do. Transfer curves are left as they are: HDR
    (PQ, HLG) is not tone-mapped. More than 8 bits are reduced to 8. Transparent pictures (GIF,
    VP8/VP9 with alpha) are laid over black. The fast path of libswscale is within 3 levels of the
    exact matrix (bounded by tests); the same function serves training and detection.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._orientation = Orientation()

    def __call__(self, frame: VideoFrame) -> UInt8Array:
        """The picture as RGB, ``(H, W, 3)`` uint8, contiguous, rotation and mirroring applied.

        Raises:
            av.FFmpegError: the picture cannot be converted.
        """
        return _upright(self.colours(frame), *self._orientation(frame))

    def colours(self, frame: VideoFrame) -> UInt8Array:
        """The picture as RGB, ``(H, W, 3)`` uint8, as it is stored: neither turned nor mirrored.

        Raises:
            av.FFmpegError: the picture cannot be converted.
        """
        matrix, full = colour_of(frame)
        alpha = has_alpha(frame)
        rgb = self._reformatter.reformat(
            frame,
            format="rgba" if alpha else "rgb24",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.BILINEAR,
            threads=1,
        )
        image = cast(UInt8Array, rgb.to_ndarray())
        return _over_black(image) if alpha else image


class Orientation:
    """`orientation_of` of the pictures of one stream.

    Looking at a picture's side data ties it into a reference cycle, which keeps its memory until
    the garbage collector runs: it looks again only when the angle changes.
    """

    def __init__(self) -> None:
        self._turned: tuple[int, tuple[bool, bool, bool]] | None = None

    def __call__(self, frame: VideoFrame) -> tuple[bool, bool, bool]:
        """Transpose it?, then mirror left-right?, then top-bottom?"""
        if self._turned is None or self._turned[0] != frame.rotation:
            self._turned = frame.rotation, orientation_of(frame)
        return self._turned[1]


def colour_of(frame: VideoFrame) -> tuple[Colorspace, bool]:
    """The YUV matrix of a picture and whether its range is full."""
    fallback = Colorspace.ITU601 if frame.height < 720 else Colorspace.ITU709
    matrix = _MATRICES.get(frame.colorspace, fallback)
    if frame.color_range == ColorRange.UNSPECIFIED:
        layout = frame.sw_format or frame.format  # of a picture on a GPU, of any other
        name = layout.name
        return matrix, layout.is_rgb or name.startswith(("yuvj", "gray", "pal8", "mono"))
    return matrix, frame.color_range == ColorRange.JPEG


def has_alpha(frame: VideoFrame) -> bool:
    """Whether the picture has a transparency plane."""
    return any(component.is_alpha for component in frame.format.components)


def orientation_of(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """How to set the picture upright: transpose it?, then mirror left-right?, then top-bottom?

    Read from the 3 x 3 display matrix ``[a b u; c d v; x y w]`` (x' = a x + c y, y' = b x + d y);
    an angle that is no multiple of 90 degrees is rounded to one.
    """
    side_data = cast(Mapping[str, Buffer], frame.side_data)
    try:
        data = side_data[Type.DISPLAYMATRIX.name]
    except KeyError:
        return False, False, False
    (a, b, _), (c, d, _) = np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0


def rotation_and_mirror(transpose: bool, flip_x: bool, flip_y: bool) -> tuple[int, bool]:
    """The same as counter-clockwise degrees (-90, 0, 90, 180) after an optional left-right flip."""
    mirrored = transpose ^ flip_x ^ flip_y
    if transpose:
        return (-90 if flip_x else 90), mirrored
    return (180 if flip_y else 0), mirrored


def warnings_of(frame: VideoFrame) -> tuple[Warn, ...]:
    """What is lost or uncertain when this picture is made RGB."""
    found = []
    components = frame.format.components
    bits = max((component.bits for component in components), default=8)
    if bits > 8:
        found.append(Warn("high_bit_depth", f"The video has {bits} bits a colour; 8 were kept."))
    if frame.color_trc in (_PQ, _HLG):
        found.append(
            Warn("hdr_tone_not_mapped", "The video is HDR; its tones were not mapped to SDR.")
        )
    elif frame.color_primaries == _BT2020_PRIMARIES:
        found.append(
            Warn("wide_gamut_not_mapped", "The video has BT.2020 primaries; they were not mapped.")
        )
    if _shows_through(frame):
        found.append(Warn("alpha_over_black", "Transparent parts were laid over black."))
    if frame.interlaced_frame:
        found.append(Warn("interlaced", "The video is interlaced; fields were not separated."))
    return tuple(found)


def _shows_through(frame: VideoFrame) -> bool:
    """Whether a part of the picture is transparent; every GIF could be, few are."""
    return has_alpha(frame) and bool((frame.to_ndarray(format="rgba")[..., 3] < 255).any())


def _over_black(rgba: UInt8Array) -> UInt8Array:
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)


def _upright(image: UInt8Array, transpose: bool, flip_x: bool, flip_y: bool) -> UInt8Array:
    if transpose:
        image = cast(UInt8Array, cv2.transpose(image))
    if flip_x or flip_y:
        code = -1 if flip_x and flip_y else int(flip_x)  # cv2: 1 left-right, 0 top-bottom
        image = cast(UInt8Array, cv2.flip(image, code))
    return np.ascontiguousarray(image)
