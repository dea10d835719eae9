"""Packings 4 and 5: convolution weights for the kernels of the Cortex-M7 (docs/kernels.md, docs/format.md).

In packing 4 output channels whose sums fit into a lane of 21 bits come in pairs, for three lanes; the others, and all
of packing 5, in quads of int16 pairs, for SMLAD.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ditmos.model.layer_shape import LayerShape
from ditmos.model.quantized import QuantizedLayer

LANE_BITS = 21
LANE_HALF = 1 << (LANE_BITS - 1)  # sum|w| * 128 + |bias| of a channel must stay below (docs/format.md, WGHT)
LANE_STRETCH = 2.0  # weights of a channel get at most this much coarser to stay below it


class PackingError(ValueError):
    """Bytes that are no weights of the layer; ``offset`` counts from the start of its weights."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


def lane_channels(layer: QuantizedLayer) -> NDArray[np.bool_]:
    """Output channels (out,) for which no input can leave a lane: ``sum |w| * 128 + |bias| < 2^20``."""
    sums = np.abs(layer.weight.astype(np.int64)).sum(axis=(1, 2)) * 128 + np.abs(layer.bias.astype(np.int64))
    return sums < LANE_HALF


def lane_shape(shape: LayerShape) -> tuple[int, int]:
    """Planes and taps of each as lanes see them, which know stride 1 only: with stride 2 the even rows of a channel
    with the even taps, then the odd rows with the odd taps."""
    return shape.channels_in * shape.stride, -(-shape.kernel // shape.stride)


def quad_words(shape: LayerShape) -> int:
    """Words of a quad for each channel: a tap of two input channels each, of the last of an odd number two taps."""
    return shape.channels_in // 2 * shape.kernel + shape.channels_in % 2 * ((shape.kernel + 1) // 2)


def _record(shape: LayerShape, width: int) -> np.dtype:
    """One group of channels; ``zero`` and ``start`` are there twice (cmodule/kernels_packed.h)."""
    if width == 4:
        words = ("words", "<i2", (quad_words(shape), 4, 2))
        return np.dtype([("channel", "<u2", 4), ("bias", "<i4", 4), ("multiplier", "<i4", 4), words])
    planes, kernel = lane_shape(shape)
    words = ("words", "<i4", (planes, (kernel + 1) // 2, 2))
    scale = np.dtype([("zero", "<i8", 2), ("multiplier", "<i4")])
    return np.dtype([("channel", "<u2", 2), ("scale", scale, 2), ("start", "<i8", (2, 2)), words])


def _lane_words(shape: LayerShape, weight: NDArray[np.int8]) -> NDArray[np.int64]:
    """(out, planes, pairs of taps) words: the first tap high; an odd number of taps is padded in front."""
    planes, kernel = lane_shape(shape)
    taps = np.pad(weight.astype(np.int64), ((0, 0), (0, 0), (0, shape.kernel % shape.stride)))
    taps = taps.reshape(*taps.shape[:2], kernel, shape.stride).swapaxes(2, 3).reshape(len(taps), planes, kernel)
    taps = np.pad(taps, ((0, 0), (0, 0), (kernel % 2, 0)))
    return (taps[..., 0::2] << LANE_BITS) + taps[..., 1::2]


def _quad_words(shape: LayerShape, weight: NDArray[np.int8]) -> NDArray[np.int16]:
    """(out, words, 2): taps of two input channels; then the last of an odd number, two taps a word, padded behind."""
    out, paired = len(weight), shape.channels_in // 2 * 2
    words = weight[:, :paired].reshape(out, -1, 2, shape.kernel).swapaxes(2, 3).reshape(out, -1, 2)
    last = np.pad(weight[:, paired:], ((0, 0), (0, 0), (0, shape.kernel % 2))).reshape(out, -1, 2)
    return np.concatenate([words, last], axis=1).astype(np.int16)


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
    if width == 4:
        records["words"] = _quad_words(shape, layer.weight)[filled].swapaxes(1, 2)
    else:
        records["words"] = _lane_words(shape, layer.weight)[filled].transpose(0, 2, 3, 1)
    return records.tobytes()


def pack(shape: LayerShape, layer: QuantizedLayer, *, lanes: bool) -> bytes:
    """The weights of one layer. lanes: in pairs where `lane_channels` says so."""
    fits = lane_channels(layer) if lanes else np.zeros(shape.channels_out, bool)
    pairs, quads = np.flatnonzero(fits), np.flatnonzero(~fits)
    header = np.array([-(-len(pairs) // 2), -(-len(quads) // 4)], "<u2").tobytes()
    return header + _groups(shape, layer, pairs, 2) + _groups(shape, layer, quads, 4)


def unpack(
    shape: LayerShape, zero_point: int, data: bytes, *, lanes: bool
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
            weight[channels] = (_quad_taps if width == 4 else _lane_taps)(shape, group["words"], at)
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
    if pack(shape, layer, lanes=lanes) != data[:at]:
        raise PackingError(0, "the groups of channels are not those of these weights")
    return weight, bias, multiplier


def _lane_taps(shape: LayerShape, words: NDArray[np.int32], at: int) -> NDArray[np.int8]:
    """Inverse of `_lane_words` for one group: (2, in, kernel)."""
    word = words.astype(np.int64).transpose(2, 0, 1)
    low = ((word + LANE_HALF) & (2 * LANE_HALF - 1)) - LANE_HALF
    taps = _checked(np.stack([(word - low) >> LANE_BITS, low], axis=-1), at).reshape(*word.shape[:2], -1)
    _, kernel = lane_shape(shape)
    taps = taps[..., kernel % 2 :].reshape(2, shape.channels_in, shape.stride, kernel)
    return taps.swapaxes(2, 3).reshape(2, shape.channels_in, -1)[..., : shape.kernel]


def _quad_taps(shape: LayerShape, words: NDArray[np.int16], at: int) -> NDArray[np.int8]:
    """Inverse of `_quad_words` for one group: (4, in, kernel)."""
    halves = _checked(words, at).swapaxes(0, 1)
    paired = shape.channels_in // 2
    count = paired * shape.kernel
    taps = halves[:, :count].reshape(4, paired, shape.kernel, 2).swapaxes(2, 3).reshape(4, 2 * paired, shape.kernel)
    last = halves[:, count:].reshape(4, shape.channels_in % 2, (shape.kernel + 1) // 2 * 2)[..., : shape.kernel]
    return np.concatenate([taps, last], axis=1)


def _checked(taps: NDArray[np.integer], at: int) -> NDArray[np.int8]:
    if np.abs(taps.astype(np.int64)).max() > 127:
        raise PackingError(at, "a weight is out of range, expected -127 to 127")
    return taps.astype(np.int8)
