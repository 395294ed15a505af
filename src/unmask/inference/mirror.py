"""A detector that looks at every crop in a mirror.

Mirrored faces are as authentic or manipulated as they were, but a network's errors on them are
others: two members of an ensemble, one of them before a mirror, agree less in their errors.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from unmask.inference.model import Model
from unmask.types import BoolArray, FloatArray, UInt8Array


@dataclass(frozen=True)
class Mirrored(Model):
    """Another model that sees left and right exchanged; its maps are given the right way round."""

    inner: Model = field(repr=False, compare=False)

    @classmethod
    def of(cls, model: Model) -> Mirrored:
        """The model before a mirror, everything else its own."""
        own = {part.name: getattr(model, part.name) for part in dataclasses.fields(Model)}
        return cls(**own, inner=model)

    def logits_and_features(
        self, frames: UInt8Array, mask: BoolArray
    ) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """As `Model.logits_and_features`."""
        self.check(frames, mask)
        return self.inner.logits_and_features(_mirror(frames), mask)

    @property
    def has_patches(self) -> bool:
        """As the model itself."""
        return self.inner.has_patches

    def patch_logits(self, frames: UInt8Array, mask: BoolArray) -> FloatArray:
        """As `Model.patch_logits`."""
        return self.inner.patch_logits(_mirror(frames), mask)[..., ::-1]


def _mirror(frames: UInt8Array) -> UInt8Array:
    return np.ascontiguousarray(frames[:, :, :, ::-1])
