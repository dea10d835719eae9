"""Changed copies of training windows: what keeps its meaning in motion, log-mel and EEG windows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ditmos.errors import DitmosError

_ALIKE = 100  # what the largest of three axes adds to the smallest, in its deviations: more are no axes of one sensor
OFFSET = 8  # deviations of a channel from 0 beyond which its mean is an offset, not a part of the signal as gravity is


@dataclass(frozen=True)
class ViewConfig:
    """``count`` copies of every training window, the first unchanged; a share ``mixed`` of them, the last ones, are
    mixtures of two. The rest says how windows are changed; 0 switches a change off.

    rotate: largest angle in degrees about a random axis, for channels in threes (accelerometer, gyroscope); three that
    are unlike in size stay as they are. shift: largest shift in rows, edges repeated. scale: standard deviation of the
    log of a factor per window, about the mean where that is an offset. noise: standard deviation, in units of each
    channel's own deviation. mask: largest number of rows, and of channels, set to the mean (log-mel). stretch: largest
    relative change of speed. warp: the same along the channels (log-mel: another length of the vocal tract). offset:
    standard deviation of a constant added to a window, in units of the channel's deviation (log-mel: loudness). drop:
    probability that a channel is silent.
    """

    count: int = 24
    mixed: float = 0.5
    rotate: float = 0.0
    shift: int = 0
    scale: float = 0.0
    noise: float = 0.0
    mask: int = 0
    stretch: float = 0.0
    warp: float = 0.0
    offset: float = 0.0
    drop: float = 0.0


class Views:
    """Standardised windows (N, channels, time) -> changed ones of the same shape, all drawn from ``rng``."""

    def __init__(self, config: ViewConfig, mean: Tensor, std: Tensor, rng: torch.Generator) -> None:
        """mean, std: (channels,) of the real units. Raises DitmosError where channels to rotate are not in threes."""
        if config.rotate and len(mean) % 3:
            raise DitmosError(f"views.rotate needs channels in threes, expected 3, 6 or 9; there are {len(mean)}")
        self.config, self.rng = config, rng
        if config.rotate:
            sizes, least = (mean.abs() + std).view(-1, 3).amax(1), std.view(-1, 3).amin(1)
            self._rotated = (sizes <= _ALIKE * least)[:, None, None]
        self._mean, self._std = mean[:, None], std[:, None]
        # A factor is one of what varies: an offset of many deviations, as of air pressure, is none of its business.
        self._centre = torch.where(self._mean.abs() > OFFSET * self._std, self._mean, 0.0)

    def __call__(self, x: Tensor) -> Tensor:
        config, count, rows = self.config, len(x), x.shape[2]
        # gravity does not survive standardisation: these need real units
        x = (self._measured(x * self._std + self._mean) - self._mean) / self._std
        if config.stretch:
            x = _resample(x, 1 + self._uniform(count) * config.stretch, centre=(rows - 1) / 2)
        if config.warp:
            factor = 1 + self._uniform(count) * config.warp
            x = _resample(x.transpose(1, 2), factor, centre=0.0).transpose(1, 2)
        if config.offset:
            x = x + config.offset * torch.randn(count, 1, 1, generator=self.rng)
        if config.drop:
            x = x * (torch.rand(*x.shape[:2], 1, generator=self.rng) >= config.drop)
        return x

    def _measured(self, x: Tensor) -> Tensor:
        """Changes of windows in real units."""
        config, (count, channels, rows) = self.config, x.shape
        if config.rotate:
            angle = torch.empty(count).uniform_(0, config.rotate * torch.pi / 180, generator=self.rng)
            axis = torch.nn.functional.normalize(torch.randn(count, 3, generator=self.rng), dim=1)
            axes = x.unflatten(1, (-1, 3))
            turned = torch.einsum("nij,ngjt->ngit", rotation(axis * angle[:, None]), axes)
            x = torch.where(self._rotated, turned, axes).flatten(1, 2)
        if config.shift:
            offset = torch.randint(-config.shift, config.shift + 1, (count, 1), generator=self.rng)
            index = (torch.arange(rows) + offset).clamp(0, rows - 1)
            x = x.gather(2, index[:, None].expand(-1, channels, -1))
        if config.scale:
            factor = (config.scale * torch.randn(count, 1, 1, generator=self.rng)).exp()
            x = self._centre + (x - self._centre) * factor
        if config.noise:
            x = x + config.noise * self._std * torch.randn(x.shape, generator=self.rng)
        if config.mask:
            for dim, length in ((2, rows), (1, channels)):
                first = torch.randint(length, (count, 1), generator=self.rng)
                width = torch.randint(config.mask + 1, (count, 1), generator=self.rng)
                position = torch.arange(length)
                hidden = (position >= first) & (position < first + width)
                x = torch.where(hidden.unsqueeze(3 - dim), self._mean, x)
        return x

    def _uniform(self, count: int) -> Tensor:
        return torch.rand(count, generator=self.rng) * 2 - 1


def rotation(vector: Tensor) -> Tensor:
    """Rotation matrices (N, 3, 3) of rotation vectors (N, 3) in rad."""
    zero = torch.zeros(len(vector))
    x, y, z = vector.unbind(1)
    return torch.linalg.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3))


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
