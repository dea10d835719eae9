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
from ditmos.forest.grow import Grown
from ditmos.model.clusters import Clusters, around
from ditmos.model.forest import VOTES
from ditmos.model.quantized import QuantizedModel
from ditmos.model.spec import NetworkSpec
from ditmos.quantize.quantize import divergence_from, quantize
from ditmos.training.export import check, what_loses
from ditmos.training.fit import fit
from ditmos.training.learn import Task, pool_of, shape_of, stages_of
from ditmos.training.loop import Curve, rounded
from ditmos.training.score import answer_float, answer_integer, value


class Learned(NamedTuple):
    """model: the network in integers; centres (K, classes): of clusters of votes as shares, one a classifier; how: what
    the row says of the training."""

    model: QuantizedModel
    centres: NDArray[np.float64]
    how: dict[str, Any]


def learn(task: Task, grown: Grown, metadata: dict[str, Any], shape: NetworkSpec | None = None) -> Learned:
    """``task``: with the budget of one classifier. ``shape``: of each, if it is known.

    Raises:
        DitmosError: no network keeps the budget.
    """
    settings, config = task.settings, task.settings.specialists
    one, trials = (shape, []) if shape else shape_of(task)
    pool = pool_of(task)
    task.report("specialists", 0.0, "votes of trees that have not seen the people")
    votes = out_of_fold(task, grown)
    centres = centres_of(votes, config.count, grown.forest.trees, task.seed)
    clusters = around(centres, VOTES * grown.forest.trees)
    given = torch.from_numpy(clusters.nearest(votes))  # the views of a window go where it goes
    spec = replace(one, classifiers=clusters.count)
    curve = Curve()
    network = fit(
        spec, pool, settings.fit, task.seed, lambda done: task.report("network", done, ""), curve,
        keep=task.keep.within(f"fit-{task.digest}"), given=given.repeat(len(pool.y) // len(given)),
    )  # fmt: skip
    held, asked = task.parts.validation, _asked(task, grown, clusters)
    model, tuning, fake = quantize(
        network, task.parts.train, held.x, signal=task.dataset.signal, clips=settings.int8.clips,
        epochs=settings.int8.epochs, seed=task.seed, metadata=metadata,
        distance=divergence_from(network, held.x, asked),
        given=given, keep=task.keep.within(f"int8-{task.digest}"),
        progress=lambda done: task.report("integers", done, ""),
    )  # fmt: skip
    check(model, fake, held)
    each = torch.arange(len(held)), asked
    real, integer = (
        value(found.logits[each].argmax(1) == found.y, found.y, task.balanced)
        for found in (answer_float(network, held), answer_integer(model, held))
    )
    how = {
        "search": [trial.to_dict() for trial in trials],
        "stages": stages_of(spec.classifiers, settings.fit),
        "curve": rounded(curve),
        "loses": what_loses(fake, held, real - integer),
        "windows_of_specialists": torch.bincount(given, minlength=clusters.count).tolist(),
        "int8_choice": {"clip": tuning.clip, "epoch": tuning.epoch},
    }
    return Learned(model, centres, how)


def out_of_fold(task: Task, grown: Grown) -> NDArray[np.int64]:
    """Votes (N, classes) on every training window, of a forest that has not seen its person or trial."""
    config, dataset, ground = task.settings.specialists, task.dataset, grown.ground
    train = dataset.part(TRAIN)
    fold = fold_of(dataset, train, config.folds, task.settings.data.split)
    if not fold.any():  # one person, or one trial
        fold = fold_of(dataset, train, config.folds, "random")
    shares = np.zeros((len(train), dataset.classes))
    count = int(fold.max()) + 1
    for i in range(count):
        trees, held = ground.fit(grown.trials[0], np.flatnonzero(fold != i)), np.flatnonzero(fold == i)
        shares[np.ix_(held, trees.classes_)] = trees.predict_proba(ground.copies[0][held])
        task.report("specialists", (i + 1) / count, "votes of trees that have not seen the people")
    return np.rint(shares * (VOTES * grown.forest.trees)).astype(np.int64)


def centres_of(votes: NDArray[np.int64], count: int, trees: int, seed: int) -> NDArray[np.float64]:
    """K-means of votes as shares: (K, classes), at most ``count`` clusters."""
    shares = votes / (VOTES * trees)
    found = KMeans(min(count, len(np.unique(shares, axis=0))), n_init=4, random_state=seed).fit(shares)
    return found.cluster_centers_


def _asked(task: Task, grown: Grown, clusters: Clusters) -> Tensor:
    """(N,) the specialist that each validation window is for."""
    dataset = task.dataset
    rows, _ = samples_of(dataset)
    votes = grown.forest.walk(grown.summary.features(rows[dataset.part(VALIDATION)]), dataset.classes)[0]
    return torch.from_numpy(clusters.nearest(votes.astype(np.int64)))
