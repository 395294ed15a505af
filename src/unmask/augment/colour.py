"""Brightness, contrast, saturation, hue and grayscale as one 3 x 4 matrix a clip."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)  # BT.601, as JPEG weighs them
_MIDDLE = 127.5


@dataclass(frozen=True)
class Colour:
    """One look a clip; every field is ``(B,)`` float32 on the CPU, neutral values in brackets.

    NaN in all four: the clip keeps its colours.
    """

    brightness: Tensor
    """Added, in the units of 0-255 (0)."""
    contrast: Tensor
    """Gain about mid grey (1)."""
    saturation: Tensor
    """Gain of the distance from grey (1); 0 makes the clip gray."""
    hue_deg: Tensor
    """Turn about the gray axis (0)."""

    def __getitem__(self, rows: Tensor) -> Colour:
        """The looks of some clips."""
        return Colour(*(getattr(self, field.name)[rows] for field in fields(self)))

    def only(self, jittered: Tensor, gray: Tensor) -> Colour:
        """These looks where bool ``jittered (B,)``, gray ones where ``gray (B,)``, else none."""
        neutral = {"brightness": 0.0, "contrast": 1.0, "saturation": 1.0, "hue_deg": 0.0}
        kept = {
            name: torch.where(jittered, getattr(self, name), value)
            for name, value in neutral.items()
        }
        kept["saturation"] = torch.where(gray, 0.0, kept["saturation"])
        changed = jittered | gray
        return Colour(**{k: torch.where(changed, v, torch.nan) for k, v in kept.items()})

    def matrices(self) -> Tensor:
        """``(B, 3, 4)`` maps of an RGB column ``(r, g, b, 1)`` in 0-255."""
        gray = torch.tensor(_LUMA).expand(3, 3)
        saturation = self.saturation[:, None, None]
        linear = self._hue_turn() @ (saturation * torch.eye(3) + (1 - saturation) * gray)
        linear = self.contrast[:, None, None] * linear
        offset = (1 - self.contrast) * _MIDDLE + self.brightness
        return torch.cat([linear, offset[:, None, None].expand(-1, 3, 1)], dim=2)

    def _hue_turn(self) -> Tensor:
        """``(B, 3, 3)`` rotations about (1, 1, 1) (Rodrigues), which leave grays alone."""
        angle = self.hue_deg[:, None, None] * (math.pi / 180)
        third, root = 1 / 3, math.sqrt(1 / 3)
        cross = root * torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
        around = torch.full((3, 3), third)
        return angle.cos() * torch.eye(3) + angle.sin() * cross + (1 - angle.cos()) * around


def recolour(clips: Tensor, colour: Colour) -> Tensor:
    """Apply the matrices to float ``(B, T, 3, H, W)`` clips in 0-255; not clamped."""
    batch, length, channels, height, width = clips.shape
    matrices = colour.matrices().to(clips.device, clips.dtype)
    matrices = matrices.repeat_interleave(length, dim=0)
    pixels = clips.reshape(batch * length, channels, height * width)
    pixels = torch.baddbmm(matrices[:, :, 3:], matrices[:, :, :3], pixels)
    return pixels.reshape(clips.shape)
