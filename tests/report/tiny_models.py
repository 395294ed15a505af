"""Networks whose answer is known, as `unmask export` would write them.

A patch's logit is 0.1 times its mean blue minus mean red, a frame's the mean over its patches, a
clip's the mean over its frames.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from unmask.config import ClipSpec
from unmask.scoring import Calibration

SIDE, GRID = 96, 4
FITTED = Calibration(
    temperature=1.0, offset=0.0, threshold=0.6, strong=0.75, very_strong=0.9,
    expected_bpcer=0.05, expected_apcer=0.2, authentic=100, manipulated=100,
)  # fmt: skip


def write_model(path: Path, *, patches: bool = False, frames: int = 8) -> Path:
    def constant(name: str, value: Any) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(value), name)

    cell = SIDE // GRID
    nodes = [
        helper.make_node("Cast", ["clips"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["pixels", "blueness"], ["map"]),  # (B, T, H, W)
        helper.make_node("Reshape", ["map", "cells"], ["in_cells"]),  # (B, T, g, s, g, s)
        helper.make_node("ReduceMean", ["in_cells", "inner"], ["patch_logits"], keepdims=0),
        helper.make_node("ReduceMean", ["patch_logits", "space"], ["frame_logits"], keepdims=0),
        helper.make_node("Cast", ["mask"], ["there"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["frame_logits", "there"], ["counted"]),
        helper.make_node("ReduceSum", ["counted", "over_time"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["there", "over_time"], ["number"], keepdims=0),
        helper.make_node("Div", ["total", "number"], ["clip_logit"]),
    ]
    value = helper.make_tensor_value_info
    outputs = [
        value("frame_logits", TensorProto.FLOAT, ["B", "T"]),
        value("clip_logit", TensorProto.FLOAT, ["B"]),
    ]
    if patches:
        outputs.append(value("patch_logits", TensorProto.FLOAT, ["B", "T", GRID, GRID]))
    graph = helper.make_graph(
        nodes,
        "blueness",
        [
            value("clips", TensorProto.UINT8, ["B", "T", SIDE, SIDE, 3]),
            value("mask", TensorProto.BOOL, ["B", "T"]),
        ],
        outputs,
        [
            constant("blueness", np.array([-0.1, 0, 0.1], np.float32)),
            constant("cells", [0, 0, GRID, cell, GRID, cell]),
            constant("inner", [3, 5]),
            constant("space", [2, 3]),
            constant("over_time", [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    about = {
        "name": "blueness", "version": "1", "clip": asdict(ClipSpec(size_px=SIDE, frames=frames)),
        "model": {}, "calibration": FITTED.to_dict(), "training": {},
        "limitations": ["It sees blue, and nothing else."],
    }  # fmt: skip
    helper.set_model_props(model, {"unmask": json.dumps(about)})
    onnx.save(model, path)
    return path
