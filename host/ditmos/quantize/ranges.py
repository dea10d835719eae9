"""Scales from observed values: how much of the range to clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ditmos.errors import DitmosError

_SAMPLE = 100_000  # values that decide a scale
_FRACTIONS = 40  # clipping points tried, evenly spaced up to the largest value
_INPUT_FRACTIONS = 16  # of the window: from the largest value to a tenth of it, in equal ratios


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


def affine(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point of an int8 tensor over [low, high], which is widened to hold 0; scale is a float32."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = torch.tensor(max((high - low) / 255, 2.0**-20), dtype=torch.float32).item()
    return scale, max(-128, min(127, round(-128 - low / scale)))


def input_scales(values: Tensor) -> list[tuple[float, int]]:
    """Scales and zero points of the window to choose from, coarse to fine: the finer, the more of the peaks is cut."""
    values = _sample(values)
    low, high = values.min().item(), values.max().item()
    return [affine(low * f, high * f) for f in torch.logspace(0, -1, _INPUT_FRACTIONS).tolist()]


def stored(x: Tensor, scale: float, zero_point: int) -> Tensor:
    """Real values as the int8 values of docs/arithmetic.md, in a float tensor."""
    factor = torch.tensor(1.0) / torch.tensor(scale, dtype=torch.float32)
    return ((x.float() * factor).round() + zero_point).clamp(-128, 127)


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
