"""Packing 1: convolution weights for the three-lane kernels of the Cortex-M7 (docs/kernels.md, docs/format.md).

Output channels whose sums fit into a lane of 21 bits come in pairs, the others in quads of int16 pairs for SMLAD.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ditmos.model.quantized import QuantizedLayer
from ditmos.model.spec import LayerShape

LANE_BITS = 21
LANE_HALF = 1 << (LANE_BITS - 1)


class PackingError(ValueError):
    """Bytes that are no weights of the layer; ``offset`` counts from the start of its weights."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


def lane_channels(shape: LayerShape, layer: QuantizedLayer) -> NDArray[np.bool_]:
    """Output channels (out,) for which no input can leave a lane: ``sum |w| * 128 + |bias| < 2^20``.

    Only layers that pool two neighbouring rows have three-lane kernels.
    """
    if (shape.stride, shape.pool) != (1, 2):
        return np.zeros(shape.channels_out, bool)
    sums = np.abs(layer.weight.astype(np.int64)).sum(axis=(1, 2)) * 128 + np.abs(layer.bias.astype(np.int64))
    return sums < LANE_HALF


def _record(shape: LayerShape, width: int) -> np.dtype:
    """One group of channels; ``zero`` and ``start`` are there twice (cmodule/kernels_packed.h)."""
    words = ("words", "<i4", (shape.channels_in, (shape.kernel + 1) // 2, width))
    if width == 4:
        return np.dtype([("channel", "<u2", 4), ("bias", "<i4", 4), ("multiplier", "<i4", 4), words])
    scale = np.dtype([("zero", "<i8", 2), ("multiplier", "<i4")])
    return np.dtype([("channel", "<u2", 2), ("scale", scale, 2), ("start", "<i8", (2, 2)), words])


def _positions(shape: LayerShape, width: int) -> NDArray[np.intp]:
    """Where each tap lies among the halves of the words: lanes pad an odd kernel in front, quads behind tap 0."""
    taps = np.arange(shape.kernel)
    if shape.kernel % 2 == 0:
        return taps
    return taps + 1 if width == 2 else np.where(taps == 0, 0, taps + 1)


def _words(shape: LayerShape, weight: NDArray[np.int8], width: int) -> NDArray[np.int64]:
    """(out, in, pairs of taps) words: first tap high for lanes, low for int16 pairs."""
    pairs = (shape.kernel + 1) // 2
    taps = np.zeros((*weight.shape[:2], 2 * pairs), np.int64)
    taps[..., _positions(shape, width)] = weight
    first, second = taps[..., 0::2], taps[..., 1::2]
    if width == 2:
        return (first << LANE_BITS) + second
    return (((second & 0xFFFF) << 16 | (first & 0xFFFF)) ^ 0x80000000) - 0x80000000


def _groups(shape: LayerShape, layer: QuantizedLayer, channels: NDArray[np.intp], width: int) -> bytes:
    if not len(channels):
        return b""
    filled = np.pad(channels, (0, -len(channels) % width), mode="edge").reshape(-1, width)
    records = np.zeros(len(filled), _record(shape, width))
    records["channel"] = filled
    if width == 4:
        records["bias"] = layer.bias[filled]
        records["multiplier"] = layer.multiplier[filled]
    else:
        multiplier = layer.multiplier[filled].astype(np.int64)
        lane = layer.bias[filled].astype(np.int64) + LANE_HALF
        records["scale"]["multiplier"] = multiplier
        records["scale"]["zero"] = ((layer.zero_point << 32) + (1 << 31) - multiplier * LANE_HALF)[..., None]
        records["start"] = (lane + (lane << LANE_BITS))[..., None]
    records["words"] = _words(shape, layer.weight, width)[filled].transpose(0, 2, 3, 1)
    return records.tobytes()


def pack(shape: LayerShape, layer: QuantizedLayer) -> bytes:
    fits = lane_channels(shape, layer)
    pairs, quads = np.flatnonzero(fits), np.flatnonzero(~fits)
    header = np.array([-(-len(pairs) // 2), -(-len(quads) // 4)], "<u2").tobytes()
    return header + _groups(shape, layer, pairs, 2) + _groups(shape, layer, quads, 4)


def unpack(
    shape: LayerShape, zero_point: int, data: bytes
) -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.int32]]:
    """Weight, bias and multiplier.

    Raises:
        PackingError: sizes, channels or values that `pack` would not have written.
    """
    if len(data) < 4:
        raise PackingError(0, f"weights have {len(data)} bytes, expected at least 4")
    counts = np.frombuffer(data, "<u2", 2)
    weight = np.zeros(shape.weight_shape, np.int8)
    bias = np.zeros(shape.channels_out, np.int32)
    multiplier = np.zeros(shape.channels_out, np.int32)
    at = 4
    for width, count in zip((2, 4), counts.tolist(), strict=True):
        record = _record(shape, width)
        if len(data) - at < count * record.itemsize:
            raise PackingError(0, f"weights have {len(data)} bytes, too few for {count} groups of {width} channels")
        for group in np.frombuffer(data, record, count, at):
            channels = group["channel"].astype(np.intp)
            if channels.max() >= shape.channels_out:
                raise PackingError(at, f"channel {channels.max()}, expected less than {shape.channels_out}")
            weight[channels] = _taps(shape, group["words"], width, at)
            if width == 4:
                bias[channels] = group["bias"]
                multiplier[channels] = group["multiplier"]
            else:
                bias[channels] = (group["start"][:, 0] & (2 * LANE_HALF - 1)) - LANE_HALF
                multiplier[channels] = group["scale"]["multiplier"]
            at += record.itemsize
    if any(data[at:]):
        raise PackingError(at, "bytes after the weights are not zero")
    if multiplier.min() < 1:
        channel = int(np.argmin(multiplier))
        raise PackingError(0, f"multiplier of channel {channel} is {multiplier[channel]}, expected 1 to 2^31 - 1")
    layer = QuantizedLayer(weight, bias, multiplier, zero_point)
    if pack(shape, layer) != data[:at]:
        raise PackingError(0, "the groups of channels are not those of these weights")
    return weight, bias, multiplier


def _taps(shape: LayerShape, words: NDArray[np.int32], width: int, at: int) -> NDArray[np.int8]:
    """Inverse of `_words` for one group: (width, in, kernel)."""
    bits = LANE_BITS if width == 2 else 16
    word = words.astype(np.int64).transpose(2, 0, 1)
    low = ((word + (1 << (bits - 1))) & ((1 << bits) - 1)) - (1 << (bits - 1))
    high = (word - low if width == 2 else word) >> bits  # a lane is a sum; two int16 do not touch
    taps = np.empty((*word.shape[:2], 2 * word.shape[2]), np.int64)
    taps[..., 0::2], taps[..., 1::2] = (high, low) if width == 2 else (low, high)
    if np.abs(taps).max() > 127:
        raise PackingError(at, "a weight is out of range, expected -127 to 127")
    return taps[..., _positions(shape, width)].astype(np.int8)
