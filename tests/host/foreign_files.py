"""Small writers of ONNX and TFLite files, for tests: one description of a network, no training framework."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import flatbuffers
import numpy as np
import onnx
import tflite
from numpy.random import Generator
from onnx import TensorProto, helper, numpy_helper

Kind = Literal["conv", "depthwise", "average", "fc"]


@dataclass(frozen=True)
class Layer:
    """weight int8: (out, in, kernel), depthwise (channels, 1, kernel), fully connected (out, rows * channels) with all
    rows of a channel side by side. scale, zero_point: of the output."""

    kind: Kind
    weight: np.ndarray
    bias: np.ndarray
    weight_scale: np.ndarray
    scale: float
    zero_point: int = -128
    stride: int = 1
    pad: tuple[int, int] = (0, 0)
    relu: bool = True
    pool: int = 1
    kernel: int = 0  # of an average


@dataclass(frozen=True)
class Network:
    rows: int
    channels: int
    scale: float
    zero_point: int
    layers: tuple[Layer, ...]
    classes: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", len(self.layers[-1].weight))


def random_network(
    rng: Generator, *, same: bool = True, average: bool = True, depthwise: bool = True,
    geometry: tuple[int, int, int] = (30, 3, 5),
) -> Network:  # fmt: skip
    """A convolution of stride 2, depthwise and pointwise ones, pooling, an average, one hidden layer. geometry: rows,
    channels, classes."""
    rows, channels, classes = geometry
    width = 6
    layers: list[Layer] = []
    unit = scale = float(np.float32(rng.uniform(0.01, 0.1)))
    zero = int(rng.integers(-20, 20))
    current = rows

    def add(kind: Kind, inputs: int, out: int, kernel: int, stride: int = 1, pool: int = 1, last: bool = False) -> None:
        nonlocal current, unit
        shape = {"conv": (out, inputs, kernel), "depthwise": (out, 1, kernel), "fc": (out, inputs)}[kind]
        weight = np.clip(np.rint(rng.laplace(0, 25, shape)), -127, 127).astype(np.int8)
        weight_scale = rng.uniform(0.002, 0.01, out).astype(np.float32).astype(np.float64)
        fan_in = weight[0].size
        made = float(np.float32(unit * 0.006 * 25 * 60 * np.sqrt(fan_in) / 100))
        bias = rng.integers(-2000, 2000, out).astype(np.int32)
        pad = (0, 0)
        if same and kind != "fc" and kernel > 1:
            total = max((-(-current // stride) - 1) * stride + kernel - current, 0)
            pad = total // 2, total - total // 2
        zero_point = int(rng.integers(-40, 40)) if last else -128
        layers.append(Layer(kind, weight, bias, weight_scale, made, zero_point, stride, pad, not last, pool))
        if kind != "fc":
            current = ((current + sum(pad) - kernel) // stride + 1) // pool
        unit = made

    add("conv", channels, width, 5, stride=2)
    if depthwise:
        add("depthwise", width, width, 3)
    add("conv", width, 8, 1, pool=2)
    if average:
        last = layers[-1]
        layers.append(replace(last, kind="average", kernel=current, pad=(0, 0), stride=1, pool=1, relu=False))
        current = 1
    add("fc", 8 * current, 9, 1)
    add("fc", 9, classes, 1, last=True)
    return Network(rows, channels, scale, zero, tuple(layers))


# ----- ONNX -------------------------------------------------------------------------------------------------------


class _Onnx:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def stored(self, x: str, scale: float, zero_point: int, unsigned: bool) -> str:
        """Quantised and back."""
        zero = np.uint8(zero_point + 128) if unsigned else np.int8(zero_point)
        parameters = self.constant(np.array(np.float32(scale))), self.constant(np.array(zero))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, *parameters), *parameters)

    def weight(self, values: np.ndarray, scale: np.ndarray, axis: int = 0) -> str:
        parts = values, scale.astype(np.float32), np.zeros(len(scale), values.dtype)
        return self.node("DequantizeLinear", *map(self.constant, parts), axis=axis)


def onnx_model(network: Network, *, quantized: bool = True, unsigned: bool = False) -> onnx.ModelProto:
    """int8 with QDQ, or the same real numbers in float. Windows are (N, channels, rows)."""
    g, read, flat = _Onnx(), network.scale, False
    x = g.stored("window", network.scale, network.zero_point, unsigned) if quantized else "window"
    for layer in network.layers:
        scale = np.asarray(layer.weight_scale, np.float32).astype(np.float64)
        shape = (-1, *[1] * (layer.weight.ndim - 1))
        real = (layer.weight * scale.reshape(shape)).astype(np.float32), (layer.bias * read * scale).astype(np.float32)
        if layer.kind == "average":
            x = g.node("GlobalAveragePool", x)
        else:
            weight = g.weight(layer.weight, scale) if quantized else g.constant(real[0])
            bias = g.weight(layer.bias, read * scale) if quantized else g.constant(real[1])
            if layer.kind == "fc":
                x, flat = x if flat else g.node("Flatten", x), True
                x = g.node("Gemm", x, weight, bias, transB=1)
            else:
                group = len(layer.weight) if layer.kind == "depthwise" else 1
                x = g.node("Conv", x, weight, bias, group=group, strides=[layer.stride], pads=list(layer.pad),
                           kernel_shape=[layer.weight.shape[2]])  # fmt: skip
            x = g.node("Relu", x) if layer.relu else x
        x = g.stored(x, layer.scale, layer.zero_point, unsigned) if quantized else x
        if layer.pool == 2:
            x = g.node("MaxPool", x, kernel_shape=[2], strides=[2])
        read = layer.scale
    x = g.node("Softmax", x)
    window = helper.make_tensor_value_info("window", TensorProto.FLOAT, [1, network.channels, network.rows])
    result = helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, network.classes])
    graph = helper.make_graph(g.nodes, "network", [window], [result], g.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


# ----- TFLite -----------------------------------------------------------------------------------------------------


class _Tflite:
    """A model of one subgraph, written from the leaves up."""

    def __init__(self) -> None:
        self.b = flatbuffers.Builder(1 << 14)
        self.buffers = [self._buffer(b"")]
        self.tensors: list[int] = []
        self.ops: list[int] = []
        self.codes: list[int] = []

    def _buffer(self, data: bytes) -> int:
        content = self.b.CreateByteVector(data) if data else None
        tflite.BufferStart(self.b)
        if content is not None:
            tflite.BufferAddData(self.b, content)
        return tflite.BufferEnd(self.b)

    def _vector(self, items: list[int], *, tables: bool = False) -> int:
        self.b.StartVector(4, len(items), 4)
        for item in reversed(items):
            (self.b.PrependUOffsetTRelative if tables else self.b.PrependInt32)(item)
        return self.b.EndVector()

    def tensor(
        self, shape: list[int], kind: int, scale: np.ndarray | float, zero: int = 0, axis: int = 0, data: bytes = b""
    ) -> int:
        index = 0
        if data:
            self.buffers.append(self._buffer(data))
            index = len(self.buffers) - 1
        scales = np.atleast_1d(np.asarray(scale, np.float32))
        scale_vector = self.b.CreateNumpyVector(scales)
        zero_vector = self.b.CreateNumpyVector(np.full(len(scales), zero, np.int64))
        tflite.QuantizationParametersStart(self.b)
        tflite.QuantizationParametersAddScale(self.b, scale_vector)
        tflite.QuantizationParametersAddZeroPoint(self.b, zero_vector)
        tflite.QuantizationParametersAddQuantizedDimension(self.b, axis)
        quantization = tflite.QuantizationParametersEnd(self.b)
        dims, name = self._vector(shape), self.b.CreateString(f"t{len(self.tensors)}")
        tflite.TensorStart(self.b)
        tflite.TensorAddShape(self.b, dims)
        tflite.TensorAddType(self.b, kind)
        tflite.TensorAddBuffer(self.b, index)
        tflite.TensorAddName(self.b, name)
        tflite.TensorAddQuantization(self.b, quantization)
        self.tensors.append(tflite.TensorEnd(self.b))
        return len(self.tensors) - 1

    def op(self, code: int, inputs: list[int], output: int, kind: int = 0, options: int | None = None) -> None:
        if code not in self.codes:
            self.codes.append(code)
        reads, makes = self._vector(inputs), self._vector([output])
        tflite.OperatorStart(self.b)
        tflite.OperatorAddOpcodeIndex(self.b, self.codes.index(code))
        tflite.OperatorAddInputs(self.b, reads)
        tflite.OperatorAddOutputs(self.b, makes)
        if options is not None:
            tflite.OperatorAddBuiltinOptionsType(self.b, kind)
            tflite.OperatorAddBuiltinOptions(self.b, options)
        self.ops.append(tflite.OperatorEnd(self.b))

    def finish(self, first: int, last: int) -> bytes:
        codes = []
        for code in self.codes:
            tflite.OperatorCodeStart(self.b)
            tflite.OperatorCodeAddBuiltinCode(self.b, code)
            tflite.OperatorCodeAddDeprecatedBuiltinCode(self.b, min(code, 127))
            codes.append(tflite.OperatorCodeEnd(self.b))
        parts = self._vector(self.tensors, tables=True), self._vector([first]), self._vector([last])
        ops = self._vector(self.ops, tables=True)
        tflite.SubGraphStart(self.b)
        tflite.SubGraphAddTensors(self.b, parts[0])
        tflite.SubGraphAddInputs(self.b, parts[1])
        tflite.SubGraphAddOutputs(self.b, parts[2])
        tflite.SubGraphAddOperators(self.b, ops)
        graph = self._vector([tflite.SubGraphEnd(self.b)], tables=True)
        codes_vector, buffers = self._vector(codes, tables=True), self._vector(self.buffers, tables=True)
        tflite.ModelStart(self.b)
        tflite.ModelAddVersion(self.b, 3)
        tflite.ModelAddOperatorCodes(self.b, codes_vector)
        tflite.ModelAddSubgraphs(self.b, graph)
        tflite.ModelAddBuffers(self.b, buffers)
        self.b.Finish(tflite.ModelEnd(self.b), b"TFL3")
        return bytes(self.b.Output())

    def conv_options(self, kind: Kind, layer: Layer) -> tuple[int, int]:
        name = "Conv2DOptions" if kind == "conv" else "DepthwiseConv2DOptions"
        padding = tflite.Padding.SAME if any(layer.pad) else tflite.Padding.VALID
        functions = tflite.ActivationFunctionType
        getattr(tflite, f"{name}Start")(self.b)
        getattr(tflite, f"{name}AddPadding")(self.b, padding)
        getattr(tflite, f"{name}AddStrideH")(self.b, 1)
        getattr(tflite, f"{name}AddStrideW")(self.b, layer.stride)
        getattr(tflite, f"{name}AddDilationHFactor")(self.b, 1)
        getattr(tflite, f"{name}AddDilationWFactor")(self.b, 1)
        if kind == "depthwise":
            tflite.DepthwiseConv2DOptionsAddDepthMultiplier(self.b, 1)
        getattr(tflite, f"{name}AddFusedActivationFunction")(self.b, functions.RELU if layer.relu else functions.NONE)
        return getattr(tflite.BuiltinOptions, name), getattr(tflite, f"{name}End")(self.b)

    def pool_options(self) -> tuple[int, int]:
        tflite.Pool2DOptionsStart(self.b)
        tflite.Pool2DOptionsAddPadding(self.b, tflite.Padding.VALID)
        for name, size in (("StrideW", 2), ("StrideH", 1), ("FilterWidth", 2), ("FilterHeight", 1)):
            getattr(tflite, f"Pool2DOptionsAdd{name}")(self.b, size)
        return tflite.BuiltinOptions.Pool2DOptions, tflite.Pool2DOptionsEnd(self.b)

    def dense_options(self, layer: Layer) -> tuple[int, int]:
        functions = tflite.ActivationFunctionType
        tflite.FullyConnectedOptionsStart(self.b)
        function = functions.RELU if layer.relu else functions.NONE
        tflite.FullyConnectedOptionsAddFusedActivationFunction(self.b, function)
        return tflite.BuiltinOptions.FullyConnectedOptions, tflite.FullyConnectedOptionsEnd(self.b)


def tflite_model(network: Network) -> bytes:
    """int8, as Conv2D of height 1: maps are (1, 1, rows, channels)."""
    t, codes, kinds = _Tflite(), tflite.BuiltinOperator, tflite.TensorType
    rows, width, read = network.rows, network.channels, network.scale
    first = x = t.tensor([1, 1, rows, width], kinds.INT8, network.scale, network.zero_point)
    flat = False
    for layer in network.layers:
        out = len(layer.weight)
        if layer.kind == "average":
            axes = t.tensor([1], kinds.INT32, 1.0, data=np.array([2], "<i4").tobytes())
            made = t.tensor([1, 1, width], kinds.INT8, layer.scale, layer.zero_point)
            t.op(codes.MEAN, [x, axes], made)
            x, rows, read = made, 1, layer.scale
            continue
        scale = np.asarray(layer.weight_scale, np.float32).astype(np.float64)
        weight, axis = layer.weight, 0
        if layer.kind == "fc":
            if not flat:
                made = t.tensor([1, rows * width], kinds.INT8, read, network.layers[0].zero_point)
                t.op(codes.RESHAPE, [x], made)
                x, flat = made, True
                weight = weight.reshape(out, width, rows).swapaxes(1, 2).reshape(out, -1)
            shape, result = list(weight.shape), [1, out]
        else:
            rows = (rows + sum(layer.pad) - weight.shape[2]) // layer.stride + 1
            weight = weight.swapaxes(1, 2)  # (out, kernel, in)
            if layer.kind == "depthwise":
                weight, axis = weight.transpose(2, 1, 0), 3  # (1, kernel, channels)
                shape = [1, 1, *weight.shape[1:]]
            else:
                shape = [out, 1, *weight.shape[1:]]
            result = [1, 1, rows, out]
        weights = t.tensor(shape, kinds.INT8, scale, 0, axis, np.ascontiguousarray(weight).tobytes())
        bias = t.tensor([out], kinds.INT32, read * scale, data=layer.bias.astype("<i4").tobytes())
        made = t.tensor(result, kinds.INT8, layer.scale, layer.zero_point)
        code = {"conv": codes.CONV_2D, "depthwise": codes.DEPTHWISE_CONV_2D, "fc": codes.FULLY_CONNECTED}[layer.kind]
        options = t.dense_options(layer) if layer.kind == "fc" else t.conv_options(layer.kind, layer)
        t.op(code, [x, weights, bias], made, *options)
        x, width, read = made, out, layer.scale
        if layer.pool == 2:
            rows //= 2
            made = t.tensor([1, 1, rows, out], kinds.INT8, layer.scale, layer.zero_point)
            t.op(codes.MAX_POOL_2D, [x], made, *t.pool_options())
            x = made
    made = t.tensor([1, network.classes], kinds.INT8, 1 / 256, -128)
    t.op(codes.SOFTMAX, [x], made)
    return t.finish(first, made)
