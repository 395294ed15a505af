"""Cut faces out of pictures and shrink pictures on any torch device, as OpenCV does on a CPU.

`align_faces` is the twin of `unmask.faces.align`: the same sampling points (`placement`), bilinear,
mirrored at the picture's edge, averaged where a crop pixel has several points. OpenCV rounds the
place of a point to 1/32 px and once more after sampling, so single levels differ (docs/gpu.md has
the bounds).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from unmask.faces.align import placement
from unmask.types import Face


def align_faces(
    picture: torch.Tensor, faces: Sequence[Face], size_px: int, margin: float
) -> torch.Tensor:
    """Cut faces out of one picture, upright; those that need equally many points go together.

    Args:
        picture: ``(H, W, 3)`` RGB uint8.
        faces: where, in the picture's pixels.
        size_px: side of the crops.
        margin: side of the cut square over the longer side of the face box.

    Returns:
        ``(len(faces), size_px, size_px, 3)`` RGB uint8 on the picture's device.
    """
    if size_px < 1 or margin <= 0:
        raise ValueError(f"need size_px >= 1 and margin > 0, got {size_px}, {margin}")
    crops = torch.empty((len(faces), size_px, size_px, 3), dtype=torch.uint8, device=picture.device)
    groups: dict[int, list[int]] = {}
    matrices = np.empty((len(faces), 2, 3))
    for number, face in enumerate(faces):
        matrices[number], points = placement(face, size_px, margin)
        groups.setdefault(points, []).append(number)
    planes = picture.permute(2, 0, 1)[None].float() if len(faces) else picture  # (1, 3, H, W)
    for points, numbers in groups.items():
        places = _places(matrices[numbers], size_px * points, picture)
        cut = _bilinear(planes, places).round_()  # OpenCV's crop is uint8 before it is averaged
        if points > 1:
            cut = _rounded(F.avg_pool2d(cut, points), points)
        at = torch.tensor(numbers, device=picture.device)
        crops[at] = cut.permute(0, 2, 3, 1).to(torch.uint8)
    return crops


def shrink_area(picture: torch.Tensor, width_px: int, height_px: int) -> torch.Tensor:
    """Every pixel the mean of those that it stands for, parts of pixels by their share.

    It is OpenCV's ``INTER_AREA`` for sizes that are not larger than the picture's.

    Args:
        picture: ``(H, W, 3)`` uint8.
        width_px: wanted.
        height_px: wanted.

    Returns:
        ``(height_px, width_px, 3)`` uint8 on the picture's device.
    """
    height, width = picture.shape[:2]
    if not (0 < width_px <= width and 0 < height_px <= height):
        raise ValueError(f"cannot shrink {width} x {height} to {width_px} x {height_px}")
    if (width, height) == (width_px, height_px):
        return picture
    device = str(picture.device)
    planes = picture.permute(2, 0, 1).float()  # (3, H, W)
    with _whole_float32():
        rows = _shares(height, height_px, device) @ planes  # (3, h, W)
        small = rows @ _shares(width, width_px, device).T  # (3, h, w)
    halved = (width, height) == (2 * width_px, 2 * height_px)
    return _rounded(small, 2 if halved else 0).permute(1, 2, 0).to(torch.uint8)


@contextmanager
def _whole_float32() -> Iterator[None]:
    """Without TF32, whose ten bits move one value in sixteen by a level."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _rounded(means: torch.Tensor, points: int) -> torch.Tensor:
    """To whole levels; of 2 x 2 pixels OpenCV rounds halves up, else to the even level."""
    return (means + 0.5).floor_() if points == 2 else means.round_()


@lru_cache(maxsize=16)  # a dataset's videos have few sizes
def _shares(size: int, fewer: int, device: str) -> torch.Tensor:
    """``(fewer, size)``: which share of an output pixel each input pixel makes up."""
    step = size / fewer
    starts = torch.arange(fewer, dtype=torch.float64)[:, None] * step
    pixels = torch.arange(size, dtype=torch.float64)
    covered = torch.minimum(starts + step, pixels + 1) - torch.maximum(starts, pixels)
    return (covered.clamp_(min=0) / step).float().to(device)


def _places(matrices: np.ndarray, side: int, picture: torch.Tensor) -> torch.Tensor:
    """Where in the picture the points of crops lie, ``(N, side, side, 2)``, for `grid_sample`.

    Its places go from -1 to 1 between the outer edges of the outer pixels.
    """
    height, width = picture.shape[:2]
    size = np.array([[width], [height]])
    matrices = matrices * 2 / size
    matrices[..., 2:] += 1 / size - 1
    theta = torch.from_numpy(matrices).float().to(picture.device)  # (N, 2, 3)
    steps = torch.arange(side, dtype=torch.float32, device=picture.device)
    across, down, corner = (part[:, None, None] for part in theta.unbind(-1))
    return across * steps[None, None, :, None] + down * steps[None, :, None, None] + corner


def _bilinear(planes: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """``(N, 3, side, side)``: all crops of a picture in one go, without a copy of it for each."""
    count, side = places.shape[:2]
    flat = places.reshape(1, count * side, side, 2)
    cut = F.grid_sample(
        planes, flat, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return cut.reshape(3, count, side, side).transpose(0, 1)
