"""A forest within so many bytes of flash: what is tried, and folds choose.

A forest grows in seconds, so trials are judged by all people that are no test people: by votes on training windows of
trees that have not seen the person, and on validation windows. Validation alone, a few people, would choose by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from torch import Tensor

from ditmos.atomic import read_json, write_json
from ditmos.datasets import TRAIN, VALIDATION
from ditmos.datasets.features import samples_of
from ditmos.datasets.splits import fold_of
from ditmos.forest.convert import to_forest
from ditmos.frontends.integers import Int16
from ditmos.frontends.window_summary import Summary, summary_for
from ditmos.model.forest import MAX_TREES, NARROW_CLASSES, NARROW_FEATURES, Forest
from ditmos.planner.forest_price import votes_price
from ditmos.planner.price import summary_price
from ditmos.training.learn import Task
from ditmos.training.score import value
from ditmos.training.views import ViewConfig, Views

FLASH = 64 << 10  # bytes, where nothing is bounded
COPIES = (0, 2)  # changed ones of every training window, to choose from
_FOLDS = 3
LARGE = 192 << 10  # where instructions are bounded and flash is not
_SIZES = ((400, 0.5), (250, 0.8), (100, 0.3), (30, 0.3))  # leaves, and share of the features for a split
_TRIED = 50  # features for a split, at most
_DEEPER = 1.2  # than a full tree: inner nodes that a window reads
NODE = 4  # bytes; twice that where features or classes are many


@dataclass(frozen=True)
class Trial:
    """What was grown: trees of so many leaves at most, each split on a ``share`` of the features, from the training
    windows and so many changed ``copies`` of them; score: on windows that were held out, in votes."""

    trees: int
    leaves: int
    share: float
    copies: int
    score: float = 0.0


@dataclass(frozen=True)
class Ground:
    """What trees grow on: features of the training windows and of their changed copies, each (N, features), the windows
    themselves first; y: (N,)."""

    copies: list[Int16]
    y: NDArray[np.int64]
    seed: int
    balanced: bool

    def fit(self, trial: Trial, rows: NDArray[np.integer] | slice = slice(None)) -> ExtraTreesClassifier:
        """Trees on these training windows and their copies."""
        model = ExtraTreesClassifier(
            trial.trees, max_leaf_nodes=trial.leaves, max_features=trial.share, random_state=self.seed, n_jobs=1,
            class_weight="balanced" if self.balanced else None,
        )  # fmt: skip
        taken = [copy[rows] for copy in self.copies[: 1 + trial.copies]]
        return model.fit(np.concatenate(taken), np.tile(self.y[rows], len(taken)))

    def held_out(self, trial: Trial, fold: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,) whether trees that have grown on the other folds are right."""
        right = np.zeros(len(self.y), bool)
        for i in np.unique(fold):
            here = fold == i
            if not here.all():
                right[here] = self.fit(trial, np.flatnonzero(~here)).predict(self.copies[0][here]) == self.y[here]
        return right


@dataclass(frozen=True)
class Grown:
    """forest: in integers. summary: what makes its features of a window. trials: all that were tried, the chosen one
    first. ground: what it grew on."""

    forest: Forest
    summary: Summary
    trials: list[Trial]
    ground: Ground

    def fewer(self, count: int) -> Grown:
        """Only so many of the trees."""
        chosen = replace(self.trials[0], trees=count)
        return replace(self, forest=self.forest.first(count), trials=[chosen, *self.trials[1:]])


def tree_bytes(task: Task, leaves: int | None = None) -> int:
    """Of a tree of so many leaves, or of the smallest that is tried."""
    leaves = leaves or min(size for size, _ in _SIZES)
    channels, classes = len(task.dataset.channels), task.dataset.classes
    wide = classes > NARROW_CLASSES or summary_for(task.dataset.window).count(channels) >= NARROW_FEATURES
    return (2 if wide else 1) * NODE * (2 * leaves - 1) + 4


def trials(task: Task, flash: int, instructions: float | None = None) -> list[Trial]:
    """Sizes that fill ``flash`` bytes, of which there are enough for a tree, as far as ``instructions`` go for features
    and votes, on the windows alone. Of many features a split tries a few."""
    channels, summary = len(task.dataset.channels), summary_for(task.dataset.window)
    spare, features = math.inf, summary.count(channels)
    if instructions is not None:
        spare = instructions - summary_price(summary, task.dataset.window, channels) - votes_price(0, 0)
    found = []
    for leaves, share in _SIZES:
        one = votes_price(1, _DEEPER * math.log2(leaves)) - votes_price(0, 0)
        trees = min(flash // tree_bytes(task, leaves), MAX_TREES, max(spare / one, 1))
        found.append(Trial(int(trees), leaves, min(share, _TRIED / features), 0))
    return [trial for trial in found if trial.trees]


def grow(
    task: Task, flash: int, instructions: float | None = None, *, progress: Callable[[float], None] = lambda done: None
) -> Grown:
    """ExtraTrees within ``flash`` (at least `tree_bytes`) and about so many ``instructions``, on the training windows
    and, where that is better, on copies of them too, changed half as much as the task's views are.

    Raises:
        DitmosError: windows too short for features.
    """
    dataset = task.dataset
    chosen = trials(task, flash, instructions)
    train, held = dataset.part(TRAIN), dataset.part(VALIDATION)
    summary, ground = summary_for(dataset.window), ground_of(task, max(COPIES))
    rows, _ = samples_of(dataset)
    x, y = summary.features(rows[held]), dataset.y.astype(np.int64)
    fold = fold_of(dataset, train, _FOLDS, task.settings.data.split)
    file = task.keep.file(f"forest-{task.digest}.json")
    done = [Trial(**row) for row in read_json(file)] if file and file.exists() else []
    while len(done) < (count := len(chosen) + len(COPIES) - 1):
        if len(done) < len(chosen):
            trial = chosen[len(done)]
        else:  # the best one on copies, too
            best = max(done[: len(chosen)], key=lambda trial: trial.score)
            trial = replace(best, copies=COPIES[len(done) - len(chosen) + 1])
        right = np.concatenate([ground.held_out(trial, fold), ground.fit(trial).predict(x) == y[held]])
        done.append(replace(trial, score=value(right, np.concatenate([y[train], y[held]]), balanced=task.balanced)))
        if file:
            write_json(file, [asdict(trial) for trial in done])
        progress(len(done) / count)
    done.sort(key=lambda trial: -trial.score)  # the first of equals
    return Grown(to_forest(ground.fit(done[0]), x.shape[1]), summary, done, ground)


def ground_of(task: Task, copies: int) -> Ground:
    """Features of the training windows and of so many changed copies."""
    dataset, (rows, _) = task.dataset, samples_of(task.dataset)
    summary, train = summary_for(dataset.window), dataset.part(TRAIN)
    found = [summary.features(rows[train]), *(summary.features(c) for c in changed(task, copies))]
    return Ground(found, dataset.y[train].astype(np.int64), task.seed, task.balanced)


def regrow(task: Task, grown: Grown) -> Grown:
    """The chosen trees anew, from the training windows of ``task``."""
    ground = ground_of(task, grown.trials[0].copies)
    forest = to_forest(ground.fit(grown.trials[0]), grown.forest.features)
    return replace(grown, forest=forest, ground=ground)


def changed(task: Task, count: int) -> Iterator[Int16]:
    """So many copies of the training windows, changed half as much as the views of networks, as samples (N, time,
    channels): stronger changes cost a forest more than they give."""
    parts, views = task.parts, halved(task.settings.views)
    _, scale = samples_of(task.dataset)
    mean, std = torch.tensor(parts.mean), torch.tensor(parts.std)
    change = Views(views, mean, std, torch.Generator().manual_seed(task.seed))
    for _ in range(count):
        yield to_samples(change((parts.train.x - mean[:, None]) / std[:, None]) * std[:, None] + mean[:, None], scale)


def halved(views: ViewConfig) -> ViewConfig:
    """Changes of half the size."""
    half = {
        name: getattr(views, name) / 2 for name in ("rotate", "scale", "noise", "stretch", "warp", "offset", "drop")
    }
    return replace(views, shift=views.shift // 2, mask=views.mask // 2, **half)


def to_samples(x: Tensor, scale: float) -> Int16:
    """Real windows (N, channels, time) as int16 samples (N, time, channels) in steps of ``scale``."""
    steps: NDArray = np.rint(x.numpy().transpose(0, 2, 1) / np.float32(scale))
    return np.clip(steps, -32768, 32767).astype(np.int16)
