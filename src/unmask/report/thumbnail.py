"""One small picture of a judged file: the frame that speaks most for its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unmask.faces import FaceDetector
from unmask.files import write_bytes
from unmask.types import BoxXyxy, Face, UInt8Array

SIDE_PX = 192
_QUALITY = 75
_INK_RGB, _EDGE_RGB = (255, 255, 255), (0, 0, 0)
_SAME_BOX_PX = 0.1  # a verdict's boxes are rounded to this


@dataclass(frozen=True)
class _Kept:
    image: UInt8Array
    """RGB, the longer side at most `SIDE_PX`."""
    scale: float
    boxes: tuple[BoxXyxy, ...]
    """Of the faces in it, in pixels of the frame."""


class Onlooker:
    """A face detector that keeps a small copy of every frame it is shown.

    The frame for the thumbnail is known only when all have been judged; kept small, it need not be
    decoded a second time.
    """

    def __init__(self, inner: FaceDetector) -> None:
        self.name, self._inner = inner.name, inner
        self._kept: list[_Kept] = []

    def __call__(self, image: UInt8Array) -> list[Face]:
        """Faces of one picture, ``(H, W, 3)`` RGB uint8, as the detector within finds them."""
        faces = self._inner(image)
        height, width = image.shape[:2]
        scale = min(1.0, SIDE_PX / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.array(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        self._kept.append(_Kept(small, scale, tuple(face.box_xyxy_px for face in faces)))
        return faces

    def forget(self) -> None:
        """Let go of the frames: the next file begins."""
        self._kept.clear()

    def write_thumbnail(self, verdict: Mapping[str, Any], file: Path) -> bool:
        """Write a JPEG of the frame with the highest score, with a box around the face.

        Args:
            verdict: as `unmask.report.as_dict` gives it, on the frames seen since `forget`.
            file: where to; ends in ``.jpg``.

        Returns:
            False where there was no frame; nothing is written then.
        """
        if not self._kept:
            return False
        box = _best_box(verdict)
        kept = next((one for one in self._kept if box and _holds(one.boxes, box)), self._kept[0])
        image = kept.image.copy()
        if box is not None and _holds(kept.boxes, box):
            x0, y0, x1, y1 = (round(value * kept.scale) for value in box)
            cv2.rectangle(image, (x0, y0), (x1, y1), _EDGE_RGB, 4)
            cv2.rectangle(image, (x0, y0), (x1, y1), _INK_RGB, 2)
        done, content = cv2.imencode(
            ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        )
        if done:
            write_bytes(file, content.tobytes())
        return bool(done)


def _best_box(verdict: Mapping[str, Any]) -> list[float] | None:
    """The face in the highest frame of the highest person; the first person's where none has."""
    people = sorted(verdict["people"], key=lambda person: -(person["score"] or 0.0))
    if not people:
        return None
    best = max(people[0]["frames_detail"], key=lambda frame: frame["score"] or 0.0)
    box: list[float] = best["box_xyxy_px"]
    return box


def _holds(boxes: Sequence[BoxXyxy], box: Sequence[float]) -> bool:
    return any(np.allclose(one, box, rtol=0, atol=_SAME_BOX_PX) for one in boxes)
