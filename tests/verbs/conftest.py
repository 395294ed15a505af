"""One small run for all tests of the verbs that need a trained one."""

from pathlib import Path

import pytest
from datasets import SETTINGS, make_dataset

from unmask.verbs.train import TrainReport, train


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``train|val|test/{real,fake}``."""
    return make_dataset(
        tmp_path_factory.mktemp("verbs") / "data", {"train": 4, "val": 3, "test": 3}
    )


@pytest.fixture(scope="session")
def trained(videos: Path) -> TrainReport:
    """The whole way by one call, into ``run`` beside the data."""
    return train(videos, out=videos.parent / "run", overrides=SETTINGS)
