"""A detector's weights and description out of the ONNX file that `unmask export` wrote.

The graph keeps the names of a module's tensors, except that matrix products take their matrix
transposed: `TRANSPOSED` stands in place of ``weight`` there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

METADATA_KEY = "unmask"
TRANSPOSED = "weight.T"
_PREFIX = "detector."


def read_exported(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """The state dict, float32, and what a ``.pth`` of the same model says besides; None when the
    file is no export.

    Whole only for transformers with a head of products: the exporter folds batch statistics and
    recurrent layers into other tensors. A file in ``fp16`` gives weights of that rounding, one in
    ``int8`` none of its matrices.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx.numpy_helper import to_array

    try:
        model = onnx.load(str(path))
        about = json.loads(next(p.value for p in model.metadata_props if p.key == METADATA_KEY))
        config = about["training"]["config"] | {"clip": about["clip"], "model": about["model"]}
        about = about | {"config": config, "metrics": about["training"]["metrics"]}
    except (DecodeError, StopIteration, json.JSONDecodeError, KeyError, TypeError):
        return None
    state = {}
    for tensor in model.graph.initializer:
        name = tensor.name.removesuffix("_half")
        if name.startswith(_PREFIX):
            value = to_array(tensor)
            if name.endswith(TRANSPOSED):
                name, value = name.removesuffix(".T"), value.T
            value = np.array(
                value, np.float32 if value.dtype.kind == "f" else value.dtype, order="C"
            )
            state[name.removeprefix(_PREFIX)] = torch.from_numpy(value)
    return state, about
