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
from ditmos.training.results import FEWEST_PEOPLE

_DRAWS = 4000
_LEVELS = (0.025, 0.975)

Counts = NDArray[np.float64]  # (people, classes)


@dataclass(frozen=True)
class Paired:
    """points: in hundredths, of accuracy or mean recall over all windows together; low, high: 95 % of it, None of
    fewer people than `FEWEST_PEOPLE`. better, worse: for how many of the people."""

    points: float
    low: float | None
    high: float | None
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
        if not same_windows(a, b):
            raise DitmosError("pairs: two trainings were tested on other windows; compare those of one split")
    people, total = _total(one)
    hits, others = _hits(one, people, total.shape[1]), _hits(other, people, total.shape[1])
    drawn = _drawn(len(people))
    found = _value(drawn @ hits, drawn @ total, balanced) - _value(drawn @ others, drawn @ total, balanced)
    whole = _value(hits.sum(0), total.sum(0), balanced) - _value(others.sum(0), total.sum(0), balanced)
    low, high = _middle(100 * found, len(people)) or (None, None)
    each = hits.sum(1) - others.sum(1)
    return Paired(100 * float(whole), low, high, len(people), int((each > 0).sum()), int((each < 0).sum()))


def pooled(found: Sequence[Predictions], *, balanced: bool) -> tuple[float, float] | None:
    """95 % of accuracy or mean recall over all windows of these trainings together, people drawn anew; None of fewer
    than `FEWEST_PEOPLE`, whom no draw parts."""
    people, total = _total(found)
    hits, drawn = _hits(found, people, total.shape[1]), _drawn(len(people))
    return _middle(_value(drawn @ hits, drawn @ total, balanced), len(people))


def same_windows(one: Predictions, other: Predictions) -> bool:
    """Whether two trainings were tested on the same windows."""
    return all(np.array_equal(getattr(one, key), getattr(other, key)) for key in ("window", "person", "y"))


def _middle(drawn: NDArray[np.float64], people: int) -> tuple[float, float] | None:
    if people < FEWEST_PEOPLE:
        return None
    low, high = np.nanquantile(drawn, _LEVELS)
    return float(low), float(high)


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
