"""What the tests of this room share: planes as a GPU gives them, and whether there is a GPU."""

from pathlib import Path

import numpy as np
import pytest
import torch

import make_media
from unmask.device.choice import missing_gpu
from unmask.faces import FaceDetector, load_detector

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="session")
def detector() -> FaceDetector:
    return load_detector()


@pytest.fixture(scope="session")
def two_people_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("device") / "two.mp4"
    return make_media.write_video(path, make_media.two_people_frames(16, 480, 270))


@pytest.fixture
def gpu() -> torch.device:
    """The GPU; a test that asks for it is skipped where there is none that decodes."""
    missing = missing_gpu()
    if missing:
        pytest.skip(missing)
    return torch.device("cuda", 0)
