"""What every student network learns from: training windows, changed copies of them, and the teachers' opinion of each.

The teachers see the training part alone. Views and opinions are computed once and kept, so that training a student
costs nothing but the student, and a rival gets exactly what the routed network gets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ditmos.datasets import Dataset
from ditmos.training import checkpoint
from ditmos.training.data import Windows
from ditmos.training.teachers import TeacherConfig, Teachers, train_teachers
from ditmos.training.views import ViewConfig, Views

_BATCH = 1024


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


def class_weights(y: Tensor, classes: int, balanced: bool) -> Tensor:
    """(classes,) with a mean of 1 over the windows."""
    if not balanced:
        return torch.ones(classes)
    count = torch.bincount(y, minlength=classes).float().clamp(min=1)
    return len(y) / (classes * count)


def build(
    train: Windows, classes: int, config: PoolConfig, progress: Callable[[float], None] = lambda done: None
) -> tuple[Pool, Teachers]:
    """Train the teachers on ``train`` (real units) and let them judge every view of it."""
    std, mean = torch.std_mean(train.x.double(), dim=(0, 2))
    mean, std = mean.float(), std.clamp(min=1e-6).float()
    standard = Windows((train.x - mean[:, None]) / std[:, None], train.y)
    weight = class_weights(train.y, classes, config.balanced)
    rng = torch.Generator().manual_seed(config.seed)
    views = Views(config.change, mean, std, rng)
    teachers = train_teachers(
        standard, classes, config.teacher, views, weight, config.seed, balanced=config.balanced, progress=progress
    )
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
        softs.append(teachers(x).half())
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
