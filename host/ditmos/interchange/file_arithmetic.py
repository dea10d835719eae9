"""What a file's own arithmetic makes of a window, and how often ours differs from it.

TFLite: integers with two roundings, as its reference kernels have them (a multiplier of 31 bits with a doubling high
product, then a shift). ONNX with QDQ: real numbers, rounded half to even where the file quantises; computed here in
double precision, without the rounding errors that a run in single precision adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ditmos.interchange.chain import Chain, Quantity, Step
from ditmos.model.layer_shape import LayerShape
from ditmos.model.quantized import QuantizedLayer, QuantizedModel
from ditmos.model.reference import Int8, Model, accumulate


@dataclass(frozen=True)
class Difference:
    """Of ``values`` logits of int8 of ``windows`` windows: how many differ, by how many steps at most, and for how many
    windows another class is the largest."""

    windows: int
    values: int
    differing: int
    most: int
    labels: int


def difference(chain: Chain, model: QuantizedModel, k: int, windows: Int8) -> Difference:
    """windows: int8 (N, time, channels). Logits are compared as the file stores them, which takes one rounding where
    the model's classifiers share another scale."""
    theirs = run(chain, model, windows)
    ours = Model(model).classify_batch(windows, k)
    stored = chain.steps[-1].output
    assert stored is not None
    if stored != Quantity(model.logit_scale, model.logit_zero_point):
        real = (ours.astype(float) - model.logit_zero_point) * model.logit_scale
        compared = np.clip(np.rint(real / stored.scale) + stored.zero_point, -128, 127).astype(np.int64)
    else:
        compared = ours.astype(np.int64)
    apart = np.abs(compared - theirs)
    labels = int((ours.argmax(1) != theirs.argmax(1)).sum())
    return Difference(len(windows), apart.size, int((apart > 0).sum()), int(apart.max(initial=0)), labels)


def run(chain: Chain, model: QuantizedModel, windows: Int8) -> Int8:
    """Logits (N, classes) of the file's own integers."""
    read = chain.input
    x = np.ascontiguousarray(windows.transpose(0, 2, 1))
    for shape, step in zip(model.spec.classifier_layers(), chain.steps, strict=True):
        assert read is not None and step.output is not None
        if step.kind == "fc":
            x = x.reshape(len(x), -1)
        elif any(step.pad):
            x = np.pad(x, ((0, 0), (0, 0), step.pad), constant_values=read.zero_point)
        x = _layer(chain, shape, step, read, step.output, x)
        if step.pool == 2:
            rows = x.shape[2] // 2
            x = x[:, :, : 2 * rows].reshape(*x.shape[:2], rows, 2).max(3)
        read = step.output
    return x


def _layer(chain: Chain, shape: LayerShape, step: Step, read: Quantity, made: Quantity, x: Int8) -> Int8:
    """One layer without pooling."""
    unit = read.scale * step.weight_scale
    total = shape.repeats * step.weight.astype(np.int64).reshape(step.channels, -1).sum(1)
    bias = np.rint(step.bias / unit).astype(np.int64) - read.zero_point * total
    layer = QuantizedLayer(step.weight, bias.astype(np.int32), np.ones(step.channels, np.int32))
    acc = accumulate(shape, layer, x)
    factor = (unit / made.scale).reshape(1, -1, *[1] * (acc.ndim - 2))
    if chain.arithmetic == "qdq":
        y = np.rint(acc * factor).astype(np.int64)
    elif step.kind == "average" and read == made:
        mean = acc // 127  # sums of x - zero point; TFLite adds up what is stored, and rounds half away from 0
        stored = mean + read.zero_point * step.kernel
        y = np.sign(stored) * ((np.abs(stored) + step.kernel // 2) // step.kernel) - made.zero_point
    else:
        y = _twice_rounded(acc, factor)
    low = max(made.zero_point, -128) if step.relu else -128
    return np.clip(y + made.zero_point, low, 127).astype(np.int8)


def _twice_rounded(acc: NDArray[np.int64], factor: NDArray[np.float64]) -> NDArray[np.int64]:
    mantissa, exponent = np.frexp(factor)
    multiplier = np.rint(mantissa * 2.0**31).astype(np.int64)
    exponent = np.where(multiplier == 1 << 31, exponent + 1, exponent)
    multiplier = np.where(multiplier == 1 << 31, 1 << 30, multiplier)
    product = (acc << np.maximum(exponent, 0)) * multiplier
    high = np.where(product >= 0, product + (1 << 30), product + 1 - (1 << 30))
    high = np.sign(high) * (np.abs(high) >> 31)  # towards 0
    shift = np.maximum(-exponent, 0)
    mask = (np.int64(1) << shift) - 1
    return (high >> shift) + ((high & mask) > (mask >> 1) + (high < 0))
