"""The sums of a layer in time, for K branches at once, before bias and pooling.

Maps are images of height 1 with the channels innermost in memory: on a CPU convolution, normalisation and pooling are
about twice as fast in this form, grouped or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from ditmos.model.layer_shape import LayerShape

Operand = tuple[Tensor, bool]  # (N, channels, 1, rows) that all branches share, or (N, K * channels, 1, rows)


def as_image(x: Tensor) -> Tensor:
    """(N, channels, rows) as an image."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def operand(x: Tensor) -> Operand:
    """Of a map (N, channels, rows) that all branches share, or (N, K, channels, rows)."""
    return as_image(x.flatten(1, 2) if x.ndim == 4 else x), x.ndim == 3


def sums(shape: LayerShape, operands: Sequence[Operand], weight: Tensor, zero: Tensor | None = None) -> Tensor:
    """Operands in the order of ``shape.inputs``, weight (K, out, ...) as `LayerShape.weight_shape` -> (N, K * out, 1,
    positions). ``zero`` (channels_in,): what rows of padding hold, by default 0."""
    zeros = [None] * len(operands) if zero is None else zero.split(shape.input_channels)
    padded = [(_pad(x, shape, value), shared) for (x, shared), value in zip(operands, zeros, strict=True)]
    stride, branches = (1, shape.stride), len(weight)
    if not shape.channelwise:
        weights = weight.flatten(0, 1).unsqueeze(2).split(shape.input_channels, dim=1)
        parts = (
            F.conv2d(x, w, stride=stride, groups=1 if shared else branches)
            for (x, shared), w in zip(padded, weights, strict=True)
        )
        return reduce(torch.add, parts)
    taps = weight.expand(*weight.shape[:3], shape.kernel).split(shape.input_channels, dim=1)
    found = []
    for (x, shared), w in zip(padded, taps, strict=True):
        own = x.repeat(1, branches, 1, 1) if shared and branches > 1 else x
        y = F.conv2d(own, w.flatten(0, 1).unsqueeze(2), stride=stride, groups=own.shape[1])
        found.append(y.unflatten(1, (branches, -1)))
    return torch.cat(found, dim=2).flatten(1, 2)


def _pad(x: Tensor, shape: LayerShape, zero: Tensor | None) -> Tensor:
    if not any(shape.pad):
        return x
    if zero is None:
        return F.pad(x, shape.pad)
    values = zero.to(x.dtype).repeat(x.shape[1] // len(zero)).view(1, -1, 1, 1)
    return F.pad(x - values, shape.pad) + values
