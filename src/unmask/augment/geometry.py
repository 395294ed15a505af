"""Crop, rotation, scale and flip as one affine resampling a clip."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Affine:
    """One placement a clip; every field is ``(B,)`` float32 on the CPU."""

    scale: Tensor
    """Side of the crop over the side of the clip; above 1 shows reflected border."""
    shift_x: Tensor
    """Centre of the crop from the clip's, in half sides."""
    shift_y: Tensor
    rotate_deg: Tensor
    flip: Tensor
    """1 = mirrored left to right, 0 = not."""

    def matrices(self) -> Tensor:
        """``(B, 2, 3)`` maps from output to input, in `grid_sample`'s coordinates (-1 to 1)."""
        angle = self.rotate_deg * (math.pi / 180)
        cos, sin = self.scale * angle.cos(), self.scale * angle.sin()
        mirror = 1 - 2 * self.flip
        top = torch.stack([cos * mirror, -sin, self.shift_x], dim=1)
        bottom = torch.stack([sin * mirror, cos, self.shift_y], dim=1)
        return torch.stack([top, bottom], dim=1)


def warp(clips: Tensor, affine: Affine) -> Tensor:
    """Resample float ``(B, T, 3, H, W)`` clips bilinearly, reflecting at the border.

    All frames of a clip share one grid. A pure mirror image is exact, nothing is interpolated.
    """
    matrices = affine.matrices()
    upright = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    mirrored = torch.tensor([[-1.0, 0, 0], [0, 1, 0]])
    flips = _matching(matrices, mirrored)
    others = ~(flips | _matching(matrices, upright))
    clips = clips.clone()
    if flips.any():
        rows = flips.nonzero().squeeze(1).to(clips.device)
        clips[rows] = clips[rows].flip(-1)
    if others.any():
        rows = others.nonzero().squeeze(1).to(clips.device)
        moved = clips[rows]
        flat = moved.flatten(1, 2)  # (n, T * 3, H, W): frames ride along as channels
        chosen = matrices[others].to(clips.device, clips.dtype)
        grid = F.affine_grid(chosen, list(flat.shape), align_corners=False)
        flat = F.grid_sample(
            flat, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )
        clips[rows] = flat.reshape(moved.shape)
    return clips


def _matching(matrices: Tensor, wanted: Tensor) -> Tensor:
    return (matrices - wanted).abs().amax(dim=(1, 2)) < 1e-6
