"""libfacedetection (YuNet) by ONNX Runtime: the default face detector.

W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence
Research, 2023. The network's card lies in ``unmask/weights``; why it is the default: docs/faces.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from unmask import weights
from unmask.faces.align import roll_radians
from unmask.types import Face, FloatArray, UInt8Array

STRIDES = (8, 16, 32)
PAD_TO_PX = 32  # the network halves five times
NMS_OVERLAP = 0.3
# A face that fills the picture is larger than what the network learned to see whole; when a first
# look finds nothing, a second one sees the picture small, in the middle of a border.
SECOND_LOOK_PX = 192
SECOND_LOOK_BORDER_PX = 64
# The network draws the keypoints of tilted faces too upright. Over 1,044 faces tilted by up to 30
# degrees, the true roll is 1.25-1.52 times what its keypoints say (correlation 0.87).
ROLL_GAIN = 1.4


class LibFaceDetection:
    """Finds faces from about 10 px upwards (at the network's input size) in upright pictures."""

    name = "libfacedetection"

    def __init__(
        self,
        threads: int = 1,
        input_px: int = 640,
        threshold: float = 0.5,
        *,
        on_gpu: bool = False,
    ) -> None:
        """Load the network.

        Args:
            threads: CPU threads of ONNX Runtime.
            input_px: the picture is shrunk until its longer side is at most this; never enlarged.
            threshold: least confidence of a face, 0-1.
            on_gpu: run it by ONNX Runtime's CUDA provider, where that is installed and starts.

        Raises:
            ModelError: the bundled file is missing or altered.
        """
        if threads < 1 or input_px < PAD_TO_PX or not 0 < threshold < 1:
            raise ValueError(
                f"need threads >= 1, input_px >= {PAD_TO_PX} and 0 < threshold < 1, "
                f"got {threads}, {input_px}, {threshold}"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            weights.load(self.name), options, providers=_providers(on_gpu)
        )
        self._input_px = input_px
        self._threshold = threshold

    def __call__(self, image: UInt8Array) -> list[Face]:
        """Faces of one picture, ``(H, W, 3)`` RGB uint8, the largest first."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
        height, width = image.shape[:2]

        def shrink(width_px: int, height_px: int) -> UInt8Array:
            if (width_px, height_px) == (width, height):
                return image
            small = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)
            return np.asarray(small, np.uint8)

        return self.find(shrink, width, height)

    def find(
        self, shrink: Callable[[int, int], UInt8Array], width_px: int, height_px: int
    ) -> list[Face]:
        """Faces of a picture that may lie elsewhere, on a GPU for one, the largest first.

        Args:
            shrink: gives the picture at a width and a height, every pixel the mean of those that
                it stands for: ``(height, width, 3)`` RGB uint8.
            width_px: of the picture.
            height_px: of the picture.
        """
        if min(width_px, height_px) < 1:
            return []
        first, second = (self._input_px, 0), (SECOND_LOOK_PX, SECOND_LOOK_BORDER_PX)
        for longest_px, border_px in (first, second):
            size = _shrunk_size(width_px, height_px, longest_px)
            faces = self._look(shrink(*size), width_px, height_px, border_px)
            if faces:
                return faces
        return []

    def _look(self, small: UInt8Array, width: int, height: int, border_px: int) -> list[Face]:
        canvas = _on_canvas(small, border_px)
        rows = _decode(self._session.run(None, {"image": canvas[None]}), self._threshold)
        if not len(rows):
            return []
        boxes = rows[:, 1:5].copy()
        boxes[:, 2:] -= boxes[:, :2]  # NMSBoxes wants x, y, width, height
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), rows[:, 0].tolist(), self._threshold, NMS_OVERLAP)
        rows = rows[np.asarray(kept, dtype=int).ravel()]
        rows[:, 1:] -= border_px
        rows[:, 1::2] *= width / small.shape[1]
        rows[:, 2::2] *= height / small.shape[0]
        faces = [_face(row) for row in rows if _centre_inside(row, width, height)]
        return sorted(faces, key=lambda face: face.size_px, reverse=True)


def _shrunk_size(width_px: int, height_px: int, longest_px: int) -> tuple[int, int]:
    """Width and height of a picture whose longer side is made ``longest_px``; never enlarged."""
    scale = min(1.0, longest_px / max(width_px, height_px))
    if scale == 1.0:
        return width_px, height_px
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))


def _providers(on_gpu: bool) -> list[Any]:
    providers: list[Any] = ["CPUExecutionProvider"]
    if on_gpu and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        # Pictures come in many sizes: no exhaustive search for the best convolution at each.
        providers.insert(0, ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"}))
    return providers


def _on_canvas(image: UInt8Array, border_px: int) -> UInt8Array:
    """The picture within a mirrored border, filled up with black to what the network divides."""
    if border_px:
        image = np.asarray(
            cv2.copyMakeBorder(image, *(border_px,) * 4, cv2.BORDER_REFLECT), np.uint8
        )
    height, width = (-(-side // PAD_TO_PX) * PAD_TO_PX for side in image.shape[:2])
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    return canvas


def _decode(outputs: list[FloatArray], threshold: float) -> FloatArray:
    """Rows ``(score, x0, y0, x1, y1, ten keypoint coordinates)`` above the threshold, ``(N, 15)``.

    Every level gives ``(1, 16, h, w)``: class and objectness logits, box centre and log size, five
    keypoints; the score is the geometric mean of the two probabilities.
    """
    found: list[NDArray[np.floating]] = []
    for stride, output in zip(STRIDES, outputs, strict=True):
        level = output[0]
        score = np.sqrt(_sigmoid(level[0]) * _sigmoid(level[1]))
        row, column = np.nonzero(score > threshold)
        cell = np.stack([column, row], axis=1).astype(np.float32)  # (n, 2) x, y
        values = level[2:, row, column].T  # (n, 14)
        centre = cell + values[:, :2]
        half = np.exp(values[:, 2:4]) / 2
        points = (values[:, 4:].reshape(-1, 5, 2) + cell[:, None]).reshape(-1, 10)
        places = np.concatenate([centre - half, centre + half, points], axis=1) * stride
        found.append(np.concatenate([score[row, column, None], places], axis=1))
    return np.concatenate(found).astype(np.float32)


def _sigmoid(logit: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logit, -30, 30))), np.float32)


def _face(row: FloatArray) -> Face:
    x0, y0, x1, y1 = (float(value) for value in row[1:5])
    return Face((x0, y0, x1, y1), _tilted(row[5:].reshape(5, 2)), float(row[0]))


def _tilted(keypoints_px: FloatArray) -> FloatArray:
    """Keypoints turned about their middle by what the network leaves out of the roll."""
    more = (ROLL_GAIN - 1) * roll_radians(keypoints_px)
    across, down = np.cos(more), np.sin(more)
    turn = np.array([[across, down], [-down, across]], np.float32)
    middle = keypoints_px.mean(axis=0)
    return np.asarray((keypoints_px - middle) @ turn + middle, np.float32)


def _centre_inside(row: FloatArray, width: int, height: int) -> bool:
    x, y = (row[1] + row[3]) / 2, (row[2] + row[4]) / 2
    return bool(0 <= x < width and 0 <= y < height)
