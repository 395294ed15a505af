"""Crops for training pairs, cut as `unmask.faces.align` cuts them, and how they move in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unmask.augment.blend import FaceCrop, Moment
from unmask.augment.opencv import cv2
from unmask.augment.warp import random_flow, transform, warp
from unmask.data.landmarks import keypoints_of
from unmask.faces.align import roll_radians
from unmask.types import FloatArray, UInt8Array

BOX_OVER_MESH = 1.0 / 0.9
"""Longer side of a detector's face box over that of the landmarks' bounding box (medians over
600 faces, libfacedetection)."""
BOX_ABOVE_MESH = 0.054
"""How far the box's centre lies above that of the landmarks' box, in box sides."""


@dataclass(frozen=True)
class Framing:
    """Where a crop lies about a face, and what build the face is given: drawn once a pair, the
    same for both of it.

    It imitates `unmask.faces.align` on landmarks, so that a detector meets at work the crops that
    it was trained on.
    """

    size_px: int
    margin: float
    roll_deg: float
    shift: FloatArray
    """``(2,)``, in face boxes."""
    flow: FloatArray | None = None
    """``(S, S, 2)``: the crop is read through it (`unmask.augment.warp`); None = as it is."""

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        size_px: int,
        margin: tuple[float, float],
        roll_deg: float,
        reshape: float = 0.0,
    ) -> Framing:
        """One framing of a training pair.

        Args:
            rng: the draws.
            size_px: side of the crop.
            margin: range of the crop's side over the face box.
            roll_deg: standard deviation of the rotation left after the face stands upright.
            reshape: probability of another build.
        """
        shift = rng.normal(0, 0.03, 2) - (0, BOX_ABOVE_MESH)
        roll = float(rng.normal(0, roll_deg))
        side_over_box = float(rng.uniform(*margin))
        flow = None
        if reshape > 0 and rng.random() < reshape:
            strength, cells = rng.uniform(0.006, 0.02), int(rng.integers(3, 6))
            flow = random_flow(rng, size_px, strength * size_px, cells)
        return cls(size_px, side_over_box, roll, shift.astype(np.float32), flow)

    def crop(self, image: UInt8Array, points: FloatArray, move: NDArray[np.float64]) -> FaceCrop:
        """The square crop, eyes level but for the roll; mirrored where the picture ends.

        Wide margins are cut back where more than a few percent of the crop would be mirrored.
        """
        tilt = float(np.degrees(roll_radians(keypoints_of(points))))
        low, high = points.min(0), points.max(0)
        box = float((high - low).max()) * BOX_OVER_MESH
        centre = (low + high) / 2 + (self.shift + move) * box
        height, width = image.shape[:2]
        room = 2 * float(min(centre[0], centre[1], width - centre[0], height - centre[1])) * 1.04
        side = min(self.margin * box, max(room, 0.85 * box))
        scale = self.size_px / side
        middle = (float(centre[0]), float(centre[1]))
        matrix = cv2.getRotationMatrix2D(middle, tilt + self.roll_deg, scale)
        matrix[:, 2] += self.size_px / 2 - centre
        if scale < 0.7:
            image = cv2.blur(image, (round(1 / scale), round(1 / scale)))
        way = cv2.INTER_LINEAR if scale < 1.2 else cv2.INTER_CUBIC
        square = (self.size_px, self.size_px)
        out = cv2.warpAffine(image, matrix, square, flags=way, borderMode=cv2.BORDER_REFLECT_101)
        face = FaceCrop(out, transform(points, matrix.astype(np.float32)))
        return face if self.flow is None else through(face, self.flow)


def through(face: FaceCrop, flow: FloatArray) -> FaceCrop:
    """A face read through a flow that is gentle enough not to fold, its landmarks moved along."""
    points = face.points
    for _ in range(3):  # what is seen at x was at x + flow(x): find x for every landmark
        at = cv2.remap(flow, points[None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        points = face.points - at[0]
    return FaceCrop(warp(face.image, flow), points)


def moments(rng: np.random.Generator, frames: int) -> list[Moment]:
    """Slow drift and fast flicker over the frames of a clip."""
    phase = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.uniform(0.05, 0.5) * np.ones(frames))
    flicker = rng.uniform(0.0, 0.02) if rng.random() < 0.7 else 0.0
    shake = rng.uniform(0.0, 0.8) if rng.random() < 0.7 else 0.0
    gains = 1 + flicker * (
        rng.standard_normal((frames, 1)) + 0.4 * rng.standard_normal((frames, 3))
    )
    shifts = shake * rng.standard_normal((frames, 2))
    return [
        Moment(float(p), g.astype(np.float32), s.astype(np.float32))
        for p, g, s in zip(phase, gains, shifts, strict=True)
    ]
