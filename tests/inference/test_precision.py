"""Copies in half precision and in integers: smaller, nearly the same, and honest about it."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from unmask.errors import ModelError
from unmask.inference.precision import quantize, store_half

SIDE = 64


def write(path: Path, *, wide: bool = True) -> Path:
    """x -> x W1 -> GELU-like clip -> W2 (a head of one column)."""
    random = np.random.default_rng(0)
    shapes = {"first": (SIDE, 2 * SIDE if wide else 1), "head": (2 * SIDE if wide else 1, 1)}
    weights = [
        numpy_helper.from_array(random.normal(0, 0.1, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["hidden"], name="first_product"),
        helper.make_node("Relu", ["hidden"], ["kept"], name="relu"),
        helper.make_node("MatMul", ["kept", "head"], ["y"], name="head_product"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "two_layers",
        [value("x", TensorProto.FLOAT, ["B", SIDE])],
        [value("y", TensorProto.FLOAT, ["B", 1])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def answer(path: Path) -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(8, SIDE)).astype(np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.onnx")
    store_half(whole, tmp_path / "half.onnx")
    assert (tmp_path / "half.onnx").stat().st_size < 0.6 * whole.stat().st_size
    difference = np.abs(answer(tmp_path / "half.onnx") - answer(whole)).max()
    assert 0 < difference < 2e-3


def test_small_tensors_stay_whole(tmp_path: Path) -> None:
    store_half(write(tmp_path / "whole.onnx"), tmp_path / "half.onnx")
    kinds = {t.name: t.data_type for t in onnx.load(tmp_path / "half.onnx").graph.initializer}
    assert kinds == {"first_half": TensorProto.FLOAT16, "head": TensorProto.FLOAT}


def test_the_casts_cost_nothing_at_run_time(tmp_path: Path) -> None:
    """ONNX Runtime's own optimised graph holds float32 weights and no cast."""
    store_half(write(tmp_path / "whole.onnx"), tmp_path / "half.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        tmp_path / "half.onnx", options, providers=["CPUExecutionProvider"]
    )
    optimised = onnx.load(tmp_path / "optimised.onnx")
    assert "Cast" not in {node.op_type for node in optimised.graph.node}


def test_integers_quarter_the_file_and_spare_the_head(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.onnx")
    quantize(whole, tmp_path / "int8.onnx")
    assert (tmp_path / "int8.onnx").stat().st_size < 0.4 * whole.stat().st_size
    nodes = [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node]
    assert nodes.count("MatMul") == 1  # the head
    assert "MatMulInteger" in nodes
    expected = answer(whole)
    assert 0 < np.abs(answer(tmp_path / "int8.onnx") - expected).max() < 0.05 * expected.std() * 3


def test_a_network_without_large_products_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.onnx", wide=False)
    with pytest.raises(ModelError) as caught:
        quantize(whole, tmp_path / "int8.onnx")
    assert caught.value.code == "model_precision"
    assert not (tmp_path / "int8.onnx").exists()


def test_integer_weights_leave_room_for_sums_of_two_products(tmp_path: Path) -> None:
    """Processors without VNNI add two products in 16 bits: 2 x 255 x 63 fits, 127 not."""
    quantize(write(tmp_path / "whole.onnx"), tmp_path / "int8.onnx")
    integers = [
        numpy_helper.to_array(tensor)
        for tensor in onnx.load(tmp_path / "int8.onnx").graph.initializer
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 2
    ]
    assert integers
    assert all(np.abs(values.astype(int)).max() <= 64 for values in integers)
