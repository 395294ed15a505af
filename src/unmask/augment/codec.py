"""What happens to a face on its way through cameras and platforms: blur, rescaling, noise, JPEG."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# Quantisation tables of ITU-T T.81, Annex K, which every libjpeg scales by quality.
_LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def blur(clips: Tensor, sigma_px: Tensor) -> Tensor:
    """Gaussian blur of float ``(B, T, 3, H, W)`` clips, ``sigma_px (B,)`` a clip."""
    radius = max(1, math.ceil(3 * float(sigma_px.max())))
    radius = min(radius, min(clips.shape[-2:]) - 1)  # what reflection can fill
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernels = torch.exp(-0.5 * (offsets / sigma_px[:, None].clamp(min=1e-3)) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).to(clips.device, clips.dtype)
    planes = clips.flatten(1, 2).transpose(0, 1)  # (T * 3, B, H, W): one kernel a channel
    planes = F.pad(planes, (radius,) * 4, mode="reflect")
    planes = F.conv2d(planes, kernels[:, None, None, :], groups=len(clips))
    planes = F.conv2d(planes, kernels[:, None, :, None], groups=len(clips))
    return planes.transpose(0, 1).reshape(clips.shape)


def rescale(clips: Tensor, factor: Tensor) -> Tensor:
    """Shrink ``(B, T, 3, H, W)`` clips by ``factor (B,)`` in 0-1 and enlarge them again."""
    size = clips.shape[-2:]
    rescaled = torch.empty_like(clips)
    for row, value in enumerate(factor.tolist()):
        small = [max(1, round(side * value)) for side in size]
        frames = F.interpolate(clips[row], small, mode="bilinear", antialias=True)
        rescaled[row] = F.interpolate(frames, size, mode="bilinear")
    return rescaled


def add_noise(clips: Tensor, sigma: Tensor, seeds: Tensor) -> Tensor:
    """Add gaussian noise of ``sigma (B,)`` (units of 0-255), fresh in every frame and channel.

    ``seeds (B,)`` int64: clips of one seed get the same noise. On a GPU the strength is that of
    the CPU, the grains are not.
    """
    noise = torch.empty_like(clips)
    for row, seed in enumerate(seeds.tolist()):
        generator = torch.Generator(clips.device).manual_seed(seed)
        noise[row].normal_(generator=generator)
    return clips + noise * sigma.to(clips.device, clips.dtype)[:, None, None, None, None]


def jpeg(clips: Tensor, quality: Tensor) -> Tensor:
    """What JPEG leaves of float ``(B, T, 3, H, W)`` clips in 0-255; ``quality (B,)`` in 1-100.

    Baseline JPEG without its lossless entropy coding: JFIF colours, 4:2:0 chroma, 8 x 8 cosine
    transforms, libjpeg's tables and triangular chroma upsampling. Returns whole numbers in 0-255.
    """
    batch, length, _, height, width = clips.shape
    frames = clips.round().clamp(0, 255).reshape(batch * length, 3, height, width)
    frames = F.pad(frames, (0, -width % 16, 0, -height % 16), mode="replicate")
    ycc = _mix(frames, _TO_YCC).round()  # chroma about 0: the level shift is already off
    luma = ycc[:, :1] - 128
    chroma = F.avg_pool2d(ycc[:, 1:], 2).round()
    luma = _through_blocks(luma, _table(_LUMA_TABLE, quality).repeat_interleave(length, 0)) + 128
    chroma = _through_blocks(chroma, _table(_CHROMA_TABLE, quality).repeat_interleave(length, 0))
    luma, chroma = luma.round().clamp(0, 255), chroma.round().clamp(-128, 127)
    chroma = F.interpolate(chroma, scale_factor=2, mode="bilinear")
    frames = _mix(torch.cat([luma, chroma], dim=1), _TO_RGB)[..., :height, :width]
    return frames.round().clamp(0, 255).reshape(clips.shape)


def _mix(frames: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    weights = torch.tensor(matrix, device=frames.device, dtype=frames.dtype)
    return (weights @ frames.flatten(2)).reshape(frames.shape)


def _table(base: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """``(B, 64)`` divisors at ``quality (B,)``, by libjpeg's rule."""
    quality = quality.double().round().clamp(1, 100)
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    table = torch.tensor(base, dtype=torch.float64).flatten()
    return ((table * percent[:, None] + 50) / 100).floor().clamp(1, 255).float()


def _through_blocks(planes: Tensor, table: Tensor) -> Tensor:
    """Transform, quantise and restore ``(N, C, H, W)`` planes; ``table (N, 64)``."""
    count, channels, height, width = planes.shape
    split = (count, channels, height // 8, 8, width // 8, 8)
    blocks = planes.reshape(split).transpose(3, 4).reshape(count, -1, 64)
    transform = _cosine_transform().to(planes.device, planes.dtype)
    divisors = table.to(planes.device, planes.dtype)[:, None]
    blocks = (blocks @ transform.T / divisors).round() * divisors @ transform
    grid = (count, channels, height // 8, width // 8, 8, 8)
    return blocks.reshape(grid).transpose(3, 4).reshape(planes.shape)


def _cosine_transform() -> Tensor:
    """``(64, 64)``: the orthonormal two-dimensional DCT-II of a flattened 8 x 8 block."""
    place = torch.arange(8, dtype=torch.float64)
    rows = torch.cos(math.pi / 8 * (place + 0.5) * place[:, None]) / 2
    rows[0] /= math.sqrt(2)
    return torch.kron(rows, rows).float()
