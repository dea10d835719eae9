"""Random forests, and models with one: for every test of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from ditmos.bench.golden import random_input, random_model, random_spec
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.integers import Int16
from ditmos.frontends.operations import Operation, Split
from ditmos.frontends.window_summary import FEWEST_BLOCKS, summary_for
from ditmos.model.clusters import MOST_BIAS, MOST_WEIGHT, Clusters, around
from ditmos.model.forest import LEAF, VOTES, Forest, opinions
from ditmos.model.quantized import QuantizedModel
from ditmos.model.spec import BranchSpec, NetworkSpec, without_network
from ditmos.model.use import Rule, Use


def random_forest(rng: Generator, x: Int16, classes: int, *, trees: int, leaves: int) -> Forest:
    """``trees`` of at most ``leaves`` leaves that cut at values of features x (N, features)."""
    rows: list[tuple[int, int, int, tuple[int, ...], tuple[int, ...]]] = []
    roots = []
    for _ in range(trees):
        roots.append(len(rows))
        _grow(rng, x, classes, int(rng.integers(1, leaves + 1)), rows)
    feature, threshold, right, named, votes = zip(*rows, strict=True)
    return Forest(
        x.shape[1], np.array(roots, np.int64), np.array(feature, np.uint16), np.array(threshold, np.int16),
        np.array(right, np.int64), np.array(named, np.uint16), np.array(votes, np.uint8),
    )  # fmt: skip


def _grow(rng: Generator, x: Int16, classes: int, leaves: int, rows: list) -> None:
    if leaves == 1:
        first = int(rng.integers(VOTES + 1))
        second = int(rng.integers(VOTES - first + 1))
        named = tuple(int(c) for c in rng.integers(0, classes, 3))
        rows.append((LEAF, 0, 0, named, (first, second, VOTES - first - second)))
        return
    here, feature = len(rows), int(rng.integers(x.shape[1]))
    value = int(rng.choice(x[:, feature])) if rng.random() < 0.9 else int(rng.choice([-32768, 32767]))
    rows.append(None)
    left = int(rng.integers(1, leaves))
    _grow(rng, x, classes, left, rows)
    rows[here] = (feature, value, len(rows) - here, (0, 0, 0), (0, 0, 0))
    _grow(rng, x, classes, leaves - left, rows)


def forest_model(rng: Generator, *, alone: bool = False, most_window: int = 160) -> QuantizedModel:
    """A model whose front end ends in a Summary, with a forest: before a random network, or alone."""
    channels = int(rng.choice([1, 2, 3, 3, 3, 6]))
    operations: list[Operation] = [Split(int(rng.integers(1, 8)))] if rng.random() < 0.3 else []
    width = 2 * channels if operations else channels
    while (spec := _spec(rng, width, alone, most_window)).window < FEWEST_BLOCKS:
        continue
    names = tuple(f"channel {i}" for i in range(channels))
    summary = summary_for(spec.window)
    front = FrontEnd((*operations, summary), 50.0, 1.0, "u", names)
    x = summary.features(random_rows(rng, 20, spec.window, width))
    forest = random_forest(rng, x, spec.classes, trees=int(rng.integers(1, 12)), leaves=int(rng.choice([1, 5, 60])))
    model = random_model(rng, spec) if spec.classifiers else bare_model(rng, spec, forest, front)
    opinion = opinions(model.logit_scale) if spec.classifiers else None
    if spec.classifiers > 1 and spec.selector_outputs in (0, spec.classes) and rng.random() < 0.5:
        clusters = random_clusters(rng, spec.classifiers, spec.classes, forest.trees)
        model, forest = replace(model, use=Use("first", Rule.VOTES, (9, 4))), replace(forest, clusters=clusters)
    return replace(model, front_end=front, forest=replace(forest, opinion=opinion))


def linear_model(rng: Generator, *, most_window: int = 160) -> QuantizedModel:
    """A network of one fully connected layer, or two, that reads the features of a window."""
    channels = int(rng.choice([1, 2, 3]))
    operations: list[Operation] = [Split(int(rng.integers(1, 8)))] if rng.random() < 0.3 else []
    summary = summary_for(window := int(rng.integers(FEWEST_BLOCKS, most_window + 1)))
    summary = replace(summary, rows=window)
    names = tuple(f"channel {i}" for i in range(channels))
    front = FrontEnd((*operations, summary), 50.0, 1.0, "u", names)
    hidden = (int(rng.integers(1, 9)),) if rng.random() < 0.5 else ()
    spec = NetworkSpec(1, front.channels_out, int(rng.integers(1, 40)), 1, BranchSpec((), hidden))
    return replace(random_model(rng, spec), front_end=front)


def random_clusters(rng: Generator, count: int, classes: int, trees: int) -> Clusters:
    """Around shares of votes, or numbers at the extremes."""
    if rng.random() < 0.7:
        return around(rng.dirichlet(np.full(classes, 0.3), count), VOTES * trees)
    weight = rng.choice([-MOST_WEIGHT, -1, 0, MOST_WEIGHT], (count, classes)).astype(np.int16)
    return Clusters(weight, rng.choice([-MOST_BIAS, 0, MOST_BIAS], count).astype(np.int32))


def bare_model(rng: Generator, spec: NetworkSpec, forest: Forest, front: FrontEnd) -> QuantizedModel:
    """A forest alone."""
    return QuantizedModel(
        spec=spec, selector=(), classifiers=(), inputs=tuple(random_input(rng, f"c{i}") for i in range(spec.channels)),
        selector_scale=1.0, selector_zero_point=0, logit_scale=1.0, logit_zero_point=0,
        class_names=tuple(f"class {i}" for i in range(spec.classes)), front_end=front, forest=forest,
    )  # fmt: skip


def _spec(rng: Generator, channels: int, alone: bool, most_window: int) -> NetworkSpec:
    if alone:
        return without_network(int(rng.integers(32, most_window + 1)), channels, int(rng.integers(1, 40)))
    spec = random_spec(rng, max_rows=most_window, max_classifiers=4)
    return replace(spec, channels=channels)


def random_rows(rng: Generator, count: int, window: int, channels: int) -> Int16:
    """Windows (N, window, channels) of every level, some at the extremes."""
    level = 2.0 ** rng.uniform(0, 15, (count, 1, 1))
    x = rng.normal(0, 1, (count, window, channels)).cumsum(1) * rng.choice([0.05, 0.3, 1], (count, 1, 1)) * level
    x[::7] = rng.choice([-32768, 32767], x[::7].shape)
    x[3::7] = rng.choice([-32768, 0, 32767], (len(x[3::7]), 1, channels))
    return np.clip(np.rint(x), -32768, 32767).astype(np.int16)
