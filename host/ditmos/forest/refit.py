"""The chosen models once more, from training and validation people together: a few more people are worth points, where
the trees say that more people help.

Everything is chosen before, by models of the training people alone. What validation people then say of the models that
have learned from them means nothing, so figures on validation stay those of the former.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ditmos.datasets import TRAIN, VALIDATION, Dataset
from ditmos.datasets.splits import fold_of
from ditmos.datasets.tensors import prepare
from ditmos.forest.grow import Grown
from ditmos.training.learn import Task
from ditmos.training.score import value

_FEW, _MANY = 3, 6  # folds: trees that have learned from two thirds of the people, and from five sixths


@dataclass(frozen=True)
class Verdict:
    """How good trees of two thirds and of five sixths of the training people are on the others, and whether all people
    are taken at last: the more the better."""

    fewer: float
    more: float

    @property
    def helps(self) -> bool:
        return self.more > self.fewer

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"done": self.helps}


def more_people(task: Task, grown: Grown) -> Verdict:
    """By cross-validation over the training people, or recordings where the split keeps those apart."""
    train, y = task.dataset.part(TRAIN), grown.ground.y
    found = []
    for count in (_FEW, _MANY):
        fold = fold_of(task.dataset, train, count, task.settings.data.split)
        right = grown.ground.held_out(grown.trials[0], fold)
        found.append(value(right, y, balanced=task.balanced))
    return Verdict(*found)


def together(task: Task) -> Task:
    """With the validation windows among the training windows, too."""
    dataset = with_validation(task.dataset)
    return replace(task, dataset=dataset, parts=prepare(dataset))


def with_validation(dataset: Dataset) -> Dataset:
    """Validation windows are there twice: as training windows, and as what says how well integers follow floats."""
    held = dataset.part(VALIDATION)
    rows = np.concatenate([np.arange(len(dataset)), held])
    columns = {name: getattr(dataset, name)[rows] for name in ("x", "y", "subject", "group")}
    assert dataset.split is not None  # `part` has looked
    split = dataset.split.copy()
    split[held] = TRAIN
    return replace(dataset, **columns, split=np.concatenate([split, np.full(len(held), VALIDATION, np.int8)]))
