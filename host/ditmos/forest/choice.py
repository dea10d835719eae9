"""How many of the trees vote, and whom `first` asks: what is best on validation windows within the budget.

Trees that are left out pay for windows that the network is asked for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ditmos.datasets import VALIDATION
from ditmos.datasets.features import samples_of
from ditmos.forest.first import Chosen, Setting, choose, opinions_of
from ditmos.forest.forest_model import Behind, assemble
from ditmos.forest.forest_row import Figures
from ditmos.forest.grow import Grown
from ditmos.model.forest import Forest
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.model.use import Use
from ditmos.planner.forest_price import ForestPrice, forest_price
from ditmos.planner.price import Price
from ditmos.training.learn import Task

_SIZES = (1.0, 0.75, 0.5)  # of the trees


def read_by_a_tree(task: Task, grown: Grown) -> float:
    """Inner nodes that a validation window reads in a tree, the mean."""
    dataset = task.dataset
    rows, _ = samples_of(dataset)
    read = grown.forest.walk(grown.summary.features(rows[dataset.part(VALIDATION)]), dataset.classes)[1]
    return read / grown.forest.trees


def price_of(task: Task, grown: Grown, forest: Forest, read: float) -> ForestPrice:
    """``read``: see `read_by_a_tree`."""
    dataset = task.dataset
    return forest_price(
        forest, grown.summary, dataset.window, len(dataset.channels), dataset.classes, read * forest.trees
    )


def chosen_size(
    task: Task, grown: Grown, behind: Behind, network: Price, read: float, metadata: dict[str, Any]
) -> tuple[Grown, Setting | None]:
    """The trees that stay, and the setting of `first`; None where nobody else can be asked.

    Raises:
        DitmosError: the forest alone takes more than the budget.
    """
    if not behind.network:
        return grown, None
    best: tuple[Chosen, Grown] | None = None
    for count in sorted({max(round(size * grown.forest.trees), 1) for size in _SIZES}, reverse=True):
        few = grown.fewer(count)
        figures = judged(task, few, assemble(task, few, behind, metadata), None, network, read, VALIDATION)
        found = choose(figures.found, figures.reference, figures.forest, network, task.budget, balanced=task.balanced)
        if best is None or (found.score, -found.cost) > (best[0].score, -best[0].cost):
            best = found, few
    assert best
    return best[1], best[0].setting


def with_setting(model: QuantizedModel, setting: Setting | None) -> QuantizedModel:
    """The model with its policy; a forest alone has one."""
    return replace(model, use=Use("first", model.use.rule, tuple(setting))) if setting else model


def judged(
    task: Task, grown: Grown, model: QuantizedModel, setting: Setting | None, network: Price, read: float, part: int
) -> Figures:
    """What a model says of the windows of one part of the data, and what that costs."""
    reference, dataset = Model(model), task.dataset
    rows, _ = samples_of(dataset)
    index = dataset.part(part)
    found = opinions_of(reference, rows[index], dataset.y[index].astype(np.int64))
    assert model.forest
    return Figures(
        found, setting, price_of(task, grown, model.forest, read), network, reference, dataset.subject[index]
    )
