"""Scales from observed values: how much of the range to clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ditmos.errors import DitmosError
from ditmos.model.inputs import MAX_ZERO_POINT

_SAMPLE = 100_000  # values that decide a scale
_FRACTIONS = 40  # clipping points tried, evenly spaced up to the largest value
_INPUT_FRACTIONS = 8  # of the window: from the whole range to a tenth of it, in equal ratios
_CUTS = (0.0, 1e-5, 1e-4, 1e-3)  # of a channel's values, on each side
_SATURATED = 1 << 22


def _sample(values: Tensor) -> Tensor:
    values = values.flatten().double()
    step = -(-values.numel() // _SAMPLE)
    return values[::step]


def relu_scale(values: Tensor, clip: str = "error") -> float:
    """Scale of a map behind a ReLU, ``real = (q + 128) * scale``.

    clip: what decides the largest value that is kept: "error", the squared error on ``values``; "largest", all are; a
    percentile as a number, "99.9". Raises DitmosError for another rule.
    """
    values = _sample(values).clamp(min=0)
    largest = values.max().item()
    if largest <= 0:
        return 2.0**-20  # a dead map: any scale will do
    if clip == "largest":
        return largest / 255
    if clip != "error":
        return max(torch.quantile(values, _percentile(clip)).item(), largest / 2.0**10) / 255
    scales = largest / 255 * torch.linspace(1 / _FRACTIONS, 1, _FRACTIONS, dtype=torch.float64)
    errors = [(((values / s).round().clamp(0, 255) * s - values) ** 2).mean().item() for s in scales]
    return scales[min(range(_FRACTIONS), key=errors.__getitem__)].item()


def _percentile(clip: str) -> float:
    try:
        part = float(clip) / 100
    except ValueError:
        part = -1.0
    if not 0 < part <= 1:
        raise DitmosError(f"clip is {clip!r}, expected error, largest or a percentile such as 99.9")
    return part


@dataclass(frozen=True)
class InputScales:
    """Of each channel of a window: ``real = (q - zero_point) * scale``, float32 and whole numbers in (C,); used (C,):
    False for a channel that is constant in training and gets no weight."""

    scale: Tensor
    zero_point: Tensor
    used: Tensor

    def stored(self, x: Tensor) -> Tensor:
        """Real windows (N, C, time) as the int8 values of docs/arithmetic.md, in a float tensor."""
        factor = torch.tensor(1.0) / self.scale
        q = (x.float() * factor[:, None]).round().clamp(-_SATURATED, _SATURATED).double() + self.zero_point[:, None]
        return q.clamp(-128, 127).float()

    def real(self, q: Tensor, instead: Tensor) -> Tensor:
        """The inverse; ``instead`` (C,) where a channel is not used."""
        x = (q.double() - self.zero_point[:, None]) * self.scale.double()[:, None]
        return torch.where(self.used[:, None], x, instead.double()[:, None]).float()


def varies(x: Tensor) -> Tensor:
    """(C,) whether a channel of windows (N, C, time) has more than one value."""
    flat = x.transpose(0, 1).flatten(1)
    return flat.amax(1) > flat.amin(1)


def affine(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point of int8 over [low, high]; the scale is a float32, coarser where the zero point would leave
    what a model file holds."""
    coarsest = max(abs(low), abs(high)) / (MAX_ZERO_POINT - 256)
    scale = float(np.float32(max((high - low) / 255, coarsest, 2.0**-60)))
    return scale, round(-128 - low / scale)


def input_scales(x: Tensor, used: Tensor) -> list[InputScales]:
    """Scales of windows x (N, C, time) to choose from, coarse to fine: the finer, the more of each channel is cut.

    First single values (from none to one in a thousand on each side: glitches of a sensor), then peaks, down to a tenth
    of what is left on both sides of the median.
    """
    values = x.transpose(0, 1).flatten(1).double()
    found = []
    parts = torch.tensor([part for cut in _CUTS for part in (cut, 1 - cut)] + [0.5], dtype=torch.float64)
    quantiles = torch.tensor(np.quantile(values.numpy(), parts.numpy(), axis=1))  # (parts, C)
    median = quantiles[-1]
    for i in range(len(_CUTS)):
        for fraction in torch.logspace(0, -1, _INPUT_FRACTIONS).tolist():
            low = median + fraction * (quantiles[2 * i] - median)
            high = median + fraction * (quantiles[2 * i + 1] - median)
            pairs = [affine(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True)]
            scale, zero_point = (torch.tensor(column) for column in zip(*pairs, strict=True))
            found.append(InputScales(scale.float(), zero_point, used))
    return found


def logit_range(logits: Tensor, importance: Tensor, parts: Sequence[int] = ()) -> tuple[float, float]:
    """What int8 should span of a branch's logits (N, outputs); its answer to window n counts ``importance`` (N,).

    Of pairs of clipping points, the one with the least Kullback-Leibler divergence of the quantised softmax from the
    real one. Only differences of logits count, so that the range need not hold 0. ``parts``: sizes of the answers that
    the outputs are, each with a softmax of its own; default: one.
    """
    sizes = list(parts) or [logits.shape[1]]
    kept = importance > 1e-3
    if not kept.any():  # a branch that nobody asks: whatever it says
        kept, importance = torch.ones_like(kept), torch.ones_like(importance)
    logits, importance = logits[kept].double(), importance[kept].double()
    answers = logits.split(sizes, dim=1)
    targets = [answer.log_softmax(-1) for answer in answers]
    sample = _sample(logits)
    clipped = (0.0, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5)
    lows = [torch.quantile(sample, part).item() for part in clipped]
    tops = _sample(torch.cat([answer.amax(-1) for answer in answers]))
    highs = [torch.quantile(tops, 1 - part).item() for part in clipped]

    def divergence(low: float, high: float) -> float:
        q = ((logits - low) * (255 / (high - low))).round().clamp(0, 255)
        total = torch.zeros(len(q), dtype=q.dtype)
        for target, answer in zip(targets, (q * ((high - low) / 255)).split(sizes, dim=1), strict=True):
            total += (target.exp() * (target - answer.log_softmax(-1))).sum(-1)
        return (importance * total).sum().item()

    pairs = [(low, high) for low in lows for high in highs if high - low > 2.0**-10]
    return min(pairs, key=lambda pair: divergence(*pair), default=(lows[0], lows[0] + 1.0))
