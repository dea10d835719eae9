"""Random single-layer cases for the bare-metal bench."""

from __future__ import annotations

import numpy as np
from bench import Case, channel_shape, conv_shape, fc_shape
from ditmos.model import packings
from ditmos.model.layer_shape import Kind, LayerShape
from ditmos.model.quantized import QuantizedLayer


def layer_at_bound(rng: np.random.Generator, shape: LayerShape) -> QuantizedLayer:
    """Every channel's ``sum |w| * 128 + |bias|`` is 2^20 - 1 or 2^20 where its weights can reach that: the last sum
    that three lanes hold, and the first that they do not."""
    layer = random_layer(rng, shape, 1000.0)
    weight = layer.weight.copy()
    bias = layer.bias.copy()
    for o in range(shape.channels_out):
        flat = weight[o].reshape(-1)
        while np.abs(flat.astype(np.int64)).sum() > 8190:
            flat[rng.integers(flat.size)] //= 2
        rest = (1 << 20) - 128 * int(np.abs(flat.astype(np.int64)).sum()) - int(rng.integers(0, 2))
        bias[o] = rest * rng.choice([-1, 1])
    return QuantizedLayer(weight, bias, layer.multiplier, layer.zero_point)


def random_layer(rng: np.random.Generator, shape: LayerShape, amplitude: float) -> QuantizedLayer:
    weight = np.clip(np.rint(rng.normal(0, amplitude, shape.weight_shape)), -127, 127).astype(np.int8)
    bias = rng.integers(-20000, 20000, shape.channels_out).astype(np.int32)
    spread = amplitude * 70 * np.sqrt(shape.repeats * shape.weights / shape.channels_out) + 1000
    multiplier = rng.uniform(20, 200, shape.channels_out) / spread * 2**32
    zero_point = -128 if shape.relu else int(rng.integers(-128, 128))
    return QuantizedLayer(weight, bias, np.clip(multiplier, 1, 2**31 - 1).astype(np.int32), zero_point)


def random_maps(rng: np.random.Generator, shapes: list[tuple[int, int]]) -> tuple[np.ndarray, ...]:
    """int8 maps; now and then nothing but -128 and 127."""
    extreme = rng.random() < 0.3
    return tuple(
        (rng.choice([-128, 127], shape) if extreme else rng.integers(-128, 128, shape)).astype(np.int8)
        for shape in shapes
    )


def random_conv(rng: np.random.Generator) -> Case:
    kernel = int(rng.integers(1, 32))
    channels = [int(rng.integers(1, 12)) for _ in range(rng.integers(1, 3))]
    stride, pool = [(1, 2), (1, 2), (1, 2), (1, 2), (1, 1), (2, 1), (2, 2)][rng.integers(0, 7)]
    rows = kernel + stride * pool + int(rng.integers(0, 50))
    shape = conv_shape(channels, int(rng.integers(1, 14)), kernel, rows, stride, pool)
    if rng.random() < 0.1:
        layer = layer_at_bound(rng, shape)
    else:
        layer = random_layer(rng, shape, float(rng.choice([3, 10, 30, 100, 1000], p=[0.5, 0.2, 0.1, 0.1, 0.1])))
    return Case(
        shape,
        layer,
        random_maps(rng, [(c, rows) for c in channels]),
        int(rng.choice([packings.PLAIN, packings.LANES, packings.QUADS], p=[0.1, 0.6, 0.3])),
        chunk=min(int(rng.choice([0, 1, 2, 3, 4, 7, 8, 20])), shape.rows_out),
        carry=bool(rng.integers(0, 2)),
        scratch=int(rng.choice([0, 0, 100, 300, 1000, 4000, 40000])),
        gap=int(rng.integers(0, 4)),
        offset=int(rng.integers(0, 4)),
    )


def random_channels(rng: np.random.Generator) -> Case:
    """Depthwise, or an average."""
    channels = [int(rng.integers(1, 12)) for _ in range(rng.integers(1, 3))]
    if rng.random() < 0.3:
        kernel = int(rng.integers(1, 61))
        stride, pool = int(rng.integers(1, kernel + 1)), 1
        kind: Kind = "average"
    else:
        kernel = int(rng.choice([3, 3, 5, 7, 9, rng.integers(1, 32)]))
        stride, pool = [(1, 1), (1, 1), (1, 2), (2, 1), (2, 2)][rng.integers(0, 5)]
        kind = "depthwise"
    rows = kernel + stride * pool + int(rng.integers(0, 50))
    shape = channel_shape(kind, channels, kernel, rows, stride, pool)
    layer = random_layer(rng, shape, float(rng.choice([10, 30, 1000])))
    maps = random_maps(rng, [(c, rows) for c in channels])
    chunk = min(int(rng.choice([0, 1, 2, 3, 4, 7, 8, 20])), shape.rows_out)
    gap, offset = int(rng.integers(0, 4)), int(rng.integers(0, 4))
    return Case(shape, layer, maps, packings.PLAIN, chunk=chunk, gap=gap, offset=offset)


def random_fc(rng: np.random.Generator) -> Case:
    maps = [(int(rng.integers(1, 8)), int(rng.integers(1, 20))) for _ in range(rng.integers(1, 3))]
    shape = fc_shape([channels * rows for channels, rows in maps], int(rng.integers(1, 40)), bool(rng.integers(0, 2)))
    layer = random_layer(rng, shape, float(rng.choice([10, 50, 1000])))
    packing = int(rng.choice([packings.PLAIN, packings.DOT, packings.WIDE]))
    gap, offset = int(rng.choice([0, 0, 1, 3])), int(rng.integers(0, 4))
    return Case(shape, layer, random_maps(rng, maps), packing, gap=gap, offset=offset)


def random_cases(seed: int, count: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    makers = rng.choice([random_conv, random_channels, random_fc], size=count, p=[0.7, 0.15, 0.15])
    return [maker(rng) for maker in makers]
