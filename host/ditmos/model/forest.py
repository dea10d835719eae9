"""A forest of decision trees on the features of a window, in integers (docs/arithmetic.md, Forest)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ditmos.errors import DitmosError
from ditmos.model.clusters import Clusters, check_clusters

LEAF = 0xFFFF  # in the place of a feature
VOTES = 15  # of a tree
MAX_TREES = 1000
EIGHTHS = 8  # a weight of 1 in an average
DISTANCES = 256  # between two int8 logits
MAX_CLASSES = 1 << 12
NARROW_FEATURES = NARROW_CLASSES = 63  # most of nodes of 4 bytes
_NARROW_NODES = 1023  # to a right child


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees in depth-first order, the left child of a node behind it; all arrays have an item for each node.

    roots: (trees,) index of the first node of each tree. feature: `LEAF` for a leaf. threshold: int16, to the left
    where the feature is not above it. right: nodes from here to the right child. classes: (N, 3), and votes: (N, 3),
    which are 15 together; zeros but for leaves. features: how many there are to read. opinion: of a forest with a
    network behind it, what logits so many steps below the largest count (`opinions`). clusters: of a forest whose votes
    name the classifier to ask.
    """

    features: int
    roots: NDArray[np.int64]
    feature: NDArray[np.uint16]
    threshold: NDArray[np.int16]
    right: NDArray[np.int64]
    classes: NDArray[np.uint16]
    votes: NDArray[np.uint8]
    opinion: NDArray[np.uint16] | None = None
    clusters: Clusters | None = None

    @property
    def trees(self) -> int:
        return len(self.roots)

    @property
    def nodes(self) -> int:
        return len(self.feature)

    def first(self, count: int) -> Forest:
        """Only so many of the trees."""
        end = int(self.roots[count]) if count < self.trees else self.nodes
        columns = {name: getattr(self, name)[:end] for name in ("feature", "threshold", "right", "classes", "votes")}
        return replace(self, roots=self.roots[:count], **columns)

    @property
    def wide(self) -> bool:
        """Whether its nodes need 8 bytes."""
        inner = self.feature != LEAF
        return bool(
            (self.feature[inner] >= NARROW_FEATURES).any()
            or (self.right > _NARROW_NODES).any()
            or (self.classes > NARROW_CLASSES).any()
        )

    @property
    def mean_depth(self) -> float:
        """Inner nodes above a leaf, the mean over all leaves."""
        depth = np.zeros(self.nodes, np.int64)
        for i in np.flatnonzero(self.feature != LEAF):  # children come after their node
            depth[i + 1] = depth[i + self.right[i]] = depth[i] + 1
        return float(depth[self.feature == LEAF].mean())

    def walk(self, x: NDArray[np.int16], classes: int) -> tuple[NDArray[np.uint16], float]:
        """Features (N, features) -> votes (N, classes), and inner nodes read for a row, the mean."""
        count, rows = len(x), np.arange(len(x))
        votes = np.zeros((count, classes), np.int64)
        read = 0
        for root in self.roots:
            at = np.full(count, root, np.int64)
            while (live := np.flatnonzero(self.feature[at] != LEAF)).size:
                read += live.size
                node = at[live]
                left = x[live, self.feature[node]] <= self.threshold[node]
                at[live] += np.where(left, 1, self.right[node])
            for i in range(3):
                np.add.at(votes, (rows, self.classes[at, i]), self.votes[at, i])
        return votes.astype(np.uint16), read / max(count, 1)


def check_forest(forest: Forest, features: int, classes: int, classifiers: int) -> None:
    """Raises DitmosError for a forest that a model file does not hold, or that reads or names what is not there.
    classifiers: of the network behind it, 0 without one."""
    network = classifiers > 0

    def need(ok: bool, what: str) -> None:
        if not ok:
            raise DitmosError(f"forest: {what}")

    need((forest.opinion is not None) == network, f"opinions of logits {'missing' if network else 'without a network'}")
    need(1 <= forest.trees <= MAX_TREES, f"{forest.trees} trees, expected 1 to {MAX_TREES}")
    need(forest.features == features, f"reads {forest.features} features, the front end makes {features}")
    need(classes <= MAX_CLASSES, f"{classes} classes, expected at most {MAX_CLASSES}")
    ends = np.append(forest.roots[1:], forest.nodes)
    need(forest.roots[0] == 0 and bool((forest.roots < ends).all()), "the roots do not rise within the nodes")
    inner = forest.feature != LEAF
    need(bool((forest.feature[inner] < features).all()), f"a node reads a feature beyond {features}")
    last = np.repeat(ends, np.diff(np.append(forest.roots, forest.nodes)))
    fits = (forest.right >= 2) & (np.arange(forest.nodes) + forest.right < last)
    need(bool(fits[inner].all()), "a right child lies outside its tree")
    leaves = ~inner
    need(bool((forest.classes[leaves] < classes).all()), f"a leaf names a class beyond {classes}")
    need(bool((forest.votes[leaves].astype(int).sum(1) == VOTES).all()), f"a leaf has other than {VOTES} votes")
    if forest.clusters:
        check_clusters(forest.clusters, classes, classifiers)


def opinions(scale: float) -> NDArray[np.uint16]:
    """What logits so many steps below the largest count, of 65535: ``65535 exp(-scale distance)``, rounded."""
    return np.array([round(65535 * exp(-scale * distance)) for distance in range(DISTANCES)], np.uint16)


def both(
    votes: ArrayLike, trees: int, logits: ArrayLike, opinion: NDArray[np.uint16], eighths: int
) -> NDArray[np.int64]:
    """(N, classes) votes and int8 logits together, ``eighths`` of 8 being the weight of the votes; the first of the
    largest is the answer. Every number is below 2^32."""
    z, e = np.asarray(logits).astype(np.int64), opinion.astype(np.int64)
    share = e[z.max(-1, keepdims=True) - z]
    share = share * ((1 << 31) // share.sum(-1, keepdims=True)) >> 16
    return (EIGHTHS - eighths) * VOTES * trees * share + (eighths * np.asarray(votes).astype(np.int64) << 15)


def liked_by_both(
    forest: Forest, votes: NDArray[np.uint16] | None, logits: NDArray[np.int8], eighths: int, classes: int
) -> int:
    """The class that a forest's last votes and a classifier's logits like best together (`both`), as a board has it.

    Raises:
        ValueError: other logits, another weight.
        RuntimeError: there are no votes.
    """
    if forest.opinion is None or logits.shape != (classes,):
        raise ValueError(f"{logits.size} logits, expected those of a classifier")
    if not 0 <= eighths <= EIGHTHS:
        raise ValueError(f"weight is {eighths}, expected 0 to {EIGHTHS}")
    if votes is None:
        raise RuntimeError("both before votes")
    return int(both(votes, forest.trees, logits, forest.opinion, eighths).argmax())
