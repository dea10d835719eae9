"""Whom `first` asks: margin and weight of the forest's votes, chosen on validation within the mean instructions.

The forest is asked whether its best class leads the next by enough. That names the windows that it gets wrong better
than the size of the best class's share does (docs/experts.md), so only the former is searched; but where even the least
lead asks for more windows than the budget allows, that share says which of them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.model.forest import EIGHTHS, VOTES, both
from ditmos.model.reference import Model
from ditmos.model.spec import NetworkSpec
from ditmos.planner.budget import Budget
from ditmos.planner.forest_price import ForestPrice
from ditmos.planner.price import Price, macs
from ditmos.training.score import RESERVE, value

SIXTEENTHS = 16
ALWAYS = SIXTEENTHS + 1  # a margin that no votes have


class Setting(NamedTuple):
    """Arguments of `first` (device/ditmos/routing.py)."""

    tau: int
    weight: int
    ahead: int = ALWAYS


class Chosen(NamedTuple):
    """A setting, how good it is on validation windows, and its mean instructions there."""

    setting: Setting
    score: float
    cost: float


@dataclass(frozen=True)
class Opinions:
    """Of N windows: the forest's votes (N, classes), what the chosen classifier says (N, classes) int8, and who that
    is; the latter two empty without a network."""

    votes: NDArray[np.uint16]
    logits: NDArray[np.int8]
    chosen: NDArray[np.int64]
    y: NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """label (N,); asked (N,): whether the network was."""

    label: NDArray[np.int64]
    asked: NDArray[np.bool_]


def opinions_of(model: Model, rows: NDArray[np.int16], y: NDArray[np.int64]) -> Opinions:
    """On windows of the front end's rows (N, time, channels).

    Raises:
        DitmosError: nothing chooses among the classifiers.
    """
    votes = model.votes_batch(rows)
    if not model.classifiers:
        return Opinions(votes, np.empty((len(rows), 0), np.int8), np.empty(0, np.int64), y)
    if model.classifiers > 1 and not model.routes and not model.specialists:
        raise DitmosError("forest: nothing chooses among the network's classifiers; first needs a selector's choice")
    windows = model.quantize_rows(rows)
    chosen = np.zeros(len(rows), np.int64)
    if model.specialists:
        chosen = model.specialists_batch(votes)
    elif model.routes > 1:
        chosen = model.select_batch(windows)[:, : model.routes].argmax(1)
    return Opinions(votes, model.classify_batch(windows, chosen), chosen, y)


def outcome(found: Opinions, model: Model, setting: Setting) -> Outcome:
    """What `first` answers."""
    forest = model.model.forest
    assert forest and forest.opinion is not None
    votes = found.votes.astype(np.int64)
    second, top = np.sort(votes, 1)[:, -2:].T if votes.shape[1] > 1 else (votes[:, 0] - 255, votes[:, 0])
    whole = VOTES * forest.trees
    asked = (SIXTEENTHS * top < setting.tau * whole) & (SIXTEENTHS * (top - second) < setting.ahead * whole)
    scores = both(votes, forest.trees, found.logits, forest.opinion, setting.weight)
    return Outcome(np.where(asked, scores.argmax(1), votes.argmax(1)), asked)


def keeps(asked: float, spec: NetworkSpec, forest: ForestPrice, network: Price, budget: Budget) -> bool:
    """Whether asking the network with that probability keeps the budget, with a reserve in the means."""
    reserve, worst = (RESERVE, forest.first(1.0, network)) if asked else (1.0, forest.alone)
    return (
        (budget.instructions is None or forest.first(asked, network) <= reserve * budget.instructions)
        and (budget.macs is None or asked * macs(spec).of(1) <= reserve * budget.macs)
        and (budget.dearest is None or worst <= budget.dearest)
    )


def choose(
    found: Opinions, model: Model, forest: ForestPrice, network: Price, budget: Budget, *, balanced: bool
) -> Chosen:
    """The setting that is right most often on these windows, among those that keep the budget; the cheapest of equals.

    Raises:
        DitmosError: the forest alone takes more.
    """
    if not keeps(0.0, model.spec, forest, network, budget):
        raise DitmosError(f"forest: it takes {forest.alone:,.0f} instructions alone, more than the budget; allow more")
    margins = [(ALWAYS, ahead) for ahead in range(ALWAYS + 1)]
    least = float(outcome(found, model, Setting(ALWAYS, 0, 1)).asked.mean())
    if not keeps(least, model.spec, forest, network, budget):
        margins += [(tau, 1) for tau in range(1, ALWAYS)]
    best: Chosen | None = None
    for (tau, ahead), weight in itertools.product(margins, range(EIGHTHS + 1)):
        setting = Setting(tau, weight, ahead)
        done = outcome(found, model, setting)
        asked = float(done.asked.mean())
        if not keeps(asked, model.spec, forest, network, budget):
            continue
        score = value(done.label == found.y, found.y, balanced=balanced)
        chosen = Chosen(setting, score, forest.first(asked, network))
        if best is None or (chosen.score, -chosen.cost) > (best.score, -best.cost):
            best = chosen
    assert best  # ahead 0 asks nobody
    return best
