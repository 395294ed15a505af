"""The training augmentations: one draw a clip, the same for all of its frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.augment.codec import add_noise, blur, jpeg, rescale
from unmask.augment.colour import Colour, recolour
from unmask.augment.geometry import Affine, warp
from unmask.config import AugmentConfig

_COLUMNS = 20  # uniform numbers a clip
_BRIGHTNESS = 25.0
_CONTRAST = 0.2
_SATURATION = 0.3
_HUE_DEG = 8.0
_BLUR_SIGMA_PX = (0.4, 1.8)
_NOISE_SIGMA = (1.0, 8.0)
_DOWNSCALE = (0.4, 0.95)


@dataclass(frozen=True)
class Draw:
    """What was drawn for a batch: one value a clip, on the CPU; NaN = the clip skips the step."""

    affine: Affine
    colour: Colour
    blur_sigma_px: Tensor
    downscale: Tensor
    noise_sigma: Tensor
    noise_seed: Tensor
    """``(B,)`` int64."""
    jpeg_quality: Tensor


class Augment:
    """Geometry, colour, blur, rescaling, noise and JPEG, batched, on the clips' own device.

    The order is that of the world: what the camera saw, then what platforms did to it. A step runs
    only on the clips that drew it.
    """

    def __init__(self, config: AugmentConfig) -> None:
        self.config = config

    @torch.no_grad()
    def __call__(
        self, clips: Tensor, generator: torch.Generator, pairs: Tensor | None = None
    ) -> Tensor:
        """Augment ``(B, T, 3, H, W)`` uint8 clips; the result has the same shape, type and device.

        Args:
            clips: RGB in 0-255.
            generator: of the CPU, whatever the clips' device, so that all devices draw alike.
            pairs: ``(B,)`` integers; clips of one number share every parameter (a fake and its
                source must not differ by their degradations). None: every clip for itself.
        """
        draw = self.draw(len(clips), generator, pairs)
        with torch.autocast(clips.device.type, enabled=False):
            pixels = warp(clips.float(), draw.affine)
            _on(pixels, draw.colour.brightness, lambda part, rows: _look(part, draw.colour[rows]))
            _on(pixels, draw.blur_sigma_px, lambda part, rows: blur(part, draw.blur_sigma_px[rows]))
            _on(pixels, draw.downscale, lambda part, rows: rescale(part, draw.downscale[rows]))
            _on(
                pixels,
                draw.noise_sigma,
                lambda part, rows: add_noise(part, draw.noise_sigma[rows], draw.noise_seed[rows]),
            )
            _on(pixels, draw.jpeg_quality, lambda part, rows: jpeg(part, draw.jpeg_quality[rows]))
            return pixels.round_().clamp_(0, 255).to(torch.uint8)

    def draw(self, count: int, generator: torch.Generator, pairs: Tensor | None = None) -> Draw:
        """The parameters of ``count`` clips; the same numbers are used up whatever they are."""
        config = self.config
        groups = torch.arange(count)
        if pairs is not None:
            groups = torch.unique(pairs.cpu(), return_inverse=True)[1]
        total = int(groups.max()) + 1 if count else 0
        # One table of uniform numbers: adding a step appends columns and leaves the others alone.
        table = torch.rand(total, _COLUMNS, generator=generator)[groups]
        column = iter(table.unbind(1))

        def within(low: float, high: float) -> Tensor:
            return low + (high - low) * next(column)

        def sometimes(probability: float, values: Tensor) -> Tensor:
            return torch.where(next(column) < probability, values, torch.nan)

        scale = within(*config.crop_scale)
        room = (1 - scale).abs()  # the crop's centre may move while the crop touches the clip
        affine = Affine(
            scale=scale,
            shift_x=room * within(-1, 1),
            shift_y=room * within(-1, 1),
            rotate_deg=within(-config.rotate_deg, config.rotate_deg),
            flip=(next(column) < config.flip).float(),
        )
        colour = Colour(
            brightness=within(-_BRIGHTNESS, _BRIGHTNESS),
            contrast=within(1 - _CONTRAST, 1 + _CONTRAST),
            saturation=within(1 - _SATURATION, 1 + _SATURATION),
            hue_deg=within(-_HUE_DEG, _HUE_DEG),
        )
        jittered, gray = next(column) < config.colour, next(column) < config.grayscale
        low, high = config.jpeg_quality
        return Draw(
            affine=affine,
            colour=colour.only(jittered, gray),
            blur_sigma_px=sometimes(config.blur, within(*_BLUR_SIGMA_PX)),
            downscale=sometimes(config.downscale, within(*_DOWNSCALE)),
            noise_sigma=sometimes(config.noise, within(*_NOISE_SIGMA)),
            noise_seed=(next(column) * 2**24).long(),
            jpeg_quality=sometimes(config.jpeg, within(low - 0.5, high + 0.5).round()),
        )


def _on(pixels: Tensor, drawn: Tensor, step: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Run ``step(clips, rows)`` in place on the clips whose ``drawn (B,)`` is not NaN."""
    rows = (~drawn.isnan()).nonzero().squeeze(1)
    if len(rows):
        there = rows.to(pixels.device)
        pixels[there] = step(pixels[there], rows)


def _look(clips: Tensor, colour: Colour) -> Tensor:
    return recolour(clips, colour).clamp_(0, 255)
