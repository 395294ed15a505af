"""Pictures in, faces out: the protocol of a face detector and the ones that are known by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from unmask.faces.libfacedetection import LibFaceDetection
from unmask.types import Face, UInt8Array


class FaceDetector(Protocol):
    """Anything that finds faces in a picture.

    Crops must not depend on which detector found the face: a detector whose boxes follow another
    convention than `unmask.types.Face` (brow to chin, ear to ear) converts them.
    """

    name: str

    def __call__(self, image: UInt8Array) -> list[Face]:
        """Faces of one picture, ``(H, W, 3)`` RGB uint8, in its pixels, the largest first."""


@runtime_checkable
class SmallPictureDetector(FaceDetector, Protocol):
    """A detector that can do with small versions of a picture, wherever that lies."""

    def find(
        self, shrink: Callable[[int, int], UInt8Array], width_px: int, height_px: int
    ) -> list[Face]:
        """Faces of a picture; ``shrink`` gives it at a (width, height) in area averages."""


DEFAULT = LibFaceDetection.name
FACE_DETECTORS: Mapping[str, Callable[..., FaceDetector]] = {
    LibFaceDetection.name: LibFaceDetection,
}


def load_detector(name: str = DEFAULT, threads: int = 1, *, on_gpu: bool = False) -> FaceDetector:
    """A face detector, ready to use.

    Args:
        name: a key of `FACE_DETECTORS`.
        threads: CPU threads that it may use.
        on_gpu: run it on the GPU, where ONNX Runtime has one.

    Raises:
        ValueError: an unknown name.
        ModelError: its weights are missing or altered.
    """
    if name not in FACE_DETECTORS:
        raise ValueError(f"no face detector '{name}'; known: {', '.join(FACE_DETECTORS)}")
    return FACE_DETECTORS[name](threads, on_gpu=on_gpu)
