"""How the weights of one layer are laid out in a model file: docs/format.md, WGHT.

Every packing is decoded back to plain int8 weights, so that any file can be read and run on the host.
"""

from __future__ import annotations

import numpy as np

from ditmos.quantized import QuantizedLayer
from ditmos.spec import LayerShape

PLAIN = 0


class PackingError(ValueError):
    """Bytes that are no weights of the layer; ``offset`` counts from the start of its weights."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


def pack(packing: int, shape: LayerShape, layer: QuantizedLayer) -> bytes:
    """The weights of one layer, a multiple of 4 bytes."""
    if packing != PLAIN:
        raise ValueError(f"packing {packing} is not known")
    data = layer.bias.astype("<i4").tobytes() + layer.multiplier.astype("<i4").tobytes() + layer.weight.tobytes()
    return data + bytes(-len(data) % 4)


def unpack(packing: int, shape: LayerShape, zero_point: int, data: bytes) -> QuantizedLayer:
    """Inverse of `pack`; ``data`` may be longer, the rest must be zero.

    Raises:
        PackingError: unknown packing, wrong size, or a value out of range.
    """
    if packing != PLAIN:
        raise PackingError(0, f"packing {packing} is not known")
    out, weights = shape.channels_out, shape.weights
    size = 8 * out + weights
    if len(data) < size:
        raise PackingError(0, f"weights have {len(data)} bytes, expected {size}")
    if any(data[size:]):
        raise PackingError(size, "bytes after the weights are not zero")
    bias, multiplier = np.frombuffer(data, "<i4", 2 * out).astype(np.int32).reshape(2, out)
    weight = np.frombuffer(data, np.int8, weights, 8 * out)
    if multiplier.min() < 1:
        channel = int(np.argmin(multiplier))
        raise PackingError(4 * (out + channel), f"multiplier is {multiplier[channel]}, expected 1 to 2^31 - 1")
    if weight.min() < -127:
        raise PackingError(8 * out + int(np.argmin(weight)), "weight is -128, expected -127 to 127")
    return QuantizedLayer(weight.reshape(shape.weight_shape).copy(), bias, multiplier, zero_point)
