"""Specialists behind a forest: K classifiers of one shape, each for a cluster of what the forest confuses.

The forest has been asked anyway, so its votes choose for nothing: the nearest of K clusters of votes names the
classifier. They are clusters of *out-of-fold* votes on training windows, of trees that have not seen these people:
votes on windows that a forest has learned say nothing of what it will confuse. Each classifier then learns from the
windows of its cluster, grown from one that has learned from all (`ditmos.training.fit`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor

from ditmos.datasets import TRAIN, VALIDATION
from ditmos.datasets.features import samples_of
from ditmos.datasets.splits import fold_of
from ditmos.forest.grow import Grown, to_samples
from ditmos.model.clusters import Clusters, around
from ditmos.model.forest import VOTES
from ditmos.model.quantized import QuantizedModel
from ditmos.quantize.quantize import divergence_from, quantize
from ditmos.training.export import check
from ditmos.training.fit import fit
from ditmos.training.learn import Task, pool_of, shape_of
from ditmos.training.pool import Pool

_BATCH = 4096  # windows whose features are made at a time


class Learned(NamedTuple):
    """model: the network in integers; clusters: of votes, one a classifier; how: what the row says of the training."""

    model: QuantizedModel
    clusters: Clusters
    how: dict[str, Any]


def learn(task: Task, grown: Grown, metadata: dict[str, Any]) -> Learned:
    """``task``: with the budget of one classifier. Raises DitmosError where no network keeps it."""
    settings, config = task.settings, task.settings.specialists
    one, trials = shape_of(task)
    pool = pool_of(task)
    task.report("specialists", 0.0, "votes of trees that have not seen the people")
    votes = out_of_fold(task, grown, pool)
    clusters = clustered(votes[: pool.windows], config.count, grown.forest.trees, task.seed)
    given = torch.from_numpy(clusters.nearest(votes))
    spec = replace(one, classifiers=clusters.count)
    network = fit(
        spec, pool, settings.fit, task.seed, lambda done: task.report("network", done, ""),
        keep=task.keep.within(f"fit-{task.digest}"), given=given,
    )  # fmt: skip
    held = task.parts.validation.x
    model, tuning, fake = quantize(
        network, task.parts.train, held, signal=task.dataset.signal, clips=settings.int8.clips,
        epochs=settings.int8.epochs, seed=task.seed, metadata=metadata,
        distance=divergence_from(network, held, _asked(task, grown, clusters)),
        given=given[: pool.windows], keep=task.keep.within(f"int8-{task.digest}"),
        progress=lambda done: task.report("integers", done, ""),
    )  # fmt: skip
    check(model, fake, task.parts.validation)
    how = {
        "search": [trial.to_dict() for trial in trials],
        "windows_of_specialists": torch.bincount(given[: pool.windows], minlength=clusters.count).tolist(),
        "int8_choice": {"clip": tuning.clip, "epoch": tuning.epoch},
    }
    return Learned(model, clusters, how)


def out_of_fold(task: Task, grown: Grown, pool: Pool) -> NDArray[np.int64]:
    """Votes (views * N, classes) on every window of the pool, of a forest that has not seen its person or trial."""
    config, dataset = task.settings.specialists, task.dataset
    train = dataset.part(TRAIN)
    fold = fold_of(dataset, train, config.folds, task.settings.data.split)
    features = _features(task, grown, pool)
    shares = np.zeros((len(features), dataset.classes), np.float32)
    count = int(fold.max()) + 1
    for i in range(count):
        trees = grown.ground.fit(grown.trials[0], np.flatnonzero(fold != i))
        held = np.flatnonzero(np.tile(fold == i, len(features) // len(train)))
        shares[np.ix_(held, trees.classes_)] = trees.predict_proba(features[held])
        task.report("specialists", (i + 1) / count, "votes of trees that have not seen the people")
    return np.rint(shares * (VOTES * grown.forest.trees)).astype(np.int64)


def _features(task: Task, grown: Grown, pool: Pool) -> NDArray[np.int16]:
    _, scale = samples_of(task.dataset)
    parts = (
        pool.x[i : i + _BATCH].float() * pool.std[:, None] + pool.mean[:, None] for i in range(0, len(pool.x), _BATCH)
    )
    return np.concatenate([grown.summary.features(to_samples(part, scale)) for part in parts])


def clustered(votes: NDArray[np.int64], count: int, trees: int, seed: int) -> Clusters:
    """K-means of votes as shares; at most ``count`` clusters."""
    shares = votes / (VOTES * trees)
    found = KMeans(min(count, len(np.unique(shares, axis=0))), n_init=4, random_state=seed).fit(shares)
    return around(found.cluster_centers_, VOTES * trees)


def _asked(task: Task, grown: Grown, clusters: Clusters) -> Tensor:
    """(N,) the specialist that each validation window is for."""
    dataset = task.dataset
    rows, _ = samples_of(dataset)
    votes = grown.forest.walk(grown.summary.features(rows[dataset.part(VALIDATION)]), dataset.classes)[0]
    return torch.from_numpy(clusters.nearest(votes.astype(np.int64)))
