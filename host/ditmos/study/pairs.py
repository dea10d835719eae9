"""Two methods on the same test windows: what one is better by, and how far chance goes, people drawn anew.

Windows of one person are alike, so people are drawn, not windows: whoever is drawn comes with all windows of all
splits and seeds in which that person is tested (a bootstrap of clusters; Field and Welsh,
"Bootstrapping clustered data", 2007). It says what other people would have changed, not what other seeds would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.training.predictions import Predictions

_DRAWS = 4000
_LEVELS = (0.025, 0.975)

Counts = NDArray[np.float64]  # (people, classes)


@dataclass(frozen=True)
class Paired:
    """points: in hundredths, of accuracy or mean recall over all windows together; low, high: 95 % of it. better,
    worse: for how many of the people."""

    points: float
    low: float
    high: float
    people: int
    better: int
    worse: int


def paired(one: Sequence[Predictions], other: Sequence[Predictions], *, balanced: bool) -> Paired:
    """What ``one`` is better by than ``other``: trainings of either (splits, seeds), in the same order.

    Raises:
        DitmosError: they were tested on other windows, or there are none.
    """
    if len(one) != len(other) or not one:
        raise DitmosError(f"pairs: {len(one)} and {len(other)} trainings, expected as many of both, one or more")
    for a, b in zip(one, other, strict=True):
        same = (np.array_equal(getattr(a, key), getattr(b, key)) for key in ("window", "person", "y"))
        if not all(same):
            raise DitmosError("pairs: two trainings were tested on other windows; compare those of one split")
    people, total = _total(one)
    hits, others = _hits(one, people, total.shape[1]), _hits(other, people, total.shape[1])
    drawn = _drawn(len(people))
    found = _value(drawn @ hits, drawn @ total, balanced) - _value(drawn @ others, drawn @ total, balanced)
    whole = _value(hits.sum(0), total.sum(0), balanced) - _value(others.sum(0), total.sum(0), balanced)
    low, high = np.nanquantile(found, _LEVELS)
    each = hits.sum(1) - others.sum(1)
    points, low, high = (100 * float(part) for part in (whole, low, high))
    return Paired(points, low, high, len(people), int((each > 0).sum()), int((each < 0).sum()))


def pooled(found: Sequence[Predictions], *, balanced: bool) -> tuple[float, float, float]:
    """Accuracy or mean recall over all windows of these trainings together, and 95 % of it, people drawn anew."""
    people, total = _total(found)
    hits, drawn = _hits(found, people, total.shape[1]), _drawn(len(people))
    low, high = np.nanquantile(_value(drawn @ hits, drawn @ total, balanced), _LEVELS)
    return float(_value(hits.sum(0), total.sum(0), balanced)), float(low), float(high)


def _drawn(people: int) -> NDArray[np.float64]:
    """(draws, people): how often each is drawn."""
    return np.random.default_rng(0).multinomial(people, np.full(people, 1 / people), _DRAWS).astype(float)


def _total(found: Sequence[Predictions]) -> tuple[NDArray[np.int64], Counts]:
    """The people, and how many windows each has of each class."""
    people = np.unique(np.concatenate([part.person for part in found]))
    classes = 1 + max(int(part.y.max()) for part in found)
    counts = np.zeros((len(people), classes))
    for part in found:
        np.add.at(counts, (np.searchsorted(people, part.person), part.y), 1)
    return people, counts


def _hits(found: Sequence[Predictions], people: NDArray[np.int64], classes: int) -> Counts:
    counts = np.zeros((len(people), classes))
    for part in found:
        np.add.at(counts, (np.searchsorted(people, part.person), part.y), part.right)
    return counts


def _value(hits: NDArray[np.float64], total: NDArray[np.float64], balanced: bool) -> NDArray[np.float64]:
    """Of (..., classes) counts: accuracy, or the mean recall of the classes that occur."""
    if not balanced:
        return np.asarray(hits.sum(-1) / total.sum(-1))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanmean(hits / total, axis=-1))
