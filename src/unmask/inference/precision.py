"""Smaller and faster copies of an exported network: weights as float16, or in 8-bit integers.

Needs the package onnx, which comes with ``unmask[train]``; running the copies does not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from unmask.errors import ModelError

Precision = Literal["fp32", "fp16", "int8"]

LEAST_VALUES = 1024  # smaller tensors (norms, biases) stay whole: nothing to gain, much to lose
_LEAST_SIDE = 16  # a matrix with fewer rows or columns is a head: its rounding would be the logit's


def store_half(source: Path, out: Path) -> None:
    """Write a copy whose large weights are stored as float16 and cast back when it is loaded.

    ONNX Runtime folds the casts into the weights at load, so the copy is half as large, runs in
    float32 at full speed on any provider, and differs by the weights' rounding alone.

    Args:
        source: an ONNX file with float32 weights inside.
        out: the file to write.
    """
    model = onnx.load(source)
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < LEAST_VALUES:
            continue
        name = tensor.name
        values = numpy_helper.to_array(tensor)
        limit = np.finfo(np.float16).max
        half = np.clip(values, -limit, limit).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, out)


def quantize(source: Path, out: Path) -> None:
    """Write a copy whose matrix products run in 8-bit integers.

    Weights get one scale a column; activations one a tensor, found anew at every run (dynamic
    quantisation), so no calibration data is needed, and a logit depends a little on the frames that
    run beside it. Weights take 7 of the 8 bits, so that processors that add pairs of products in 16
    bits (all without VNNI) never overflow: the same logits everywhere. Convolutions and the head
    stay as they are: this is for transformers.

    Args:
        source: an ONNX file with float32 weights inside.
        out: the file to write.

    Raises:
        ModelError: ``model_precision``: the network has no large matrix product.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source)
    if len(_heads(model)) == len(_products(model)):
        raise ModelError(
            "Nothing in this network gains from int8: it has no large matrix products.",
            code="model_precision",
            hint="Choose fp16: half the size, the same speed.",
        )
    with _quiet():
        quantize_dynamic(
            source,
            out,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=["MatMul", "Gemm"],
            nodes_to_exclude=_heads(model),
        )


def _products(model: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Name of every product with a constant matrix, and the matrix's shape."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return [
        (node.name, shapes[node.input[1]])
        for node in model.graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in shapes
    ]


def _heads(model: Any) -> list[str]:
    """Products with a matrix too narrow to gain from integers."""
    return [name for name, shape in _products(model) if min(shape) < _LEAST_SIDE]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantiser, which advises on the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
