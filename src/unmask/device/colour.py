"""NV12 and P010 planes -> RGB on any torch device, to the level as libswscale makes it on a CPU.

`unmask.media.picture.RgbConverter` goes through two paths of libswscale, which differ in how they
spread the chroma over the pixels and in how they round; both are followed here in the same whole
numbers (by Poynton's and H.273's matrices, 16 fractional bits):

- 8 bits: each chroma value stands for its 2 x 2 pixels; every product is rounded down.
- 10 and 12 bits: chroma is interpolated as the picture's siting tag says (`Siting`), down to every
  row and along it to every second pixel; luma and chroma are rounded to 8 bits, and chroma to steps
  of luma.

Transfer curves stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

_EIGHT_BITS_FULL = 255
# Red's and blue's share of luma, by libswscale's name of the matrix (av.video.reformatter).
_INVERSE = {
    "ITU709": (117489, 138438, 13975, 34925),
    "FCC": (104448, 132798, 24759, 53109),
    "ITU601": (104597, 132201, 25675, 53279),
    "SMPTE240M": (117579, 136230, 16907, 35559),
    "BT2020": (110013, 140363, 12277, 42626),
}
"""Of Cr in red, Cb in blue, Cb and Cr in green (taken off), times 65536, for limited range."""

MATRICES = tuple(_INVERSE)


@dataclass(frozen=True)
class Siting:
    """Where a chroma value lies among its 2 x 2 pixels."""

    left: bool = False
    """On the left pixels; else in the middle."""
    down: Literal["top", "middle", "bottom"] = "middle"
    """On the upper pixels, between, on the lower ones."""


# What of the value above (times 4), of a chroma value itself and of the one below goes into the
# upper and into the lower of its two rows.
_ROWS = {
    "top": ((0, 4, 0), (0, 2, 2)),
    "middle": ((1, 3, 0), (0, 3, 1)),
    "bottom": ((2, 2, 0), (0, 4, 0)),
}


@dataclass(frozen=True)
class _Weights:
    """The conversion's factors, times 65536."""

    luma: int
    black: int
    red: int
    blue: int
    green_cb: int
    green_cr: int


def rgb_of_planes(
    luma: torch.Tensor,
    chroma: torch.Tensor,
    *,
    matrix: str,
    full: bool,
    bits: int = 8,
    siting: Siting = Siting(),
) -> torch.Tensor:
    """Convert one picture.

    Args:
        luma: ``(H, W)``; uint8, or for more than 8 bits any 16-bit type with the value in the
            upper bits, as NVDEC stores it.
        chroma: ``(H / 2, W / 2, 2)`` Cb and Cr of the same type.
        matrix: one of `MATRICES`.
        full: full range; else limited.
        bits: 8, 10 or 12.
        siting: of more than 8 bits.

    Returns:
        ``(H, W, 3)`` uint8 on the planes' device.
    """
    height, width = luma.shape
    if height % 2 or width % 2 or chroma.shape != (height // 2, width // 2, 2):
        raise ValueError(f"planes {tuple(luma.shape)} and {tuple(chroma.shape)} do not fit")
    if matrix not in _INVERSE or bits not in (8, 10, 12):
        raise ValueError(f"no conversion of {bits} bits by {matrix}")
    if (luma.element_size() == 1) != (bits == 8):
        raise ValueError(f"planes of {luma.dtype} do not hold {bits} bits")
    weights = _weights(matrix, full)
    if bits == 8:
        return _eight_bits(luma.int(), chroma.int(), weights)
    cb_cr = _interpolated(_values(chroma, bits) << (15 - bits), siting)
    return _more_bits(_values(luma, bits), cb_cr, weights, full, bits)


def _weights(matrix: str, full: bool) -> _Weights:
    factors = _INVERSE[matrix]
    if not full:
        return _Weights(65536 * 255 // 219, 16, *factors)
    return _Weights(65536, 0, *(factor * 224 // 255 for factor in factors))


def _eight_bits(luma: torch.Tensor, chroma: torch.Tensor, w: _Weights) -> torch.Tensor:
    """As the vector code of libswscale: 13-bit factors of values times 8, each product floored."""

    def times(values: torch.Tensor, factor: int) -> torch.Tensor:
        return (values * _short(factor * 8192)) >> 16

    def spread(values: torch.Tensor) -> torch.Tensor:
        return values.repeat_interleave(2, 0).repeat_interleave(2, 1)

    y = times(8 * (luma - w.black), w.luma)
    cb, cr = (8 * (chroma - 128)).unbind(-1)
    green = times(cb, -w.green_cb) + times(cr, -w.green_cr)
    return _joined(y + spread(times(cr, w.red)), y + spread(green), y + spread(times(cb, w.blue)))


def _more_bits(
    luma: torch.Tensor, chroma: torch.Tensor, w: _Weights, full: bool, bits: int
) -> torch.Tensor:
    """As the tables of libswscale: chroma moves the place in a table of luma."""
    extra = bits - 8
    y = (luma + (1 << extra >> 1)) >> extra
    cb, cr = chroma.repeat_interleave(2, 1).unbind(-1)
    # The table begins 384 levels below black; in steps of luma that is 384, or rounded 326.
    start, below = (384, 384) if full else (326, 384 + w.black)

    def moved(values: torch.Tensor, factor: int) -> torch.Tensor:
        inc = int((factor * 65536 + 32768) / w.luma)  # towards zero, as C divides
        return ((values * inc) >> 16) - (inc >> 9)

    def level(place: torch.Tensor) -> torch.Tensor:
        return ((y + start + place) * w.luma - (below << 16) + 32768) >> 16

    green = moved(cb, -w.green_cb) + moved(cr, -w.green_cr)
    return _joined(level(moved(cr, w.red)), level(green), level(moved(cb, w.blue)))


def _interpolated(chroma: torch.Tensor, siting: Siting) -> torch.Tensor:
    """``(H / 2, W / 2, 2)`` of 15 bits -> ``(H, W / 2, 2)`` of 8, in the middle of pixel pairs."""
    if siting.left:
        right = torch.cat([chroma[:, 1:], chroma[:, -1:]], dim=1)
        chroma = (3 * chroma + right) >> 2
    near = (
        torch.cat([chroma[:1], chroma[:-1]]), chroma, torch.cat([chroma[1:], chroma[-1:]])
    )  # fmt: skip
    rows = [
        sum(share * part for share, part in zip(shares, near, strict=True) if share)
        for shares in _ROWS[siting.down]
    ]
    quadruple = torch.stack(rows, dim=1).flatten(0, 1)  # type: ignore[arg-type]
    return ((quadruple + 256) >> 9).clamp_(max=_EIGHT_BITS_FULL)


def _values(plane: torch.Tensor, bits: int) -> torch.Tensor:
    """The samples of a 16-bit plane as int32; torch knows few operations on uint16."""
    return (plane.view(torch.int16).int() & 0xFFFF) >> (16 - bits)


def _short(factor: int) -> int:
    return (factor + 32768) >> 16


def _joined(*channels: torch.Tensor) -> torch.Tensor:
    return torch.stack(channels, dim=-1).clamp_(0, _EIGHT_BITS_FULL).to(torch.uint8)
