"""A forest within so many bytes of flash: what is tried, and validation chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from ditmos.datasets import TRAIN, VALIDATION, Dataset
from ditmos.datasets.features import samples_of
from ditmos.datasets.tensors import Parts
from ditmos.errors import DitmosError
from ditmos.forest.convert import to_forest
from ditmos.frontends.integers import Int16
from ditmos.frontends.window_summary import Summary, summary_for
from ditmos.model.forest import MAX_TREES, Forest
from ditmos.training.score import value
from ditmos.training.views import ViewConfig, Views

FLASH = 64 << 10  # bytes, where nothing is bounded
_NODE = 4
_TURNED = ViewConfig(rotate=20.0, scale=0.1, shift=8)


@dataclass(frozen=True)
class Trial:
    """What was grown: trees of so many leaves at most, each split on a ``share`` of the features, from the training
    windows and so many turned ``copies`` of them; score: on validation, in votes."""

    trees: int
    leaves: int
    share: float
    copies: int
    score: float = 0.0


@dataclass(frozen=True)
class Grown:
    """forest: in integers. model: scikit-learn's. summary: what makes its features of a window. trials: all that were
    tried, the chosen one first."""

    forest: Forest
    model: Any
    summary: Summary
    trials: list[Trial]


def trials(flash: int, *, turned: bool) -> list[Trial]:
    """Sizes that fill ``flash`` bytes. Raises DitmosError where not one tree fits."""
    found = []
    for leaves in (250, 400, 600):
        trees = min(flash // (_NODE * (2 * leaves - 1) + 4), MAX_TREES)
        found += [Trial(trees, leaves, share, copies) for share in (0.5, 0.8) for copies in ((2,) if turned else (0,))]
    found = [trial for trial in found if trial.trees]
    if not found:
        raise DitmosError(f"forest: {flash:,} bytes of flash, expected room for a tree, {_NODE * 500:,} bytes or more")
    return found


def grow(
    dataset: Dataset, parts: Parts, flash: int, seed: int, *, turned: bool, balanced: bool,
    progress: Callable[[float], None] = lambda done: None,
) -> Grown:  # fmt: skip
    """ExtraTrees on the training windows, chosen by validation. ``turned``: three axes of motion, of which turned,
    scaled and shifted copies mean the same.

    Raises:
        DitmosError: windows too short for features, or no tree within ``flash``.
    """
    rows, scale = samples_of(dataset)
    summary = summary_for(dataset.window)
    x, y = summary.features(rows), dataset.y.astype(np.int64)
    train, held = dataset.part(TRAIN), dataset.part(VALIDATION)
    chosen = trials(flash, turned=turned)
    copies = [summary.features(c) for c in _copies(parts, scale, seed, max(t.copies for t in chosen))]
    best: tuple[float, Forest, Any] | None = None
    done: list[Trial] = []
    for i, trial in enumerate(chosen):
        model = ExtraTreesClassifier(
            trial.trees, max_leaf_nodes=trial.leaves, max_features=trial.share, random_state=seed, n_jobs=1,
            class_weight="balanced" if balanced else None,
        )  # fmt: skip
        model.fit(np.concatenate([x[train], *copies[: trial.copies]]), np.tile(y[train], 1 + trial.copies))
        forest = to_forest(model, x.shape[1])
        votes = forest.walk(x[held], dataset.classes)[0]
        done.append(replace(trial, score=value(votes.argmax(1) == y[held], y[held], balanced=balanced)))
        if best is None or done[-1].score > best[0]:
            best = done[-1].score, forest, model
        progress((i + 1) / len(chosen))
    assert best
    return Grown(best[1], best[2], summary, sorted(done, key=lambda trial: -trial.score))


def _copies(parts: Parts, scale: float, seed: int, count: int) -> list[Int16]:
    """Training windows turned, scaled and shifted, as samples (N, time, channels)."""
    if not count:
        return []
    mean, std = torch.tensor(parts.mean), torch.tensor(parts.std)
    views = Views(_TURNED, mean, std, torch.Generator().manual_seed(seed))
    found = []
    for _ in range(count):
        x = views((parts.train.x - mean[:, None]) / std[:, None]) * std[:, None] + mean[:, None]
        steps: NDArray = np.rint(x.numpy().transpose(0, 2, 1) / np.float32(scale))
        found.append(np.clip(steps, -32768, 32767).astype(np.int16))
    return found
