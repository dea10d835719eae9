"""Changed copies of training windows: what keeps its meaning in motion, log-mel and EEG windows.

Rotation, scale, shift, noise and masks are those of `ditmos.training.data`; here are the changes that resample.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ditmos.training.config import AugmentConfig
from ditmos.training.data import Augment


@dataclass(frozen=True)
class ViewConfig:
    """``basic``: see `AugmentConfig`; the rest is off at 0.

    stretch: largest relative change of speed. warp: the same along the channels, for log-mel (another length of the
    vocal tract). offset: standard deviation of a constant added to a window, in units of each channel's own deviation
    (on log-mel: loudness). roll: start anywhere in the window and wrap around. flip: change the sign of half of the
    windows. drop: probability that a channel is silent.
    """

    basic: AugmentConfig = field(default_factory=AugmentConfig)
    stretch: float = 0.0
    warp: float = 0.0
    offset: float = 0.0
    roll: bool = False
    flip: bool = False
    drop: float = 0.0


class Views:
    """Standardised windows (N, channels, time) -> changed ones of the same shape, all drawn from ``rng``."""

    def __init__(self, config: ViewConfig, mean: Tensor, std: Tensor, rng: torch.Generator) -> None:
        self.config, self.rng = config, rng
        self._mean, self._std = mean[:, None], std[:, None]
        self._basic = Augment(config.basic, tuple(mean.tolist()), tuple(std.tolist()), rng)

    def __call__(self, x: Tensor) -> Tensor:
        config, count = self.config, len(x)
        # gravity does not survive standardisation: rotation needs real units
        x = (self._basic(x * self._std + self._mean) - self._mean) / self._std
        if config.roll:
            start = torch.randint(x.shape[2], (count, 1), generator=self.rng)
            index = (torch.arange(x.shape[2]) + start) % x.shape[2]
            x = x.gather(2, index[:, None].expand_as(x))
        if config.stretch:
            x = _resample(x, 1 + self._uniform(count) * config.stretch, centre=(x.shape[2] - 1) / 2)
        if config.warp:
            factor = 1 + self._uniform(count) * config.warp
            x = _resample(x.transpose(1, 2), factor, centre=0.0).transpose(1, 2)
        if config.offset:
            x = x + config.offset * torch.randn(count, 1, 1, generator=self.rng)
        if config.flip:
            x = torch.where(self._uniform(count)[:, None, None] < 0, -x, x)
        if config.drop:
            x = x * (torch.rand(*x.shape[:2], 1, generator=self.rng) >= config.drop)
        return x

    def _uniform(self, count: int) -> Tensor:
        return torch.rand(count, generator=self.rng) * 2 - 1


def _resample(x: Tensor, factor: Tensor, centre: float) -> Tensor:
    """Linear interpolation along the last axis at ``centre + factor * (i - centre)``, held at both ends."""
    size = x.shape[2]
    position = (torch.arange(size) - centre) * factor[:, None] + centre
    position = position.clamp(0, size - 1)
    low = position.floor().long().clamp(max=max(size - 2, 0))
    share = (position - low)[:, None].to(x.dtype)
    high = (low + 1).clamp(max=size - 1)
    a, b = (x.gather(2, index[:, None].expand_as(x)) for index in (low, high))
    return a + (b - a) * share
