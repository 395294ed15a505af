"""Model files: what is saved comes back, what is foreign is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from unmask.config import ClipSpec, ModelConfig, TrainConfig
from unmask.errors import ModelError
from unmask.models import (
    Detector,
    build,
    load_checkpoint,
    load_detector,
    save_calibrated,
    save_model,
)

CONFIG = TrainConfig(
    clip=ClipSpec(frames=2, size_px=32),
    model=ModelConfig(name="frame", backbone="test_resnet", weights="random"),
)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Detector, Path, Path]:
    torch.manual_seed(0)
    detector = build(CONFIG.model, 32)
    pth, safetensors = tmp_path / "best_model.pth", tmp_path / "best_model.safetensors"
    calibration, metrics = {"temperature": 2.0, "notes": []}, {"val_auc_video": 0.75}
    save_model(pth, safetensors, detector, CONFIG, calibration, metrics, name="first")
    return detector, pth, safetensors


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_it_comes_back_whole(saved: tuple[Detector, Path, Path], suffix: str) -> None:
    detector, pth, _ = saved
    loaded, about = load_checkpoint(pth.with_suffix(suffix))
    assert about.config == CONFIG
    assert about.calibration == {"temperature": 2.0, "notes": []}
    assert about.metrics == {"val_auc_video": 0.75}
    assert (about.name, about.version) == ("first", "1")
    assert not loaded.training
    state = detector.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_another_calibration_leaves_the_rest_as_it_was(
    saved: tuple[Detector, Path, Path], suffix: str
) -> None:
    detector, pth, _ = saved
    read, about = load_checkpoint(pth)
    save_calibrated(pth, read, replace(about, version="2"), {"temperature": 3.0})
    loaded, after = load_checkpoint(pth.with_suffix(suffix))
    assert after == replace(about, version="2", calibration={"temperature": 3.0})
    state = detector.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())


def test_the_pth_loads_with_weights_only(saved: tuple[Detector, Path, Path]) -> None:
    content = torch.load(saved[1], weights_only=True)
    wanted = {"state_dict", "config", "calibration", "metrics", "format_version", "name", "version"}
    assert content.keys() == wanted


def test_weights_that_it_began_with_need_not_be_there(tmp_path: Path) -> None:
    detector = build(CONFIG.model, 32)
    start = tmp_path / "start.pth"
    torch.save(detector.backbone.network.state_dict(), start)
    model = ModelConfig(name="frame", backbone="test_resnet", weights=str(start))
    config = TrainConfig(clip=CONFIG.clip, model=model)
    pth = tmp_path / "a.pth"
    save_model(pth, tmp_path / "a.safetensors", build(model, 32), config, {}, {})
    start.unlink()
    assert load_detector(pth)[1] == config


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_checkpoint(tmp_path / "absent.pth")
    assert caught.value.code == "model_missing"


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("kind", ["text", "other"])
def test_foreign_files(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    if kind == "text":
        path.write_bytes(b"hello")
    elif path.suffix == ".pth":
        torch.save({"weight": torch.zeros(2)}, path)
    else:
        save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ModelError) as caught:
        load_checkpoint(path)
    assert caught.value.code == "model_foreign"


def test_a_later_format_and_weights_that_do_not_fit(saved: tuple[Detector, Path, Path]) -> None:
    pth = saved[1]
    content = torch.load(pth, weights_only=True)
    torch.save({**content, "format_version": 99}, pth)
    with pytest.raises(ModelError) as caught:
        load_checkpoint(pth)
    assert caught.value.code == "model_format"
    content["state_dict"].pop("classifier.weight")
    torch.save(content, pth)
    with pytest.raises(ModelError, match=r"classifier\.weight") as caught:
        load_checkpoint(pth)
    assert caught.value.code == "model_mismatch"
