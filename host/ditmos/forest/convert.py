"""From scikit-learn's trees to nodes of integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.model.forest import LEAF, VOTES, Forest


def to_forest(model: Any, features: int) -> Forest:
    """Of a fitted `ExtraTreesClassifier` or `RandomForestClassifier` on int16 features.

    Thresholds are rounded down: a feature is a whole number. Each leaf gives its 15 votes to the three classes that
    have most of its training windows, largest remainders first.

    Raises:
        DitmosError: a right child that is too far away for a file.
    """
    columns: dict[str, list] = {name: [] for name in ("feature", "threshold", "right", "classes", "votes")}
    roots = []
    for estimator in model.estimators_:
        roots.append(len(columns["feature"]))
        _put(estimator.tree_, model.classes_, columns)
    if max(columns["right"]) > 0xFFFFFFF:
        raise DitmosError("forest: a tree is too large for a model file")
    return Forest(
        features,
        np.array(roots, np.int64),
        np.array(columns["feature"], np.uint16),
        np.array(columns["threshold"], np.int16),
        np.array(columns["right"], np.int64),
        np.array(columns["classes"], np.uint16),
        np.array(columns["votes"], np.uint8),
    )


def _put(tree: Any, classes: Sequence[int], columns: dict[str, list]) -> None:
    """The nodes of a tree depth first, the left child behind its node."""
    first = len(columns["feature"])
    places: dict[int, int] = {}
    waiting = [0]
    while waiting:
        node = waiting.pop()
        places[node] = len(columns["feature"])
        leaf = tree.children_left[node] < 0
        named, votes = _shares(tree.value[node][0], classes) if leaf else ((0, 0, 0), (0, 0, 0))
        columns["feature"].append(LEAF if leaf else int(tree.feature[node]))
        columns["threshold"].append(0 if leaf else int(np.clip(np.floor(tree.threshold[node]), -32768, 32767)))
        columns["right"].append(0)
        columns["classes"].append(named)
        columns["votes"].append(votes)
        if not leaf:
            waiting += [int(tree.children_right[node]), int(tree.children_left[node])]
    for node, place in places.items():
        if columns["feature"][place] != LEAF:
            columns["right"][place] = places[int(tree.children_right[node])] - place
    assert min(columns["right"][first:]) >= 0


def _shares(value: NDArray[np.float64], classes: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Three classes and their votes, 15 together."""
    order = np.argsort(-value, kind="stable")[:3]
    share = value[order] / value[order].sum() * VOTES
    votes = np.floor(share).astype(int)
    for i in np.argsort(-(share - votes), kind="stable")[: VOTES - votes.sum()]:
        votes[i] += 1
    named = [int(classes[i]) for i in order]
    missing = 3 - len(named)  # of a set with two classes
    return (*named, *[named[0]] * missing), (*map(int, votes), *[0] * missing)
