"""ONNX files: plain chains of operations, float or int8 with QuantizeLinear and DequantizeLinear around each (QDQ)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from ditmos.errors import DitmosError
from ditmos.interchange.chain import Chain, Quantity
from ditmos.model.layer_shape import Kind

_SKIPPED = ("Identity", "Dropout", "Unsqueeze", "Squeeze", "Reshape", "Flatten")
_ZERO_POINTS = {np.dtype(np.int8): 0, np.dtype(np.uint8): -128}  # what makes int8 of a stored value


class _Constant(NamedTuple):
    """A weight: as stored, and the scale of each output channel; None where it is in real numbers."""

    values: NDArray
    scale: NDArray[np.float64] | None


def read_onnx(path: Path) -> Chain:
    """The network of a file.

    Raises:
        DitmosError: no ONNX file, or what is not supported, by the name of its node.
    """
    try:
        model = onnx.load(str(path))
    except Exception as error:  # of protobuf, of many kinds
        raise DitmosError(f"{path}: no ONNX file: {type(error).__name__}") from None
    try:
        return _Reader(path.name, model.graph).read()
    except (KeyError, IndexError, ValueError) as error:
        raise DitmosError(
            f"{path.name}: an operand is not there, or of a shape that does not fit: {type(error).__name__} {error}"
        ) from None


class _Reader:
    def __init__(self, source: str, graph: onnx.GraphProto) -> None:
        self.source, self.graph = source, graph
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = numpy_helper.to_array(_attributes(node)["value"])
        self.weights = {node.output[0]: node for node in graph.node
                        if node.op_type == "DequantizeLinear" and node.input[0] in self.constants}  # fmt: skip
        data = [value for value in graph.input if value.name not in self.constants]
        if len(data) != 1 or len(graph.output) != 1:
            raise DitmosError(f"{source}: {len(data)} inputs and {len(graph.output)} outputs, expected one of each")
        self.input = data[0]
        quantized = any(node.op_type == "QuantizeLinear" for node in graph.node)
        dims = [dim.dim_value for dim in self.input.type.tensor_type.shape.dim][1:]
        self.last_channels = self._starts_with_transpose()
        sizes = [size for size in dims if size != 1] if len(dims) == 3 else dims
        if len(sizes) != 2 or 0 in sizes:
            raise DitmosError(f"{source}: input is {dims}, expected channels and rows (N, channels, rows), both fixed")
        rows, channels = sizes if self.last_channels else sizes[::-1]
        self.chain = Chain(source, rows, channels, "qdq" if quantized else "float")

    def read(self) -> Chain:
        current, chain = self.input.name, self.chain
        left = len(self.graph.node)
        while current != self.graph.output[0].name:
            chain.need(left > 0, f"its nodes run in a circle through {current}")
            left -= 1
            nodes = [node for node in self.graph.node if current in node.input]
            if len(nodes) != 1:
                raise DitmosError(f"{self.source}: {current} is read by {len(nodes)} nodes, expected one: no branches")
            node = nodes[0]
            name = f"{node.op_type} {node.name or node.output[0]}"
            handle = _HANDLERS.get(node.op_type)
            known = ", ".join(sorted([*_HANDLERS, *_SKIPPED, "Softmax", "Transpose (first)"]))
            if node.op_type in _SKIPPED:
                if node.op_type in ("Reshape", "Flatten") and (chain.rows > 1 or chain.width > 1):
                    chain.flatten(name, "rows")
            elif node.op_type == "Softmax":
                chain.left_out.append(name)
            elif node.op_type == "Transpose" and self.last_channels and not chain.steps:
                pass
            elif handle is None:
                raise DitmosError(f"{self.source}: {name} is not supported, expected one of {known}")
            else:
                handle(self, node, name, _attributes(node))
            current = node.output[0]
        return chain

    def _starts_with_transpose(self) -> bool:
        """Rows before channels in the window."""
        for node in self.graph.node:
            if node.op_type == "Transpose":
                return list(_attributes(node).get("perm", ())) == [0, 2, 1]
            if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
                return False
        return False

    # Weights and scales.

    def _constant(self, name: str, tensor: str) -> _Constant:
        if tensor in self.constants:
            return _Constant(self.constants[tensor], None)
        if tensor not in self.weights:
            raise DitmosError(f"{self.source}: {name}: {tensor} is computed, expected a constant")
        node = self.weights[tensor]
        values = self.constants[node.input[0]]
        scale = np.atleast_1d(self.constants[node.input[1]]).astype(np.float64)
        zero = self.constants[node.input[2]] if len(node.input) > 2 else np.zeros(1)
        if np.any(zero):
            raise DitmosError(f"{self.source}: {name}: weights with zero points, expected symmetric ones")
        return _Constant(values, scale)

    def _weight(self, name: str, tensor: str, transposed: bool = False) -> tuple[NDArray, NDArray[np.float64]]:
        """Weights with the output channels first, and a scale for each."""
        values, scale = self._constant(name, tensor)
        values = values.T if transposed else values
        if (scale is None) != (self.chain.arithmetic == "float"):
            raise DitmosError(
                f"{self.source}: {name}: its weights are of {values.dtype}, those of other layers are not"
            )
        if scale is not None and values.dtype != np.int8:
            raise DitmosError(f"{self.source}: {name}: its weights are {values.dtype}, expected int8")
        return values, np.ones(len(values)) if scale is None else np.broadcast_to(scale, len(values))

    def _bias(self, name: str, node: onnx.NodeProto, outputs: int) -> NDArray[np.float64]:
        """In real numbers; 0 where there is none."""
        if len(node.input) < 3 or not node.input[2]:
            return np.zeros(outputs)
        values, scale = self._constant(name, node.input[2])
        return values.astype(np.float64) * (1.0 if scale is None else scale)

    # One operation each.

    def quantize(self, node: onnx.NodeProto, name: str, attributes: dict[str, Any]) -> None:
        scale = np.atleast_1d(self.constants[node.input[1]])
        zero = np.atleast_1d(self.constants[node.input[2]] if len(node.input) > 2 else np.uint8(0))
        if len(scale) != 1 or zero.dtype not in _ZERO_POINTS:
            raise DitmosError(
                f"{self.source}: {name}: {len(scale)} scales of {zero.dtype}, expected one of int8 or uint8"
            )
        self.chain.quantized(name, Quantity(float(scale[0]), int(zero[0]) + _ZERO_POINTS[zero.dtype]))

    def convolution(self, node: onnx.NodeProto, name: str, attributes: dict[str, Any]) -> None:
        weight, scale = self._weight(name, node.input[1])
        height = weight.shape[2] if weight.ndim == 4 else 1
        if height != 1 and weight.shape[3] != 1:
            raise DitmosError(f"{self.source}: {name}: kernel of {weight.shape[2:]}, expected one dimension of 1")
        weight = weight.reshape(*weight.shape[:2], -1)
        kernel, stride, pad = self._window(name, attributes, weight.shape[2])
        if any(d != 1 for d in attributes.get("dilations", ())):
            raise DitmosError(f"{self.source}: {name}: dilated, expected dilations of 1")
        group = attributes.get("group", 1)
        channels = self.chain.width
        if group not in (1, channels) or (group > 1 and len(weight) != channels):
            raise DitmosError(f"{self.source}: {name}: {group} groups of {channels} channels, expected 1, or one each")
        bias = self._bias(name, node, len(weight))
        depthwise = group == channels and weight.shape[1] == 1 and len(weight) == channels > 1
        kind: Kind = "depthwise" if depthwise else "conv"
        self.chain.timewise(name, kind, weight, bias, scale, stride=stride, pad=pad, kernel=kernel)

    def _window(self, name: str, attributes: dict[str, Any], default: int = 1) -> tuple[int, int, tuple[int, int]]:
        """Kernel, stride and padding along time; the other dimension of two must have none."""
        sizes, strides, pads = (list(attributes.get(key, ())) for key in ("kernel_shape", "strides", "pads"))
        axes = [i for i, size in enumerate(sizes) if size != 1]
        kernel = [sizes[i] for i in axes] or [default]
        if len(axes) == 1:  # a stride along the dimension of 1 does nothing
            strides = strides[axes[0] : axes[0] + 1]
        strides = [size for size in strides if size != 1] or [1]
        half = len(pads) // 2
        padded = [i for i in range(half) if pads[i] or pads[half + i]]
        along = [(pads[i], pads[half + i]) for i in padded] or [(0, 0)]
        if len(axes) == 1 and padded not in ([], axes):
            raise DitmosError(f"{self.source}: {name} is padded across time, expected padding along it")
        if len(kernel) > 1 or len(strides) > 1 or len(along) > 1:
            raise DitmosError(f"{self.source}: {name} works along two dimensions, expected one")
        automatic = attributes.get("auto_pad", b"NOTSET").decode()
        if automatic in ("SAME_UPPER", "SAME_LOWER"):
            total = max((-(-self.chain.rows // strides[0]) - 1) * strides[0] + kernel[0] - self.chain.rows, 0)
            less, more = total // 2, total - total // 2
            return kernel[0], strides[0], (less, more) if automatic == "SAME_UPPER" else (more, less)
        return kernel[0], strides[0], along[0]

    def max_pool(self, node: onnx.NodeProto, name: str, attributes: dict[str, Any]) -> None:
        kernel, stride, pad = self._window(name, attributes)
        self._no_padding(name, pad)
        self.chain.max_pool(name, kernel, stride)

    def average_pool(self, node: onnx.NodeProto, name: str, attributes: dict[str, Any]) -> None:
        kernel, stride, pad = self._window(name, attributes)
        self._no_padding(name, pad)
        self.chain.average(name, kernel, stride)

    def global_average(self, node: onnx.NodeProto, name: str, attributes: dict[str, Any]) -> None:
        self.chain.average(name, self.chain.rows, 1)

    def mean(self, node: onnx.NodeProto, name: str, attributes: dict[str, Any]) -> None:
        given = self.constants.get(node.input[1]) if len(node.input) > 1 else None
        axes = attributes.get("axes", []) if given is None else given.tolist()
        if sorted(axes) not in ([2], [-1], [2, 3], [3]):
            raise DitmosError(f"{self.source}: {name}: mean over axes {axes}, expected that of time")
        self.chain.average(name, self.chain.rows, 1)

    def _no_padding(self, name: str, pad: tuple[int, int]) -> None:
        if any(pad):
            raise DitmosError(f"{self.source}: {name} is padded, expected pooling without padding")

    def gemm(self, node: onnx.NodeProto, name: str, attributes: dict[str, Any]) -> None:
        if attributes.get("transA") or attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0:
            raise DitmosError(f"{self.source}: {name}: transA, alpha or beta, expected none")
        weight, scale = self._weight(name, node.input[1], transposed=not attributes.get("transB"))
        self.chain.dense(name, weight, self._bias(name, node, len(weight)), scale)

    def matmul(self, node: onnx.NodeProto, name: str, attributes: dict[str, Any]) -> None:
        weight, scale = self._weight(name, node.input[1], transposed=True)
        self.chain.dense(name, weight, np.zeros(len(weight)), scale)

    def add(self, node: onnx.NodeProto, name: str, attributes: dict[str, Any]) -> None:
        """The bias of a MatMul."""
        steps = self.chain.steps
        other = next((tensor for tensor in node.input if tensor in self.constants or tensor in self.weights), None)
        if other is None or not steps or steps[-1].kind != "fc" or steps[-1].output is not None or steps[-1].bias.any():
            raise DitmosError(f"{self.source}: {name} is not supported, expected the bias of a MatMul before it")
        values, scale = self._constant(name, other)
        steps[-1] = steps[-1].with_bias(values.astype(np.float64) * (1.0 if scale is None else scale))

    def normalize(self, node: onnx.NodeProto, name: str, attributes: dict[str, Any]) -> None:
        """Absorbed into the layer before it."""
        steps = self.chain.steps
        if self.chain.arithmetic != "float" or not steps or steps[-1].relu or steps[-1].pool > 1:
            raise DitmosError(f"{self.source}: {name} is not right behind a convolution of a float network")
        gain, shift, mean, variance = (self.constants[tensor].astype(np.float64) for tensor in node.input[1:5])
        factor = gain / np.sqrt(variance + attributes.get("epsilon", 1e-5))
        steps[-1] = steps[-1].scaled(factor, shift - mean * factor)

    def clip(self, node: onnx.NodeProto, name: str, attributes: dict[str, Any]) -> None:
        ends = [attributes.get("min"), attributes.get("max")]
        for i, tensor in enumerate(node.input[1:3]):
            ends[i] = float(self.constants[tensor]) if tensor else None
        if ends[0] != 0:
            raise DitmosError(f"{self.source}: {name} clips at {ends[0]}, expected 0, as a ReLU does")
        self.chain.activation(name, ends[1])

    def relu(self, node: onnx.NodeProto, name: str, attributes: dict[str, Any]) -> None:
        self.chain.activation(name)


_HANDLERS: dict[str, Callable[[_Reader, onnx.NodeProto, str, dict[str, Any]], None]] = {
    "QuantizeLinear": _Reader.quantize,
    "DequantizeLinear": _Reader.quantize,
    "Conv": _Reader.convolution,
    "MaxPool": _Reader.max_pool,
    "AveragePool": _Reader.average_pool,
    "GlobalAveragePool": _Reader.global_average,
    "ReduceMean": _Reader.mean,
    "Gemm": _Reader.gemm,
    "MatMul": _Reader.matmul,
    "Add": _Reader.add,
    "BatchNormalization": _Reader.normalize,
    "Clip": _Reader.clip,
    "Relu": _Reader.relu,
}


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
