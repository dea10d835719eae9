"""TFLite files: plain chains of int8 operations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.interchange.chain import Chain, Quantity

_OPERATORS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
_SHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "QUANTIZE", "DEQUANTIZE")


def read_tflite(path: Path) -> Chain:
    """The network of a file.

    Raises:
        DitmosError: no TFLite file, or what is not supported, by the number and kind of its operation.
    """
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise DitmosError(f"{path}: no TFLite file: bytes 4 to 7 are {data[4:8]!r}, expected b'TFL3'")
    try:
        return _Reader(path.name, tflite.Model.GetRootAsModel(data, 0)).read()
    except DitmosError:
        raise
    except Exception as error:  # offsets that lead nowhere raise many kinds
        raise DitmosError(f"{path}: damaged: {type(error).__name__} while it was read") from None


class _Reader:
    def __init__(self, source: str, model: Any) -> None:
        self.source, self.model = source, model
        if model.SubgraphsLength() != 1:
            raise DitmosError(f"{source}: {model.SubgraphsLength()} subgraphs, expected one")
        self.graph = model.Subgraphs(0)
        if self.graph.InputsLength() != 1 or self.graph.OutputsLength() != 1:
            raise DitmosError(f"{source}: expected one input and one output")
        shape = [size for size in self._shape(self.graph.Inputs(0))[1:] if size != 1]
        if len(shape) != 2:
            raise DitmosError(f"{source}: input is {self._shape(self.graph.Inputs(0))}, expected rows and channels")
        self.chain = Chain(source, shape[0], shape[1], "tflite")

    def read(self) -> Chain:
        current, chain = self.graph.Inputs(0), self.chain
        self._quantized("the input", current)
        for i in range(self.graph.OperatorsLength()):
            op = self.graph.Operators(i)
            code = self.model.OperatorCodes(op.OpcodeIndex())
            kind = _OPERATORS.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "custom")
            name = f"{kind} {i}"
            if op.Inputs(0) != current:
                raise DitmosError(f"{self.source}: {name} does not read what the one before it makes: no branches")
            handle = _HANDLERS.get(kind)
            if kind == "SOFTMAX":
                chain.left_out.append(name)
            elif kind in _SHAPES:
                flat = [size for size in self._shape(op.Outputs(0))[1:] if size != 1]
                if chain.steps and len(flat) == 1 and chain.rows > 1:
                    chain.flatten(name, "channels")
                if kind == "QUANTIZE":
                    self._quantized(name, op.Outputs(0))
            elif handle is None:
                known = ", ".join(sorted([*_HANDLERS, *_SHAPES, "SOFTMAX"]))
                raise DitmosError(f"{self.source}: {name} is not supported, expected one of {known}")
            else:
                handle(self, op, name)
                self._quantized(name, op.Outputs(0))
            current = op.Outputs(0)
        return chain

    # Tensors.

    def _shape(self, index: int) -> list[int]:
        shape = self.graph.Tensors(index).ShapeAsNumpy()
        return [] if isinstance(shape, int) else [int(size) for size in shape]

    def _quantity(self, name: str, index: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Scales and zero points of a tensor."""
        found = self.graph.Tensors(index).Quantization()
        if found is None or found.ScaleLength() == 0:
            raise DitmosError(f"{self.source}: {name}: tensor {index} has no scale: expected a network of int8")
        zero = found.ZeroPointAsNumpy() if found.ZeroPointLength() else np.zeros(found.ScaleLength())
        return np.atleast_1d(found.ScaleAsNumpy()).astype(np.float64), np.atleast_1d(zero).astype(np.int64)

    def _quantized(self, name: str, index: int) -> None:
        tensor = self.graph.Tensors(index)
        if tensor.Type() == tflite.TensorType.FLOAT32:
            return  # before QUANTIZE, after DEQUANTIZE
        if tensor.Type() != tflite.TensorType.INT8:
            raise DitmosError(f"{self.source}: {name}: tensor {index} is not int8")
        scale, zero = self._quantity(name, index)
        self.chain.quantized(name, Quantity(float(scale[0]), int(zero[0])))

    def _constant(self, name: str, index: int, kind: int, dtype: str) -> NDArray:
        tensor = self.graph.Tensors(index)
        data = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
        if tensor.Type() != kind or isinstance(data, int):
            raise DitmosError(f"{self.source}: {name}: tensor {index} is no constant of {np.dtype(dtype).name}")
        return np.frombuffer(data.tobytes(), dtype).reshape(self._shape(index))

    def _weights(self, op: Any, name: str, axis: int) -> tuple[NDArray[np.int8], NDArray, NDArray[np.float64]]:
        """Weights as stored, bias in real numbers, and the scale of each output channel, which ``axis`` counts."""
        weight = self._constant(name, op.Inputs(1), tflite.TensorType.INT8, "<i1")
        scale, zero = self._quantity(name, op.Inputs(1))
        if zero.any():
            raise DitmosError(f"{self.source}: {name}: weights with zero points, expected symmetric ones")
        outputs = weight.shape[axis]
        scale = np.broadcast_to(scale, outputs).astype(np.float64)
        bias = np.zeros(outputs)
        if op.InputsLength() > 2 and op.Inputs(2) >= 0:
            unit, _ = self._quantity(name, op.Inputs(0))
            bias = self._constant(name, op.Inputs(2), tflite.TensorType.INT32, "<i4") * (unit[0] * scale)
        return weight, bias, scale

    # One operation each.

    def _options(self, op: Any, kind: Any) -> Any:
        options = kind()
        table = op.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def _activation(self, name: str, code: int) -> None:
        functions = tflite.ActivationFunctionType
        if code == functions.RELU6:
            self.chain.activation(name, 6.0)
        elif code == functions.RELU:
            self.chain.activation(name)
        elif code != functions.NONE:
            raise DitmosError(
                f"{self.source}: {name}: activation {code} is not supported, expected none, RELU or RELU6"
            )

    def _along(self, name: str, op: Any, height: int, width: int, strides: tuple[int, int]) -> tuple[int, int]:
        """Kernel and stride along time: the dimension of the input that is longer than 1."""
        shape = self._shape(op.Inputs(0))
        time = 1 if len(shape) < 4 or (shape[1] > 1 and shape[2] == 1) else 2
        kernel, other = (height, width) if time == 1 and len(shape) == 4 else (width, height)
        if other != 1:
            raise DitmosError(f"{self.source}: {name}: kernel of {height} x {width}, expected one dimension of 1")
        return kernel, strides[0] if time == 1 and len(shape) == 4 else strides[1]

    def _pad(self, code: int, kernel: int, stride: int) -> tuple[int, int]:
        rows = self.chain.rows
        if code == tflite.Padding.VALID:
            return 0, 0
        total = max((-(-rows // stride) - 1) * stride + kernel - rows, 0)
        return total // 2, total - total // 2

    def convolution(self, op: Any, name: str) -> None:
        options = self._options(op, tflite.Conv2DOptions)
        weight, bias, scale = self._weights(op, name, 0)  # (out, height, width, in)
        self._timewise(op, name, options, weight, bias, scale, "conv")

    def depthwise(self, op: Any, name: str) -> None:
        options = self._options(op, tflite.DepthwiseConv2DOptions)
        weight, bias, scale = self._weights(op, name, 3)  # (1, height, width, out)
        if options.DepthMultiplier() > 1:
            raise DitmosError(f"{self.source}: {name}: depth multiplier {options.DepthMultiplier()}, expected 1")
        self._timewise(op, name, options, weight.transpose(3, 1, 2, 0), bias, scale, "depthwise")

    def _timewise(
        self, op: Any, name: str, options: Any, weight: NDArray, bias: NDArray, scale: NDArray, kind: Any
    ) -> None:
        if options.DilationHFactor() != 1 or options.DilationWFactor() != 1:
            raise DitmosError(f"{self.source}: {name}: dilated, expected dilations of 1")
        strides = options.StrideH(), options.StrideW()
        kernel, stride = self._along(name, op, weight.shape[1], weight.shape[2], strides)
        pad = self._pad(options.Padding(), kernel, stride)
        taps = weight.reshape(len(weight), kernel, -1).swapaxes(1, 2)
        self.chain.timewise(name, kind, np.ascontiguousarray(taps), bias, scale, stride=stride, pad=pad, kernel=kernel)
        self._activation(name, options.FusedActivationFunction())

    def _pool(self, op: Any, name: str) -> tuple[int, int]:
        options = self._options(op, tflite.Pool2DOptions)
        strides = options.StrideH(), options.StrideW()
        kernel, stride = self._along(name, op, options.FilterHeight(), options.FilterWidth(), strides)
        if any(self._pad(options.Padding(), kernel, stride)):
            raise DitmosError(f"{self.source}: {name} is padded, expected pooling without padding")
        return kernel, stride

    def max_pool(self, op: Any, name: str) -> None:
        self.chain.max_pool(name, *self._pool(op, name))

    def average_pool(self, op: Any, name: str) -> None:
        self.chain.average(name, *self._pool(op, name))

    def mean(self, op: Any, name: str) -> None:
        axes = np.atleast_1d(self._constant(name, op.Inputs(1), tflite.TensorType.INT32, "<i4"))
        rank = len(self._shape(op.Inputs(0)))
        if (rank - 1) in [int(axis) % rank for axis in axes]:
            raise DitmosError(f"{self.source}: {name}: mean over axes {axes.tolist()}, expected that of time")
        self.chain.average(name, self.chain.rows, 1)

    def dense(self, op: Any, name: str) -> None:
        options = self._options(op, tflite.FullyConnectedOptions)
        weight, bias, scale = self._weights(op, name, 0)
        if self.chain.rows > 1 and not self.chain.order:
            self.chain.flatten(name, "channels")
        self.chain.dense(name, weight, bias, scale)
        self._activation(name, options.FusedActivationFunction())


_HANDLERS: dict[str, Callable[[_Reader, Any, str], None]] = {
    "CONV_2D": _Reader.convolution,
    "DEPTHWISE_CONV_2D": _Reader.depthwise,
    "MAX_POOL_2D": _Reader.max_pool,
    "AVERAGE_POOL_2D": _Reader.average_pool,
    "MEAN": _Reader.mean,
    "FULLY_CONNECTED": _Reader.dense,
}
