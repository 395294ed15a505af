"""Two people of whom one turns blue, and the verdict on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_models import write_model

import make_media
from unmask.faces import FaceDetector
from unmask.inference import Model
from unmask.types import Verdict
from unmask.verbs.detect import detect, open_faces, open_model

RATE = 15


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of two people, 800 x 400; the right one is blue from 1.5 s to 3 s."""

    def frames() -> Iterator[np.ndarray]:
        for number, frame in enumerate(make_media.two_people_frames(60, 800, 400)):
            half = frame[:, 400:]
            half[..., 0] = half[..., 0] // 4 if 22 <= number < 45 else half[..., 0] // 2
            half[..., 2] = np.maximum(half[..., 2], 160) if 22 <= number < 45 else half[..., 2] // 2
            yield frame

    path = tmp_path_factory.mktemp("crowd") / "crowd.mp4"
    return make_media.write_video(path, frames(), fps=RATE)


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "blue.onnx", patches=True)


@pytest.fixture(scope="session")
def model(model_path: Path) -> Model:
    return open_model(model_path)


@pytest.fixture(scope="session")
def faces() -> FaceDetector:
    return open_faces()


@pytest.fixture(scope="session")
def verdict(crowd: Path, model: Model, faces: FaceDetector) -> Verdict:
    return detect(crowd, model=model, faces=faces)
