"""What every student network learns from: training windows, changed copies of them, and the teachers' opinion of each.

The teachers see the training part alone. Views and opinions are computed once and kept, so that training a student
costs nothing but the student, and a rival gets exactly what the routed network gets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ditmos.datasets.tensors import Windows, moments
from ditmos.keep import Keep
from ditmos.training.score import value
from ditmos.training.teachers import TeacherConfig, Teachers, train_teachers
from ditmos.training.views import ViewConfig, Views

_BATCH = 1024
_KEPT = ("x", "soft", "other", "share")  # of a view


@dataclass(frozen=True)
class PoolConfig:
    """balanced: classes count alike in every loss.

    Mixtures with the teachers' opinion show a student what the teachers think between the windows (Beyer et al.,
    "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022).
    """

    views: ViewConfig
    teachers: TeacherConfig
    balanced: bool = False


@dataclass(frozen=True)
class Pool:
    """x (views * N, channels, time) float16, standardised; soft (views * N, classes) float16 probabilities; y.

    A view is ``share`` of a window of class y, the rest of it one of class ``other``. mean, std: per channel, of the
    training part. weight: of each class in a loss. windows: N. teachers: how good they are on windows that they have
    not seen, by name.
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
    teachers: Mapping[str, float]

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
    train: Windows, classes: int, config: PoolConfig, *, judged: Mapping[str, Windows] | None = None,
    keep: Keep | None = None, progress: Callable[[float], None] = lambda done: None,
) -> Pool:  # fmt: skip
    """Train the teachers on ``train`` (real units), let them judge every view of it, and say how they do on ``judged``.

    Teachers and views are kept one by one. ``progress``: nine tenths are the teachers.
    """
    keep = keep or Keep()
    mean, std = (moment.float() for moment in moments(train.x))
    standard = Windows((train.x - mean[:, None]) / std[:, None], train.y)
    weight = class_weights(train.y, classes, config.balanced)
    rng = torch.Generator().manual_seed(config.teachers.seed)
    views = Views(config.views, mean, std, rng)
    teachers = train_teachers(
        standard, classes, config.teachers, views, weight, keep, balanced=config.balanced,
        progress=lambda done: progress(0.9 * done),
    )  # fmt: skip
    found: list[dict[str, Any]] = []
    for i in range(config.views.count):
        view = keep.load(f"view-{i}")
        if view is None:
            view = _view(standard, teachers, views, i, config.views)
            keep.save(f"view-{i}", view | {"rng": rng.get_state()})
        else:
            rng.set_state(view["rng"])
        found.append(view)
        progress(0.9 + 0.1 * (i + 1) / config.views.count)
    x, soft, other, share = (torch.cat([view[name] for view in found]) for name in _KEPT)
    figures = keep.load("figures") or _figures(teachers, judged or {}, mean, std, config.balanced)
    keep.save("figures", figures)
    y = train.y.repeat(config.views.count)
    return Pool(x, soft, y, other, share, mean, std, weight, len(train), figures)


def _view(standard: Windows, teachers: Teachers, views: Views, i: int, config: ViewConfig) -> dict[str, Tensor]:
    """The ith copy of all windows."""
    count = len(standard)
    x = standard.x if i == 0 else torch.cat([views(part) for part in standard.x.split(_BATCH)])
    other, share = standard.y, torch.ones(count)
    if i >= config.count - int(config.mixed * config.count):
        order = torch.randperm(count, generator=views.rng)
        other, share = standard.y[order], 0.5 + 0.5 * torch.rand(count, generator=views.rng)
        x = share[:, None, None] * x + (1 - share[:, None, None]) * x[order]
    return {"x": x.half(), "soft": teachers(x).half(), "other": other, "share": share}


def _figures(
    teachers: Teachers, judged: Mapping[str, Windows], mean: Tensor, std: Tensor, balanced: bool
) -> dict[str, float]:
    def of(windows: Windows) -> float:
        answers = teachers((windows.x - mean[:, None]) / std[:, None]).argmax(1)
        return value((answers == windows.y).numpy(), windows.y.numpy(), balanced)

    return {name: of(windows) for name, windows in judged.items()}


def pool_key(data: str, config: PoolConfig) -> str:
    """Names what a pool is made of; ``data``: which windows."""
    return hashlib.sha256(json.dumps([data, asdict(config)], sort_keys=True).encode()).hexdigest()[:16]
