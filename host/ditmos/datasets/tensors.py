"""Windows as tensors in memory: the three parts of a split data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ditmos.datasets.dataset import TEST, TRAIN, VALIDATION, Dataset
from ditmos.errors import DitmosError

FEWEST = 8  # windows of the training part: batch normalisation needs some
GLITCH = 50
_SAMPLE = 1 << 20  # values of a channel that its quantiles are taken from


@dataclass(frozen=True)
class Windows:
    """``x`` (N, channels, time) float32 in real units, ``y`` (N,) int64."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Parts:
    """The three parts of a data set, and mean and standard deviation of the training part per channel."""

    train: Windows
    validation: Windows
    test: Windows
    mean: tuple[float, ...]
    std: tuple[float, ...]


def prepare(dataset: Dataset) -> Parts:
    """The parts of a data set that has a split.

    Raises:
        DitmosError: fewer than two classes, a part without windows, too few to train on, a class without any there.
    """
    if dataset.classes < 2:
        raise DitmosError(f"{dataset.name}: one class ({dataset.class_names[0]!r}), expected 2 or more to tell apart")
    parts: list[Windows] = []
    for which, name in ((TRAIN, "training"), (VALIDATION, "validation"), (TEST, "test")):
        index = dataset.part(which)
        if not len(index):
            raise DitmosError(f"{dataset.name}: no {name} window in the split, expected some; try --split group")
        parts.append(Windows(torch.from_numpy(dataset.real(index)), torch.from_numpy(dataset.y[index])))
    train, validation, test = parts
    if len(train) < FEWEST:
        raise DitmosError(f"{dataset.name}: {len(train)} training windows, expected {FEWEST} or more; record more")
    absent = [name for i, name in enumerate(dataset.class_names) if not (train.y == i).any()]
    if absent:
        raise DitmosError(
            f"{dataset.name}: no training window of class {', '.join(map(repr, absent))}, expected some of every "
            "class; record more, or leave the class out"
        )
    if limits := glitch_limits(train.x):
        train, validation, test = (Windows(part.x.clamp(*limits), part.y) for part in (train, validation, test))
    mean, std = moments(train.x)
    return Parts(train, validation, test, mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (channels,) of windows x (N, channels, time), float64. A channel that does not change
    has a deviation of 1e-6, another one at least a millionth of its mean: signals may be nA, so there is no least one.
    """
    std, mean = torch.std_mean(x.double(), dim=(0, 2))
    return mean, torch.where(std > 0, torch.maximum(std, 1e-6 * mean.abs()), 1e-6)


def glitch_limits(x: Tensor) -> tuple[Tensor, Tensor] | None:
    """(channels, 1) what to clamp windows x (N, channels, time) to where single values of a channel lie farther from
    its middle 99.8 % than `GLITCH` times their span; None where there are no such values. A few would else decide mean
    and deviation of all; integers saturate far below."""
    values = x.transpose(0, 1).flatten(1)
    step = -(-values.shape[1] // _SAMPLE)
    ends = np.quantile(values[:, ::step].cpu().numpy(), (0.001, 0.999), axis=1).astype(np.float32)
    first, last = torch.from_numpy(ends)
    room = GLITCH * (last - first)
    low, high = first - room, last + room
    wild = (room > 0) & ((values.amin(1) < low) | (values.amax(1) > high))
    if not wild.any():
        return None
    infinite = torch.full_like(low, torch.inf)
    return torch.where(wild, low, -infinite)[:, None], torch.where(wild, high, infinite)[:, None]
