"""Who judges the windows that students learn from: networks, and models on features made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from ditmos.datasets.tensors import Windows
from ditmos.frontends.handmade import features
from ditmos.keep import Keep
from ditmos.networks.large_network import LargeNetwork
from ditmos.progress import share
from ditmos.training.loop import Cycle, learn
from ditmos.training.views import Views

_BATCH = 1024
_TREES, _LEAF = 200, 20
_REGULARISATION = 1e-3  # of the linear model: scikit-learn's C, for standardised features


@dataclass(frozen=True)
class TeacherConfig:
    """``count`` networks, averaged. Kernels are odd (the convolutions are padded), each is followed by a pool of 2.

    planar: so many of them convolve along the channels too, with ``planes`` maps in each layer: for channels that are
    neighbours, as frequency bands are. handmade: a linear model and a forest on features made by hand judge too, each
    with as much weight as all networks together. mix: share of the steps that train on mixtures of two windows. decay:
    of the moving average of the weights, which is the teacher. seed: their own, so that runs that differ in theirs can
    share a pool.
    """

    count: int = 2
    epochs: int = 40
    batch: int = 256
    lr: float = 4e-3
    weight_decay: float = 0.03
    smoothing: float = 0.1
    mix: float = 0.5
    widths: tuple[int, ...] = (32, 64, 96, 128)
    kernels: tuple[int, ...] = (9, 7, 5, 3)
    dropout: float = 0.3
    decay: float = 0.99
    planar: int = 0
    planes: tuple[int, ...] = (16, 32, 64, 96)
    handmade: bool = False
    seed: int = 0


def batch_for(windows: int, most: int) -> int:
    """Of so many training windows; small sets: enough steps for the schedule to mean something."""
    return min(most, 1 << max(windows // 8, 8).bit_length() - 1)


Build = Callable[[int, int, int, TeacherConfig], LargeNetwork]


def line_network(channels: int, rows: int, classes: int, config: TeacherConfig) -> LargeNetwork:
    """Padded convolutions along time, narrow first and wide last, each pooled by 2; dropout; one dense layer."""
    layers: list[nn.Module] = []
    for width, kernel in zip(config.widths, config.kernels, strict=True):
        if rows < 2:
            break
        layers += [
            nn.Conv2d(channels, width, (1, kernel), padding=(0, kernel // 2), bias=False),
            nn.MaxPool2d((1, 2)),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels, rows = width, rows // 2
    return LargeNetwork(layers, [nn.Dropout(config.dropout), nn.Linear(channels * rows, classes)])


def image_network(channels: int, rows: int, classes: int, config: TeacherConfig) -> LargeNetwork:
    """A window as an image: kernels of 5 x 5, then 3 x 3, pooled by 2, the channels by 4 at first; one dense layer."""
    layers: list[nn.Module] = []
    maps, height, width = 1, channels, rows
    for i, planes in enumerate(config.planes):
        kernel, stride = (5, (2, 1)) if i == 0 else (3, 1)
        pool = (2, 1 if i == 0 or width < 2 else 2)
        height = -(-height // 2) if i == 0 else height
        pool = (pool[0] if height > 1 else 1, pool[1])
        layers += [
            nn.Conv2d(maps, planes, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(planes),
            nn.ReLU(),
            nn.MaxPool2d(pool),
        ]
        maps, height, width = planes, height // pool[0], width // pool[1]
    head = [nn.Dropout(config.dropout), nn.Linear(maps * height * width, classes)]
    return LargeNetwork(layers, head, planar=True)


class HandmadeTeacher:
    """A linear model and a forest on `ditmos.frontends.handmade.features`; classes count alike where ``balanced``."""

    def __init__(self, train: Windows, classes: int, *, balanced: bool, seed: int) -> None:
        """``train`` standardised; a class that it lacks has probability 0."""
        weight = "balanced" if balanced else None
        x, y = features(train.x.numpy()), train.y.numpy()
        self._classes = classes
        self._mean, self._std = x.mean(0), x.std(0) + 1e-6
        x = (x - self._mean) / self._std
        self._models = (
            LogisticRegression(C=_REGULARISATION, class_weight=weight, max_iter=500).fit(x, y),
            RandomForestClassifier(
                _TREES, min_samples_leaf=_LEAF, class_weight=weight, random_state=seed, n_jobs=1
            ).fit(x, y),
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Standardised windows (N, channels, time) -> mean probabilities (N, classes)."""
        z = (features(x.numpy()) - self._mean) / self._std
        result = np.zeros((len(z), self._classes))
        result[:, self._models[0].classes_] = np.mean([model.predict_proba(z) for model in self._models], axis=0)
        return torch.from_numpy(result).float()


@dataclass(frozen=True)
class Teachers:
    """Networks, and models on features made by hand if there are any."""

    networks: Sequence[nn.Module]
    handmade: HandmadeTeacher | None = None

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Their opinion of standardised windows: (N, classes), the softmax of the networks' mean logits, averaged with
        what the others say."""
        parts = []
        for part in x.split(_BATCH):
            logits = sum(network(part) for network in self.networks) / len(self.networks)
            parts.append(logits.softmax(1))
            if self.handmade is not None:  # which is two models
                parts[-1] = (parts[-1] + 2 * self.handmade(part)) / 3
        return torch.cat(parts)


def train_network(
    build: Build, train: Windows, classes: int, config: TeacherConfig, views: Views, weight: Tensor, seed: int,
    keep: Keep, name: str, progress: Callable[[float], None] = lambda done: None,
) -> nn.Module:  # fmt: skip
    """``train`` standardised. Returns the moving average, in evaluation mode."""
    rng = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = build(train.x.shape[1], train.x.shape[2], classes, config)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits, y, weight, label_smoothing=config.smoothing)

    def of(rows: Tensor, done: float) -> Tensor:
        x, y = views(train.x[rows]), train.y[rows]
        if torch.rand((), generator=rng) >= config.mix:
            return loss(network(x), y)
        share = float(torch.distributions.Beta(0.4, 0.4).sample())
        other = torch.randperm(len(x), generator=rng)
        logits = network(share * x + (1 - share) * x[other])
        return share * loss(logits, y) + (1 - share) * loss(logits, y[other])

    groups = [{"params": list(network.parameters()), "lr": config.lr, "weight_decay": config.weight_decay}]
    steps = config.epochs * max(len(train) // config.batch, 1)
    cycle = Cycle(steps, config.batch, len(train), groups, 0.2, (0.9, config.decay), 199, rng, [views.rng])
    return learn(network, cycle, of, keep, name, progress)


def train_teachers(
    train: Windows, classes: int, config: TeacherConfig, views: Views, weight: Tensor, keep: Keep, *, balanced: bool,
    progress: Callable[[float], None] = lambda done: None,
) -> Teachers:  # fmt: skip
    """All teachers that ``config`` names, on standardised windows."""
    kinds = [line_network] * (config.count - config.planar) + [image_network] * config.planar
    networks = [
        train_network(
            kind, train, classes, config, views, weight, config.seed + i, keep, f"teacher-{i}",
            share(progress, i, config.count),
        )
        for i, kind in enumerate(kinds)
    ]  # fmt: skip
    handmade = HandmadeTeacher(train, classes, balanced=balanced, seed=config.seed) if config.handmade else None
    return Teachers(networks, handmade)
