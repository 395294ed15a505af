"""Where a video's chroma lies, found by trial: PyAV does not tell, but libswscale acts on it."""

from __future__ import annotations

import numpy as np
import torch
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from unmask.device.colour import Siting, rgb_of_planes
from unmask.media.picture import RgbConverter, colour_of

SITINGS = tuple(
    Siting(left, down) for down in ("middle", "top", "bottom") for left in (False, True)
)

_SIDE_PX, _BITS = 16, 10
_GREY, _TINTED = 512, 712


def siting_of(frame: VideoFrame) -> Siting:
    """The siting by which `RgbConverter` converts pictures tagged as this one, of 10 or 12 bits.

    A small picture with the same tags and two steps of colour is converted on the CPU, and compared
    with what each siting makes of it.

    Args:
        frame: on a GPU or off it.

    Raises:
        av.FFmpegError: the picture cannot be copied.
    """
    small = frame.reformat(width=_SIDE_PX, height=_SIDE_PX, format="yuv420p10le", threads=1)
    matrix, full = colour_of(small)
    half = _SIDE_PX // 2
    luma = np.full((_SIDE_PX, _SIDE_PX), _GREY, np.uint16)
    blue = np.full((half, half), _GREY, np.uint16)
    blue[half // 2 :, half // 2 :] = _TINTED
    red = np.full((half, half), _GREY, np.uint16)
    red[:3, :5] = _TINTED
    for plane, values in zip(small.planes, (luma, blue, red), strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        rows[:, : values.shape[1]] = values
        plane.update(rows.tobytes())
    seen = RgbConverter().colours(small).astype(int)

    def error(siting: Siting) -> int:
        rgb = rgb_of_planes(
            _upper(luma),
            _upper(np.stack([blue, red], axis=-1)),
            matrix=matrix.name,
            full=full,
            bits=_BITS,
            siting=siting,
        )
        return int(np.abs(rgb.numpy().astype(int) - seen).sum())

    return min(SITINGS, key=error)


def _upper(values: NDArray[np.uint16]) -> torch.Tensor:
    return torch.from_numpy((values << (16 - _BITS)).view(np.int16))
