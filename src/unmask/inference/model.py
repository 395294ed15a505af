"""What every detector is to its users, whatever it is made of: clips in, logits out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from unmask.config import ClipSpec
from unmask.types import BoolArray, FloatArray, UInt8Array

TASK = "deepfake_detection"


@dataclass(frozen=True)
class Model(ABC):
    """A detector ready to run, and everything that travels with its file."""

    name: str
    version: str
    sha256: str
    """Of the file's content: of exactly the bytes that run."""
    spec: ClipSpec
    """The clips that it was trained on."""
    calibration: dict[str, Any]
    """As `unmask.scoring.Calibration.from_dict` reads it; empty if never fitted."""
    metadata: dict[str, Any]
    """The file's whole JSON."""
    device: str
    """``"cpu"`` or ``"cuda"``."""
    threads: int
    """Of the CPU; as many pieces of a batch run at the same time."""

    def logits(self, frames: UInt8Array, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Raw logits of clips; above 0 leans to manipulated.

        Args:
            frames: ``(B, T, size_px, size_px, 3)`` RGB uint8.
            mask: ``(B, T)`` bool, True where there is a crop.

        Returns:
            ``frame_logits (B, T)`` and ``clip_logit (B,)``, float32; a frame logit means nothing
            where the mask is False.

        Raises:
            ValueError: another shape or type.
        """
        return self.logits_and_features(frames, mask)[:2]

    @abstractmethod
    def logits_and_features(
        self, frames: UInt8Array, mask: BoolArray
    ) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """`logits` and, in the same run, the features that they are read from.

        Args:
            frames: as `logits`.
            mask: as `logits`.

        Returns:
            ``frame_logits (B, T)``, ``clip_logit (B,)`` and ``features (B, T, F)`` float32, which
            mean nothing where the mask is False; None where the model tells none.
        """

    @property
    @abstractmethod
    def has_patches(self) -> bool:
        """Whether `patch_logits` has something to give."""

    @abstractmethod
    def patch_logits(self, frames: UInt8Array, mask: BoolArray) -> FloatArray:
        """Raw logits of "this patch was manipulated", ``(B, T, g, g)`` float32.

        Args:
            frames: as `logits`; few clips, since they go through the network at once.
            mask: as `logits`.

        Raises:
            ValueError: the model has no such output (see `has_patches`).
        """

    def check(self, frames: UInt8Array, mask: BoolArray) -> None:
        """Raise ValueError for frames or a mask that `logits` cannot take."""
        side = self.spec.size_px
        if frames.ndim != 5 or frames.shape[2:] != (side, side, 3) or frames.dtype != np.uint8:
            raise ValueError(
                f"frames must be (B, T, {side}, {side}, 3) uint8, got {frames.shape} {frames.dtype}"
            )
        if mask.shape != frames.shape[:2] or mask.dtype != np.bool_:
            raise ValueError(f"mask must be {frames.shape[:2]} bool, got {mask.shape} {mask.dtype}")
