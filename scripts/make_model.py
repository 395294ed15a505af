"""Make a tiny detector whose answer is known, for tests and benchmarks of all that is around it.

It calls a face manipulated where it is bluer than red: its frame logit is 0.1 times mean blue minus
mean red, its clip logit the mean over the frames.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from unmask.config import ClipSpec
from unmask.scoring import Calibration

CALIBRATION = Calibration(
    temperature=1.0, offset=0.0, threshold=0.6, strong=0.75, very_strong=0.9,
    expected_bpcer=0.05, expected_apcer=0.2, authentic=100, manipulated=100,
)  # fmt: skip


def write_blueness(
    path: Path,
    calibration: Calibration | None = CALIBRATION,
    *,
    name: str = "blueness",
    **spec: Any,
) -> Path:
    """Write the model as `unmask export` would.

    Args:
        path: an ``.onnx`` file.
        calibration: that travels with it; None leaves it uncalibrated.
        name: of the model.
        spec: settings of `ClipSpec`; clips are 96 px large and 8 frames long by default.
    """
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
            numpy_helper.from_array(np.array([2, 3]), "over_space"),
            numpy_helper.from_array(np.array([1]), "over_time"),
            numpy_helper.from_array(np.array([-0.1, 0.0, 0.1], np.float32), "blueness"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    metadata = {
        "name": name,
        "version": "1",
        "clip": asdict(ClipSpec(**({"size_px": 96, "frames": 8} | spec))),
        "model": {},
        "calibration": calibration.to_dict() if calibration else {},
        "training": {},
        "limitations": ["It sees blue, and nothing else."],
    }
    helper.set_model_props(model, {"unmask": json.dumps(metadata)})
    onnx.save(model, path)
    return path


if __name__ == "__main__":
    print(write_blueness(Path(sys.argv[1])))
