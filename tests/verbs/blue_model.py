"""A model whose answer is known.

It calls a face manipulated where it is bluer than red: its frame logit is 0.1 times mean blue minus
mean red, its clip logit the mean over the frames.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from unmask.config import ClipSpec
from unmask.scoring import Calibration

FITTED = Calibration(
    temperature=1.0, offset=0.0, threshold=0.6, strong=0.75, very_strong=0.9,
    expected_bpcer=0.05, expected_apcer=0.2, authentic=100, manipulated=100,
)  # fmt: skip


def write_model(path: Path, calibration: dict[str, Any], **spec: Any) -> Path:
    """Write it as an exported model; ``spec`` are settings of its clips."""

    def constant(name: str, value: np.ndarray) -> onnx.TensorProto:
        return numpy_helper.from_array(value, name)

    blueness = np.array([-0.1, 0.0, 0.1], np.float32)
    nodes = [
        helper.make_node("Cast", ["clips"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "over_space"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "blueness"], ["frame_logits"]),
        helper.make_node("Cast", ["mask"], ["there"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["frame_logits", "there"], ["counted"]),
        helper.make_node("ReduceSum", ["counted", "over_time"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["there", "over_time"], ["number"], keepdims=0),
        helper.make_node("Div", ["total", "number"], ["clip_logit"]),
    ]
    graph = helper.make_graph(
        nodes,
        "blueness",
        [
            helper.make_tensor_value_info("clips", TensorProto.UINT8, ["B", "T", "H", "W", 3]),
            helper.make_tensor_value_info("mask", TensorProto.BOOL, ["B", "T"]),
        ],
        [
            helper.make_tensor_value_info("frame_logits", TensorProto.FLOAT, ["B", "T"]),
            helper.make_tensor_value_info("clip_logit", TensorProto.FLOAT, ["B"]),
        ],
        [
            constant("over_space", np.array([2, 3])),
            constant("over_time", np.array([1])),
            constant("blueness", blueness),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    metadata = {
        "name": "blueness", "version": "1", "clip": asdict(ClipSpec(size_px=96, **spec)),
        "model": {}, "calibration": calibration, "training": {},
        "limitations": ["It sees blue, and nothing else."],
    }  # fmt: skip
    helper.set_model_props(model, {"unmask": json.dumps(metadata)})
    onnx.save(model, path)
    return path
