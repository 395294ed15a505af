"""Opening exported files: what is inside, what is refused; and running them in pieces."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from unmask import inference
from unmask.config import ClipSpec, to_dict
from unmask.errors import ModelError
from unmask.inference import load_model, session

SIDE = 32
ABOUT: dict[str, Any] = {
    "name": "brightness",
    "version": "3",
    "clip": to_dict(ClipSpec(frames=2, size_px=SIDE)),
    "model": {},
    "calibration": {"temperature": 1.5},
    "training": {},
    "limitations": ["knows only how bright a face is"],
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a network whose frame logit is the frame's mean pixel, and clip logit their mean."""

    def write(about: object = ABOUT, name: str = "bright.onnx", first: str = "clips") -> Path:
        nodes = [
            helper.make_node("Cast", [first], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels", "space"], ["frame_logits"], keepdims=0),
            helper.make_node("Cast", ["mask"], ["there"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["frame_logits", "there"], ["counted"]),
            helper.make_node("ReduceMean", ["counted", "time"], ["clip_logit"], keepdims=0),
        ]
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            nodes,
            "brightness",
            [
                value(first, TensorProto.UINT8, ["B", "T", SIDE, SIDE, 3]),
                value("mask", TensorProto.BOOL, ["B", "T"]),
            ],
            [
                value("frame_logits", TensorProto.FLOAT, ["B", "T"]),
                value("clip_logit", TensorProto.FLOAT, ["B"]),
            ],
            [
                numpy_helper.from_array(np.array([2, 3, 4]), "space"),
                numpy_helper.from_array(np.array([1]), "time"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        if about is not None:
            text = about if isinstance(about, str) else json.dumps(about)
            helper.set_model_props(model, {inference.METADATA_KEY: text})
        onnx.save(model, tmp_path / name)
        return tmp_path / name

    return write


def random_clips(batch: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 256, (batch, length, SIDE, SIDE, 3), dtype=np.uint8)
    return frames, generator.random((batch, length)) < 0.7


def test_everything_that_travels_inside(write: Write) -> None:
    model = load_model(write(), threads=1)
    assert (model.name, model.version, model.device) == ("brightness", "3", "cpu")
    assert model.spec == ClipSpec(frames=2, size_px=SIDE)
    assert model.calibration == {"temperature": 1.5}
    assert model.metadata == ABOUT
    assert len(model.sha256) == 64


def test_a_runs_folder(write: Write, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    write(name="models/best_model.onnx")
    assert load_model(tmp_path).name == "brightness"


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("at_once", [1, 4, 64])
def test_logits_do_not_depend_on_the_pieces(
    write: Write, monkeypatch: pytest.MonkeyPatch, at_once: int, threads: int
) -> None:
    monkeypatch.setitem(session.CROPS_AT_ONCE, "cpu", at_once)
    frames, mask = random_clips(5, 2)
    frame_logits, clip_logit = load_model(write(), threads=threads).logits(frames, mask)
    expected = frames.mean(axis=(2, 3, 4))
    np.testing.assert_allclose(frame_logits, expected, rtol=1e-5)
    np.testing.assert_allclose(clip_logit, (expected * mask).mean(axis=1), rtol=1e-5)


def test_no_clips_no_logits(write: Write) -> None:
    frame_logits, clip_logit = load_model(write()).logits(*random_clips(0, 2))
    assert (frame_logits.shape, clip_logit.shape) == ((0, 2), (0,))


def test_wrong_shapes_are_the_callers_mistake(write: Write) -> None:
    model = load_model(write())
    frames, mask = random_clips(1, 2)
    with pytest.raises(ValueError, match=r"must be \(B, T, 32, 32, 3\) uint8"):
        model.logits(frames[:, :, :16], mask)
    with pytest.raises(ValueError, match="uint8"):
        model.logits(frames.astype(np.float32), mask)
    with pytest.raises(ValueError, match="mask must be"):
        model.logits(frames, mask[:, :1])


def test_a_missing_model_lists_what_is_there(write: Write, tmp_path: Path) -> None:
    there = write(name="other.onnx")
    with pytest.raises(ModelError) as caught:
        load_model(tmp_path / "absent.onnx")
    assert caught.value.code == "model_missing"
    assert str(there) in caught.value.hint


def test_a_face_detector_is_no_model() -> None:
    """A bundled network of another task is found by name, and refused."""
    with pytest.raises(ModelError) as caught:
        load_model("libfacedetection")
    assert caught.value.code == "model_foreign"


@pytest.mark.parametrize(
    "about",
    [
        None,
        "{not json",
        [],
        {key: value for key, value in ABOUT.items() if key != "clip"},
        ABOUT | {"clip": {"frames": "many"}},
        ABOUT | {"clip": {"a_key_of_tomorrow": 1}},
    ],
    ids=["none", "garbled", "list", "no clip", "wrong type", "unknown key"],
)
def test_a_file_without_its_description(write: Write, about: object) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(write(about))
    assert caught.value.code == "model_foreign"


def test_a_network_with_other_inputs(write: Write) -> None:
    with pytest.raises(ModelError, match="maps"):
        load_model(write(first="pictures"))


@pytest.mark.parametrize("content", [b"", b"text", b"\x08\x0a" * 100])
def test_no_network_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "junk.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert caught.value.code == "model_foreign"


def test_a_torch_checkpoint_is_told_how_to_be_exported(tmp_path: Path) -> None:
    path = tmp_path / "best_model.pth"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert caught.value.hint == f"Run: unmask export {path}"


def test_a_device_that_is_not_there(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    only_cpu = ["CPUExecutionProvider"]
    monkeypatch.setattr(session.ort, "get_available_providers", lambda: only_cpu)
    with pytest.raises(ModelError) as caught:
        load_model(write(), device="cuda")
    assert caught.value.code == "model_device"
    with pytest.raises(ValueError, match="auto, cpu or cuda"):
        load_model(write(), device="abacus")


def test_a_gpu_build_without_a_gpu(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is asked for CUDA, and falls back with no more than a word."""
    built = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(session.ort, "get_available_providers", lambda: built)
    path = write()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ModelError) as caught:
            load_model(path, device="cuda")
        assert caught.value.code == "model_device"
        assert load_model(path).device == "cpu"
        assert load_model("unmask-base").sha256 == load_model("unmask-base", device="cpu").sha256
    assert capsys.readouterr().out == ""
