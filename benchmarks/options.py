"""How much the table measures, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import material


@dataclass(frozen=True)
class Options:
    """How much is measured, and on what."""

    media: Path
    repeat: int
    quick: bool

    def video(self, height_px: int, seconds: int) -> Path:
        """A portrait; small and a second long where it must be quick."""
        if self.quick:
            height_px, seconds = (360, 1 if seconds < 60 else 2)
        width_px = {2160: 3840, 1080: 1920, 480: 854, 360: 640}[height_px]
        return material.video(self.media, width_px, height_px, seconds)
