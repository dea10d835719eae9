"""How the weights of one layer are laid out in a model file: docs/format.md, WGHT.

Every packing is decoded back to plain int8 weights, so that any file can be read and run on the host.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.model import lanes
from ditmos.model.lanes import PackingError
from ditmos.model.layer_shape import KINDS, LayerShape
from ditmos.model.quantized import QuantizedLayer

PLAIN = 0
DOT = 2
WIDE = 3
LANES = 4
QUADS = 5

__all__ = ["DOT", "LANES", "PLAIN", "QUADS", "WIDE", "PackingError", "pack", "unpack"]


def pack(packing: int, shape: LayerShape, layer: QuantizedLayer) -> bytes:
    """The weights of one layer, a multiple of 4 bytes.

    Raises:
        DitmosError: the packing is not known or not for this kind of layer.
    """
    if packing == PLAIN:
        data = layer.bias.astype("<i4").tobytes() + layer.multiplier.astype("<i4").tobytes() + layer.weight.tobytes()
        return data + bytes(-len(data) % 4)
    _check_kind(packing, shape, DitmosError)
    if packing in (LANES, QUADS):
        return lanes.pack(shape, layer, lanes=packing == LANES)
    return _pack_dot(packing, layer)


def unpack(packing: int, shape: LayerShape, zero_point: int, data: bytes) -> QuantizedLayer:
    """Inverse of `pack`; ``data`` may be longer, the rest must be zero.

    Raises:
        PackingError: unknown packing, wrong size, or a value out of range.
    """
    _check_kind(packing, shape, lambda message: PackingError(0, message))
    if packing in (LANES, QUADS):
        weight, bias, multiplier = lanes.unpack(shape, zero_point, data, lanes=packing == LANES)
    else:
        weight, bias, multiplier = _unpack_plain(shape, data) if packing == PLAIN else _unpack_dot(packing, shape, data)
    return QuantizedLayer(weight, bias, multiplier, zero_point)


def _check_kind(packing: int, shape: LayerShape, error: Callable[[str], Exception]) -> None:
    wanted = {PLAIN: KINDS, DOT: ("fc",), WIDE: ("fc",), LANES: ("conv",), QUADS: ("conv",)}
    if packing not in wanted:
        older = ", it is of an older version: export the model again" if packing == 1 else ""
        raise error(f"packing {packing} is not known{older}")
    if shape.kind not in wanted[packing]:
        raise error(f"packing {packing} is not for a {shape.kind} layer")


def _sized(data: bytes, size: int) -> None:
    if len(data) < size:
        raise PackingError(0, f"weights have {len(data)} bytes, expected {size}")
    if any(data[size:]):
        raise PackingError(size, "bytes after the weights are not zero")


def _unpack_plain(shape: LayerShape, data: bytes) -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.int32]]:
    out, weights = shape.channels_out, shape.weights
    _sized(data, 8 * out + weights)
    bias, multiplier = np.frombuffer(data, "<i4", 2 * out).astype(np.int32).reshape(2, out)
    weight = np.frombuffer(data, np.int8, weights, 8 * out)
    if multiplier.min() < 1:
        channel = int(np.argmin(multiplier))
        raise PackingError(4 * (out + channel), f"multiplier is {multiplier[channel]}, expected 1 to 2^31 - 1")
    if weight.min() < -127:
        raise PackingError(8 * out + int(np.argmin(weight)), "weight is -128, expected -127 to 127")
    return weight.reshape(shape.weight_shape).copy(), bias, multiplier


def _dot_record(packing: int, inputs: int) -> np.dtype:
    """One group of four outputs: the inputs of all four, four at a time."""
    weight = ("weight", "i1" if packing == DOT else "<i2", (-(-inputs // 4), 4, 4))
    return np.dtype([("bias", "<i4", 4), weight, ("multiplier", "<i4", 4)])


# Where each of four inputs lies: int16 weights as the kernel unpacks its inputs, even ones first.
_ORDER = {DOT: [0, 1, 2, 3], WIDE: [0, 2, 1, 3]}


def _pack_dot(packing: int, layer: QuantizedLayer) -> bytes:
    out, inputs = layer.weight.shape
    groups, steps = -(-out // 4), -(-inputs // 4)
    weight = np.zeros((4 * groups, 4 * steps), np.int8)
    weight[:out, :inputs] = layer.weight
    bias = np.zeros(4 * groups, np.int32)
    bias[:out] = layer.bias
    multiplier = np.ones(4 * groups, np.int32)
    multiplier[:out] = layer.multiplier
    records = np.zeros(groups, _dot_record(packing, inputs))
    records["bias"] = bias.reshape(groups, 4)
    records["weight"] = weight.reshape(groups, 4, steps, 4).transpose(0, 2, 1, 3)[..., _ORDER[packing]]
    records["multiplier"] = multiplier.reshape(groups, 4)
    return records.tobytes()


def _offset(record: np.dtype, field: str) -> int:
    """Bytes before a field of a structured type."""
    assert record.fields is not None
    return record.fields[field][1]


def _unpack_dot(
    packing: int, shape: LayerShape, data: bytes
) -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.int32]]:
    out, inputs = shape.weight_shape
    record = _dot_record(packing, inputs)
    groups = -(-out // 4)
    _sized(data, groups * record.itemsize)
    records = np.frombuffer(data, record, groups)
    if records["multiplier"].min() < 1:
        group, at = np.unravel_index(int(np.argmin(records["multiplier"])), (groups, 4))
        offset = int(group) * record.itemsize + _offset(record, "multiplier") + 4 * int(at)
        raise PackingError(offset, f"multiplier is {records['multiplier'][group, at]}, expected 1 to 2^31 - 1")
    weight = records["weight"][..., _ORDER[packing]].transpose(0, 2, 1, 3).reshape(4 * groups, -1)
    if np.abs(weight.astype(int)).max() > 127:
        raise PackingError(0, "a weight is out of range, expected -127 to 127")
    bias, multiplier = records["bias"].reshape(-1), records["multiplier"].reshape(-1)
    if weight[out:].any() or weight[:, inputs:].any() or bias[out:].any() or (multiplier[out:] != 1).any():
        raise PackingError(0, "what pads the last group is not weight 0, bias 0, multiplier 1")
    return weight[:out, :inputs].astype(np.int8), bias[:out].astype(np.int32), multiplier[:out].astype(np.int32)
