"""What every student network learns from: training windows, changed copies of them, and the teachers' opinion of each.

The teachers see the training part alone. Views and opinions are computed once and kept, so that training a student
costs nothing but the student, and a rival gets exactly what the routed network gets.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditmos.datasets import Dataset
from ditmos.study.views import ViewConfig, Views
from ditmos.training import checkpoint
from ditmos.training.data import Windows, batches

_BATCH = 1024


@dataclass(frozen=True)
class TeacherConfig:
    """``count`` networks, averaged. Kernels are odd (the convolutions are padded), each is followed by a pool of 2.

    planar: so many of them convolve along the channels too, with ``planes`` maps in each layer: for channels that are
    neighbours, as frequency bands are. mix: share of the steps that train on mixtures of two windows. decay: of the
    moving average of the weights, which is the teacher.
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


@dataclass(frozen=True)
class PoolConfig:
    """``views`` copies of every training window, the first unchanged; a share ``mixed`` of them, the last ones, are
    mixtures of two. balanced: classes count alike in every loss.

    Mixtures with the teachers' opinion show a student what the teachers think between the windows (Beyer et al.,
    "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022).
    """

    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    views: int = 24
    mixed: float = 0.5
    change: ViewConfig = field(default_factory=ViewConfig)
    balanced: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Pool:
    """x (views * N, channels, time) float16, standardised; soft (views * N, classes) float16 probabilities; y.

    A view is ``share`` of a window of class y, the rest of it one of class ``other``. mean, std: per channel, of the
    training part. weight: of each class in a loss. windows: N.
    """

    x: Tensor
    soft: Tensor
    y: Tensor
    other: Tensor
    share: Tensor
    mean: Tensor
    std: Tensor
    weight: Tensor
    windows: int

    @property
    def classes(self) -> int:
        return self.soft.shape[1]

    def labels(self, rows: Tensor) -> Tensor:
        """Class probabilities (len(rows), classes) by the labels alone."""
        share = self.share[rows, None]
        y, other = (F.one_hot(c[rows], self.classes) for c in (self.y, self.other))
        return share * y + (1 - share) * other


class Teacher(nn.Module):
    """Padded convolutions, narrow first and wide last, each pooled by 2; dropout; one fully connected layer."""

    def __init__(self, channels: int, rows: int, classes: int, config: TeacherConfig) -> None:
        super().__init__()
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
        self.convs = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(channels * rows, classes))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Standardised windows (N, channels, time) -> logits (N, classes)."""
        return self.head(self.convs(x.unsqueeze(2).contiguous(memory_format=torch.channels_last)).flatten(1))


class PlanarTeacher(nn.Module):
    """A window as an image: kernels of 5 x 5, then 3 x 3, pooled by 2, the channels by 4 at first; one dense layer."""

    def __init__(self, channels: int, rows: int, classes: int, config: TeacherConfig) -> None:
        super().__init__()
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
        self.convs = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(maps * height * width, classes))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Standardised windows (N, channels, time) -> logits (N, classes)."""
        return self.head(self.convs(x.unsqueeze(1).contiguous(memory_format=torch.channels_last)).flatten(1))


def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move ``average`` towards ``network``, running statistics included."""
    with torch.no_grad():
        for a, b in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if a.is_floating_point():
                a.lerp_(b, 1 - decay)
            else:
                a.copy_(b)


def class_weights(y: Tensor, classes: int, balanced: bool) -> Tensor:
    """(classes,) with a mean of 1 over the windows."""
    if not balanced:
        return torch.ones(classes)
    count = torch.bincount(y, minlength=classes).float().clamp(min=1)
    return len(y) / (classes * count)


def train_teacher(
    kind: type[Teacher] | type[PlanarTeacher], train: Windows, classes: int, config: TeacherConfig, views: Views,
    weight: Tensor, seed: int, progress: Callable[[float], None] = lambda done: None,
) -> nn.Module:  # fmt: skip
    """``train`` standardised. Returns the moving average, in evaluation mode."""
    rng = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = kind(train.x.shape[1], train.x.shape[2], classes, config)
    average = copy.deepcopy(network)
    per_epoch = max(len(train) // config.batch, 1)
    steps = config.epochs * per_epoch
    optimizer = torch.optim.AdamW(network.parameters(), config.lr, weight_decay=config.weight_decay)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, steps, pct_start=0.2)

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits, y, weight, label_smoothing=config.smoothing)

    network.train()
    step = 0
    for _ in range(config.epochs):
        for rows in batches(len(train), config.batch, rng):
            x, y = views(train.x[rows]), train.y[rows]
            if torch.rand((), generator=rng) < config.mix:
                share = float(torch.distributions.Beta(0.4, 0.4).sample())
                other = torch.randperm(len(x), generator=rng)
                logits = network(share * x + (1 - share) * x[other])
                value = share * loss(logits, y) + (1 - share) * loss(logits, y[other])
            else:
                value = loss(network(x), y)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            scheduler.step()
            step += 1
            follow(average, network, config.decay if step > 200 else 0.9)
        progress(step / steps)
    return average.eval()


@torch.no_grad()
def opinion(teachers: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Softmax of the mean logits of the teachers, (N, classes)."""
    parts = [sum(teacher(part) for teacher in teachers) / len(teachers) for part in x.split(_BATCH)]
    return torch.cat(parts).softmax(1)


def build(
    train: Windows, classes: int, config: PoolConfig, progress: Callable[[float], None] = lambda done: None
) -> tuple[Pool, list[nn.Module]]:
    """Train the teachers on ``train`` (real units) and let them judge every view of it."""
    std, mean = torch.std_mean(train.x.double(), dim=(0, 2))
    mean, std = mean.float(), std.clamp(min=1e-6).float()
    standard = Windows((train.x - mean[:, None]) / std[:, None], train.y)
    weight = class_weights(train.y, classes, config.balanced)
    rng = torch.Generator().manual_seed(config.seed)
    views = Views(config.change, mean, std, rng)
    count = config.teacher.count
    kinds = [Teacher] * (count - config.teacher.planar) + [PlanarTeacher] * config.teacher.planar
    teachers = [
        train_teacher(
            kind, standard, classes, config.teacher, views, weight, config.seed + i,
            lambda done, i=i: progress((i + done) / count),
        )
        for i, kind in enumerate(kinds)
    ]  # fmt: skip
    plain = config.views - int(config.mixed * config.views)
    xs, softs, others, shares = [], [], [], []
    for i in range(config.views):
        x = standard.x if i == 0 else torch.cat([views(part) for part in standard.x.split(_BATCH)])
        other, share = train.y, torch.ones(len(train))
        if i >= plain:
            order = torch.randperm(len(train), generator=rng)
            other, share = train.y[order], 0.5 + 0.5 * torch.rand(len(train), generator=rng)
            x = share[:, None, None] * x + (1 - share[:, None, None]) * x[order]
        xs.append(x.half())
        softs.append(opinion(teachers, x).half())
        others.append(other)
        shares.append(share)
    x, soft, other, share = (torch.cat(parts) for parts in (xs, softs, others, shares))
    y = train.y.repeat(config.views)
    return Pool(x, soft, y, other, share, mean, std, weight, len(train)), teachers


def pool_key(dataset: Dataset, parts: Sequence[int], config: PoolConfig) -> str:
    """Names data, split, which parts are trained on, and the configuration."""
    split = b"" if dataset.split is None else dataset.split.tobytes()
    text = json.dumps([dataset.sha256, list(parts), asdict(config)], sort_keys=True).encode()
    return hashlib.sha256(text + split).hexdigest()[:16]


def save(pool: Pool, file: Path) -> None:
    checkpoint.save(file, dict(vars(pool)))


def load(file: Path) -> Pool:
    """Raises DitmosError for an unreadable file."""
    return Pool(**checkpoint.load(file, "a pool of training windows"))
