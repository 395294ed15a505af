"""A DINOv2 vision transformer's weights out of an ONNX graph, in timm's names.

Exporters keep the names of biases and scales but fold the transposed weight matrices into
anonymous tensors. The nodes still carry the module's path, so each matrix is found through the
MatMul that uses it: ``/backbone/encoder/layer.0/mlp/fc1/MatMul`` takes ``mlp.fc1`` of block 0.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unmask.errors import ModelError

_LAYER = "backbone.encoder.layer"
_BLOCK = re.compile(r"backbone\.encoder\.layer\.(\d+)\.")

_PLAIN = {  # timm's name -> the graph's, within one block
    "norm1.weight": "norm1.weight",
    "norm1.bias": "norm1.bias",
    "attn.proj.weight": "attention.output.dense.weight",
    "attn.proj.bias": "attention.output.dense.bias",
    "ls1.gamma": "layer_scale1.lambda1",
    "norm2.weight": "norm2.weight",
    "norm2.bias": "norm2.bias",
    "mlp.fc1.weight": "mlp.fc1.weight",
    "mlp.fc1.bias": "mlp.fc1.bias",
    "mlp.fc2.weight": "mlp.fc2.weight",
    "mlp.fc2.bias": "mlp.fc2.bias",
    "ls2.gamma": "layer_scale2.lambda1",
}


def read_dinov2(path: Path) -> dict[str, torch.Tensor]:
    """The state dict of the DINOv2 encoder inside ``path``, float32, in timm's names.

    Raises:
        ModelError: ``model_mismatch`` when the graph has no such encoder.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        graph = onnx.load(str(path)).graph
        arrays = _named_arrays(graph)
        return {name: torch.from_numpy(array) for name, array in _in_timm_names(arrays)}
    except (DecodeError, KeyError) as error:
        raise ModelError(
            f"'{path.name}' holds no DINOv2 encoder ({error}).", code="model_mismatch"
        ) from error


def _named_arrays(graph: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Every initializer by its module's name, matrices back in PyTorch's (out, in) layout."""
    from onnx.numpy_helper import to_array

    raw = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    named = {name: np.array(array) for name, array in raw.items()}
    for node in graph.node:
        operands = [name for name in node.input if name in raw]
        if node.op_type == "MatMul" and operands:
            module = node.name.strip("/").removesuffix("/MatMul").replace("/", ".")
            named[f"{module}.weight"] = np.ascontiguousarray(raw[operands[0]].T)
        if node.name == "/backbone/embeddings/Reshape_1":  # before it is resized to the input
            named["position.patches"] = np.array(raw[node.input[0]])
        if node.op_type == "Concat" and operands and node.name.startswith("/backbone/embeddings"):
            named["position.class"] = np.array(raw[operands[0]])
    return named


def _in_timm_names(
    arrays: dict[str, np.ndarray[Any, Any]],
) -> list[tuple[str, np.ndarray[Any, Any]]]:
    embeddings = "backbone.embeddings"
    width = arrays[f"{embeddings}.cls_token"].shape[-1]
    position = [arrays[f"position.{part}"].reshape(1, -1, width) for part in ("class", "patches")]
    pairs = [
        ("cls_token", arrays[f"{embeddings}.cls_token"]),
        ("pos_embed", np.concatenate(position, axis=1)),
    ]
    for part in ("weight", "bias"):
        patches = arrays[f"{embeddings}.patch_embeddings.projection.{part}"]
        pairs.append((f"patch_embed.proj.{part}", patches))
        pairs.append((f"norm.{part}", arrays[f"backbone.layernorm.{part}"]))
    blocks = {int(match[1]) for name in arrays if (match := _BLOCK.match(name))}
    for block in sorted(blocks):
        for part in ("weight", "bias"):
            heads = [
                arrays[f"{_LAYER}.{block}.attention.attention.{role}.{part}"]
                for role in ("query", "key", "value")
            ]
            pairs.append((f"blocks.{block}.attn.qkv.{part}", np.concatenate(heads)))
        for ours, theirs in _PLAIN.items():
            pairs.append((f"blocks.{block}.{ours}", arrays[f"{_LAYER}.{block}.{theirs}"]))
    return pairs
