"""What a forest costs: estimates fitted to the simulated Cortex-M7 (`ditmos.bench.forests`)."""

from __future__ import annotations

from dataclasses import dataclass

from ditmos.frontends.window_summary import Summary
from ditmos.model.forest import Forest
from ditmos.planner.price import Price, summary_price

_NODE, _TREE, _VOTES = 8.0, 25.0, 60.0
_CLASS, _BOTH = 27.0, 60.0
_WEIGHTS, _CLUSTER = 2.8, 12.7  # of two classes of a cluster, a cluster


@dataclass(frozen=True)
class ForestPrice:
    """Instructions of features, votes, of the average with a network's logits, and of finding the classifier that votes
    name (0 where they name none)."""

    summary: float
    votes: float
    both: float
    named: float = 0.0

    @property
    def alone(self) -> float:
        return self.summary + self.votes

    def a_tree(self, trees: int) -> float:
        """Of so many, one."""
        return (self.votes - _VOTES) / trees

    def first(self, asked: float, network: Price) -> float:
        """A decision that asks the network behind the forest with probability ``asked``."""
        return self.alone + asked * (self.named + network.of(1) + self.both)


def votes_price(trees: int, read: float, *, bare: bool = False) -> float:
    """Instructions of the votes of trees in which a window reads so many inner nodes; ``bare``: of further trees."""
    return (0.0 if bare else _VOTES) + _TREE * trees + _NODE * read


def naming_price(clusters: int, classes: int) -> float:
    """Instructions of finding the nearest of so many clusters."""
    return clusters * (_CLUSTER + _WEIGHTS * -(-classes // 2))


def forest_price(
    forest: Forest, summary: Summary, window: int, channels: int, classes: int, read: float
) -> ForestPrice:
    """``read``: inner nodes that a window reads, the mean (`Forest.walk`)."""
    named = naming_price(forest.clusters.count, classes) if forest.clusters else 0.0
    return ForestPrice(
        summary_price(summary, window, channels), votes_price(forest.trees, read), _CLASS * classes + _BOTH, named
    )  # fmt: skip
