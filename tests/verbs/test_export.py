"""From a checkpoint to ONNX: the same logits, for any number of clips and frames."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from unmask.config import ClipSpec, LoopConfig, LossConfig, ModelConfig, TrainConfig
from unmask.errors import ModelError
from unmask.inference import load_model
from unmask.inference.precision import Precision
from unmask.inference.session import OnnxModel
from unmask.models import Detector, build, load_checkpoint, load_detector, save_model
from unmask.verbs import export as verb
from unmask.verbs.export import export

pytestmark = pytest.mark.slow
SIDE = 32
# Tracing takes seconds a layer: one block, one stage more would show nothing new.
BILSTM = ModelConfig(
    backbone="test_vit",
    weights="random",
    blocks=1,
    lstm_hidden=8,
    lstm_layers=2,
    attention_heads=2,
)
FRAME = ModelConfig(name="frame", backbone="test_resnet", weights="random", normalize_features=True)
MAPPED = ModelConfig(
    name="frame", backbone="vit_tiny_patch16_224", weights="random", blocks=1, patch_map=True
)

CONVOLUTIONAL = ModelConfig(name="frame", backbone="test_resnet", weights="random", patch_map=True)


def write_run(folder: Path, model: ModelConfig) -> Path:
    torch.manual_seed(0)
    detector = build(model, SIDE).train()
    with torch.no_grad():  # statistics that differ from a fresh network's
        clips = torch.randint(0, 256, (2, 3, 3, SIDE, SIDE), dtype=torch.uint8)
        detector(clips, torch.ones(2, 3, dtype=torch.bool))
        for name, parameter in detector.named_parameters():
            if "classifier" in name or model.patch_map:  # trained: no two tensors are equal
                parameter.normal_(0, 1 if "classifier" in name else 0.1)
    config = TrainConfig(clip=ClipSpec(frames=3, size_px=SIDE), model=model)
    pth = folder / "models" / "best_model.pth"
    calibration, metrics = {"temperature": 2.0}, {"val_auc_video": 0.5}
    save_model(pth, pth.with_suffix(".safetensors"), detector, config, calibration, metrics)
    return folder


@pytest.fixture(scope="module", params=[BILSTM, FRAME], ids=["bilstm", "frame"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = write_run(tmp_path_factory.mktemp("run"), request.param)
    export(run)
    return run


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (5, 1), (4, 7)])
def test_logits_agree(run: Path, shape: tuple[int, int]) -> None:
    detector, _, _ = load_detector(run / "models" / "best_model.pth")
    generator = np.random.default_rng(1)
    frames = generator.integers(0, 256, (*shape, SIDE, SIDE, 3), dtype=np.uint8)
    mask = generator.random(shape) < 0.5
    mask[:, -1] = True
    with torch.no_grad():
        clips = torch.from_numpy(frames).permute(0, 1, 4, 2, 3)
        expected = detector(clips, torch.from_numpy(mask))
    for ours, theirs in zip(expected[:2], load_model(run).logits(frames, mask), strict=True):
        np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-3)


def test_features_are_what_the_frame_logits_are_read_from(run: Path) -> None:
    detector, _, _ = load_detector(run / "models" / "best_model.pth")
    frames = np.random.default_rng(2).integers(0, 256, (2, 3, SIDE, SIDE, 3), dtype=np.uint8)
    mask = np.ones((2, 3), np.bool_)
    model = load_model(run)
    logits, clip_logits, features = model.logits_and_features(frames, mask)
    assert features is not None
    with torch.no_grad():
        output = detector(torch.from_numpy(frames).permute(0, 1, 4, 2, 3), torch.from_numpy(mask))
        head = getattr(detector, "frame_classifier", None) or detector.classifier
        again = head(torch.from_numpy(features)).squeeze(-1)
    assert output.features is not None
    np.testing.assert_allclose(features, output.features.numpy(), atol=1e-3)
    np.testing.assert_allclose(again.numpy(), logits, atol=1e-3)
    for ours, theirs in zip(model.logits(frames, mask), (logits, clip_logits), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_everything_travels_inside(run: Path) -> None:
    model = load_model(run / "models" / "best_model.onnx")
    _, config, calibration = load_detector(run / "models" / "best_model.pth")
    assert model.spec == config.clip
    assert model.calibration == calibration == {"temperature": 2.0}
    assert model.metadata["training"]["metrics"] == {"val_auc_video": 0.5}
    assert model.metadata["model"]["backbone"] == config.model.backbone
    assert model.metadata["limitations"]


def test_no_path_of_this_machine_travels_inside(run: Path) -> None:
    content = (run / "models" / "best_model.onnx").read_bytes()
    assert str(Path(torch.__file__).parent).encode() not in content
    assert str(Path(verb.__file__).parent).encode() not in content


def test_the_file_runs_without_torch(run: Path) -> None:
    code = (
        "import sys; from unmask.inference import load_model; "
        f"load_model({str(run)!r}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_model_that_disagrees_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smallest = dataclasses.replace(FRAME, backbone="test_vit", blocks=1)
    run = write_run(tmp_path, smallest)
    checked = verb.parity

    def disturbed(detector: Detector, path: Path, *, patches: bool) -> float:
        with torch.no_grad():
            detector.get_parameter("classifier.bias").add_(0.01)
        return checked(detector, path, patches=patches)

    monkeypatch.setattr(verb, "parity", disturbed)
    with pytest.raises(ModelError) as caught:
        export(run)
    assert caught.value.code == "model_parity"
    assert sorted(path.name for path in (run / "models").iterdir()) == [
        "best_model.pth",
        "best_model.safetensors",
    ]


def test_a_copy_in_half_precision_says_so_and_how_far_it_is(tmp_path: Path) -> None:
    run = write_run(tmp_path, dataclasses.replace(FRAME, backbone="test_vit", blocks=1))
    whole = export(run)
    half = export(run, tmp_path / "half.onnx", precision="fp16")
    assert half.stat().st_size < 0.75 * whole.stat().st_size
    about = load_model(half).metadata
    assert about["precision"]["weights"] == "fp16"
    assert 0 <= about["precision"]["largest_logit_difference"] < 0.02
    assert about["model"] == load_model(whole).metadata["model"]
    with pytest.raises(ValueError, match="fp32, fp16, int8"):
        export(run, precision="fp8")  # type: ignore[arg-type]


@pytest.mark.parametrize(("precision", "close", "far"), [("fp16", 0.02, 0.03), ("int8", 0.5, 0.6)])
def test_how_far_a_smaller_copy_may_be(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: Precision,
    close: float,
    far: float,
) -> None:
    run = write_run(tmp_path, dataclasses.replace(FRAME, backbone="test_vit", blocks=1))
    out, difference = tmp_path / "small.onnx", far
    monkeypatch.setattr(verb, "parity", lambda *_, patches: 0.0 if patches else difference)
    with pytest.raises(ModelError) as caught:
        export(run, out, precision=precision)
    assert caught.value.code == "model_parity"
    assert not out.exists()
    difference = close
    assert export(run, out, precision=precision) == out


def test_the_folder_of_the_first_weights_is_kept_private(tmp_path: Path) -> None:
    checkpoint = verb.Checkpoint(
        config=TrainConfig(
            model=dataclasses.replace(FRAME, weights="/home/me/secret/a.pth"),
            loss=LossConfig(teacher="/home/me/secret/b.pth"),
            loop=LoopConfig(start_from="/home/me/secret/c.pth"),
        ),
        calibration={},
        metrics={},
        name="a",
        version="1",
    )
    text = json.dumps(verb.describe(checkpoint))
    assert "secret" not in text
    assert '"weights": "a.pth"' in text


def test_a_missing_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        export(tmp_path)
    assert caught.value.code == "model_missing"


@pytest.mark.parametrize(("precision", "off"), [("fp32", 0.0), ("fp16", 1e-3)])
@pytest.mark.parametrize("model", [MAPPED, CONVOLUTIONAL], ids=["transformer", "convolutional"])
def test_an_exported_file_can_be_trained_further(
    tmp_path: Path, model: ModelConfig, precision: Precision, off: float
) -> None:
    run = write_run(tmp_path, model)
    file = export(run, tmp_path / "model.onnx", precision=precision)
    before, said = load_checkpoint(run / "models" / "best_model.pth")
    after, about = load_checkpoint(file)
    assert about == said
    torch.testing.assert_close(_trained(after), _trained(before), atol=off, rtol=off)


def _trained(detector: Detector) -> dict[str, torch.Tensor]:
    """Without the counts of batches, which only averages without a momentum ask for."""
    state: dict[str, torch.Tensor] = detector.state_dict()
    return {name: value for name, value in state.items() if "num_batches" not in name}


def test_an_export_that_holds_no_whole_weights_is_refused(tmp_path: Path) -> None:
    lstm = export(write_run(tmp_path / "lstm", BILSTM))
    small = export(write_run(tmp_path / "vit", MAPPED), tmp_path / "int8.onnx", precision="int8")
    for file in (lstm, small):
        with pytest.raises(ModelError) as caught:
            load_checkpoint(file)
        assert caught.value.code == "model_mismatch"


def test_an_exported_file_is_not_exported_onto_itself(tmp_path: Path) -> None:
    file = export(write_run(tmp_path, MAPPED))
    content = file.read_bytes()
    with pytest.raises(ModelError) as caught:
        export(file, precision="fp16")
    assert caught.value.code == "model_exported"
    assert file.read_bytes() == content
    assert export(file, tmp_path / "half.onnx", precision="fp16").stat().st_size < len(content)


def test_what_is_written_is_called_what_it_is(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", FRAME)
    pth = run / "models" / "best_model.pth"
    before = pth.read_bytes()
    for out in (pth, tmp_path / "model.json"):
        with pytest.raises(ModelError) as caught:
            export(run, out)
        assert caught.value.code == "model_suffix"
        assert ".onnx" in caught.value.hint
    assert pth.read_bytes() == before


def test_a_map_that_disagrees_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run", CONVOLUTIONAL)
    given = OnnxModel.patch_logits
    monkeypatch.setattr(OnnxModel, "patch_logits", lambda *args: given(*args) + 1)
    with pytest.raises(ModelError) as caught:
        export(run)
    assert caught.value.code == "model_parity"
