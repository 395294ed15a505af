"""Which crops a model should not be asked about: out of the range in which its errors are known.

Each crop is checked by itself, before pooling: the size of its face, its sharpness and light, the
way the face looks, and the distance of its features to those of the validation faces. How the
limits were found: docs/guard.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask.scoring.familiarity import Familiarity
from unmask.scoring.pose import pose
from unmask.scoring.sharpness import look
from unmask.types import BoolArray, Clip, FloatArray, UInt8Array

Codes = NDArray[np.str_]
"""For each crop the reason why it is left out, or an empty string."""

WORDS: dict[str, str] = {
    "face_too_small": "too small",
    "face_blurry": "too blurred",
    "face_dark": "too dark",
    "face_overexposed": "overexposed",
    "face_turned": "turned too far away",
    "face_unfamiliar": "unlike the faces that the model was checked on",
}
"""What is wrong with a face, by code; of several reasons the first counts."""

RECORD_KEY = "guard"
"""Where a model's calibration record keeps what its guard needs."""


@dataclass(frozen=True)
class GuardLimits:
    """What a crop must offer (docs/guard.md tells how each was found)."""

    min_face_px: float = 32.0
    """The face's longer side, in pixels of the frame."""
    min_sharpness: float = 0.0075
    """See `unmask.scoring.sharpness`. The default refuses a blur of about 2 % of the face's
    width."""
    min_brightness: float = 40.0
    """Luma, 0-255, of the face's lit parts; see `unmask.scoring.sharpness.Look`."""
    max_glare: float = 0.3
    """Share of the face that is as good as white, 0-1."""
    max_yaw_deg: float = 60.0
    """To either side; see `unmask.scoring.pose`. Roll has no limit: crops are levelled."""
    max_pitch_deg: float = 30.0
    """Up or down."""


@dataclass(frozen=True)
class Guard:
    """Limits, and the reference of familiar faces where the model has one."""

    limits: GuardLimits = field(default_factory=GuardLimits)
    familiarity: Familiarity | None = None

    @classmethod
    def from_record(cls, calibration: Mapping[str, Any]) -> Guard:
        """The guard of a model from its calibration record.

        Raises:
            ModelError: ``model_calibration``: a reference that cannot be read.
        """
        reference = calibration.get(RECORD_KEY, {}).get("familiarity")
        return cls(familiarity=Familiarity.from_dict(reference) if reference else None)

    def to_record(self) -> dict[str, Any]:
        """What `from_record` reads, to be merged into a calibration record."""
        if self.familiarity is None:
            return {}
        return {RECORD_KEY: {"familiarity": self.familiarity.to_dict()}}

    def check(self, clip: Clip) -> Codes:
        """``(T,)``: why each crop of a clip is left out, before the model has seen it."""
        return self.check_crops(clip.frames, clip.mask, clip.boxes_xyxy_px, clip.keypoints_px)

    def check_crops(
        self,
        frames: UInt8Array,
        mask: BoolArray,
        boxes_xyxy_px: FloatArray,
        keypoints_px: FloatArray,
    ) -> Codes:
        """`check` for the parts of a clip.

        Args:
            frames: ``(T, H, W, 3)`` RGB uint8.
            mask: ``(T,)``: where it is False nothing is said.
            boxes_xyxy_px: ``(T, 4)``.
            keypoints_px: ``(T, 5, 2)``; NaN where they are unknown.
        """
        codes = [
            self._fault(frames[t], boxes_xyxy_px[t], keypoints_px[t]) if mask[t] else ""
            for t in range(len(mask))
        ]
        return np.array(codes, dtype="U32")

    def unfamiliar(self, features: NDArray[np.floating] | None, mask: BoolArray) -> Codes:
        """Why crops are left out after the model has seen them.

        Args:
            features: ``(..., F)`` of `unmask.inference.Model.logits_and_features`, or None.
            mask: ``(...)``: the crops that the features are of.

        Returns:
            ``(...)`` codes; all empty where there are no features, or no reference for them.
        """
        codes = np.full(mask.shape, "", dtype="U32")
        known = self.familiarity
        if features is None or known is None or features.shape[-1] != len(known.mean):
            return codes
        far = np.zeros(mask.shape, np.bool_)
        far[mask] = known.distances(features[mask]) > known.limit
        codes[far] = "face_unfamiliar"
        return codes

    def _fault(self, crop: UInt8Array, box: FloatArray, keypoints: FloatArray) -> str:
        limits = self.limits
        if max(box[2] - box[0], box[3] - box[1]) < limits.min_face_px:
            return "face_too_small"
        seen = look(crop)
        if seen.brightness < limits.min_brightness:
            return "face_dark"
        if seen.glare > limits.max_glare:
            return "face_overexposed"
        if seen.sharpness < limits.min_sharpness:
            return "face_blurry"
        turned = pose(keypoints)
        if turned is not None and (
            abs(turned.yaw_deg) > limits.max_yaw_deg or abs(turned.pitch_deg) > limits.max_pitch_deg
        ):
            return "face_turned"
        return ""
