"""Which classifier a forest's votes name: that of the nearest cluster of votes (docs/arithmetic.md, Clusters)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ditmos.errors import DitmosError

ONE = 16383  # half of what stands for a share of 1 in a centre
MOST_WEIGHT = 2 * ONE + 1
MOST_BIAS = 1 << 30


@dataclass(frozen=True, eq=False)
class Clusters:
    """K clusters, each with a classifier of its own, its specialist.

    weight: int16 (K, classes), at least -`MOST_WEIGHT`. bias: int32 (K,), within `MOST_BIAS`. The score of a cluster is
    ``bias + sum_c weight[c] * votes[c]``; that of the largest is the nearest, the first of equals.
    """

    weight: NDArray[np.int16]
    bias: NDArray[np.int32]

    @property
    def count(self) -> int:
        return len(self.bias)

    def nearest(self, votes: ArrayLike) -> NDArray[np.int64]:
        """Votes (..., classes) -> cluster (...)."""
        found = np.asarray(votes).astype(np.int64) @ self.weight.T.astype(np.int64) + self.bias
        return found.argmax(-1)


def around(centres: NDArray[np.float64], votes: int) -> Clusters:
    """Clusters around centres (K, classes), which are shares of so many ``votes``.

    The nearest centre m to shares v / votes is that with the largest 2 m v - votes |m|^2, all times `ONE`.
    """
    weight = np.rint(2 * ONE * centres).astype(np.int16)
    bias = np.rint(-ONE * votes * (centres * centres).sum(1)).astype(np.int32)
    return Clusters(weight, bias)


def check_clusters(clusters: Clusters, classes: int, classifiers: int) -> None:
    """Raises DitmosError for clusters that a model file does not hold, or that name nobody."""

    def need(ok: bool, what: str) -> None:
        if not ok:
            raise DitmosError(f"clusters: {what}")

    need(clusters.count == classifiers, f"{clusters.count} for {classifiers} classifiers, expected one each")
    weight, shape = clusters.weight, (classifiers, classes)
    found = f"weights are {weight.dtype} {weight.shape}, expected int16 {shape}"
    need(weight.dtype == np.int16 and weight.shape == shape, found)
    need(clusters.bias.dtype == np.int32, f"biases are {clusters.bias.dtype}, expected int32")
    need(bool((weight >= -MOST_WEIGHT).all()), f"a weight is below {-MOST_WEIGHT}")
    need(bool((np.abs(clusters.bias.astype(np.int64)) <= MOST_BIAS).all()), f"a bias is beyond {MOST_BIAS}")
