"""The usual pipeline of the field, as what `unmask detect` is measured against.

OpenCV decodes every frame, MTCNN finds faces on 32 full ones, a ResNeXt50 in torch judges crops of
112 px. MTCNN and its weights come in a package that unmask does not need:

    pip install --no-deps facenet-pytorch

The ResNeXt50 has random weights, which changes no timing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from measure import wait_without_spinning

FRAMES, CROP_PX = 32, 112
MISSING = "MTCNN is missing: pip install --no-deps facenet-pytorch"


def usual_pipeline() -> Callable[[Path], tuple[int, float]]:
    """Loads the networks; the function that it returns judges a file and gives the number of crops
    and the mean logit.

    Raises:
        ImportError: with `MISSING` where the package of MTCNN is not installed.
    """
    wait_without_spinning()
    import torch
    from torchvision.models import resnext50_32x4d

    try:
        from facenet_pytorch import MTCNN
    except ImportError as error:
        raise ImportError(MISSING) from error
    finder = MTCNN(keep_all=True)
    network = resnext50_32x4d(weights=None, num_classes=1).eval()
    cores = len(os.sched_getaffinity(0))

    def run(path: Path) -> tuple[int, float]:
        before = torch.get_num_threads()
        torch.set_num_threads(cores)
        try:
            frames = _decoded(path)
            chosen = np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).astype(int)
            crops = [crop for index in chosen for crop in _crops(frames[index], finder)]
            batch = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
            with torch.no_grad():
                return len(crops), float(network(batch).mean())
        finally:
            torch.set_num_threads(before)

    return run


def _decoded(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames: list[np.ndarray] = []
    while True:
        read, frame = capture.read()
        if not read:
            return frames
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def _crops(frame: np.ndarray, finder: object) -> list[np.ndarray]:
    boxes, _ = finder.detect(frame)  # type: ignore[attr-defined]
    return [
        cv2.resize(frame[y0:y1, x0:x1], (CROP_PX, CROP_PX))
        for x0, y0, x1, y1 in ([] if boxes is None else boxes.astype(int).clip(0))
    ]
