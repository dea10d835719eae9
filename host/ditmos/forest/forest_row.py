"""The row that a forest leaves, with the keys of `training.results.row` that `ditmos train` shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.forest.first import Opinions, Outcome, Setting, outcome
from ditmos.forest.grow import Grown
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.planner import chip, price
from ditmos.planner.forest_price import ForestPrice
from ditmos.planner.price import Price
from ditmos.training.learn import Task
from ditmos.training.results import answered_by, confusion, interval, p95, per_class
from ditmos.training.score import value
from ditmos.training.shapes import describe

_FOREST = -1  # who answered, where it was no classifier


@dataclass(frozen=True)
class Figures:
    """Of one part of the data. setting: of `first`; None of a forest alone. people: (N,) whose windows they are."""

    found: Opinions
    setting: Setting | None
    forest: ForestPrice
    network: Price
    reference: Model
    people: NDArray[np.int64]

    @cached_property
    def outcome(self) -> Outcome:
        if self.setting is None:
            return Outcome(self.found.votes.argmax(1).astype(np.int64), np.zeros(len(self.found.y), bool))
        return outcome(self.found, self.reference, self.setting)


def row(task: Task, grown: Grown, model: QuantizedModel, validation: Figures, figures: Figures) -> dict[str, Any]:
    """``figures``: of the test part, which is looked at here alone; ``validation``: of the model that has not learned
    from validation windows."""
    dataset, spec, names = task.dataset, model.spec, task.dataset.class_names
    each = {"validation": validation, "test": figures}
    parts = {name: _part(task, found, spec_macs(model)) for name, found in each.items()}
    test, done, found = parts["test"], figures.outcome, figures.found
    matrix = confusion(done.label, found.y, len(names))
    voters = {_FOREST: "forest"} | {k: f"classifier {k}" for k in range(spec.classifiers)}
    who = np.where(done.asked, found.chosen if figures.setting else _FOREST, _FOREST)
    worst = figures.forest.first(1.0, figures.network) if figures.setting else figures.forest.alone
    p95_instructions = worst if test["p95_runs"] else figures.forest.alone
    return {
        "data": dataset.name,
        "split": task.settings.data.split,
        "metric": task.settings.data.metric,
        "seed": task.seed,
        "int8": test["int8"],
        "float": test["float"],
        "instructions": test["instructions"],
        "p95_instructions": round(p95_instructions),
        "worst_instructions": round(worst),
        "macs": test["macs"],
        "worst_macs": spec_macs(model),
        "microseconds": round(chip.microseconds(test["instructions"]), 1),
        "worst_microseconds": round(chip.microseconds(worst), 1),
        "microjoules": round(chip.microjoules(chip.microseconds(test["instructions"])), 1),
        "classifiers": spec.classifiers,
        "shape": shape(grown, model),
        "margins": {"early": None, "second": None},
        "first": figures.setting._asdict() if figures.setting else None,
        "cost": {"forest": asdict(figures.forest), "network": asdict(figures.network)},
        "forest": {"trials": [asdict(trial) for trial in grown.trials], "nodes": grown.forest.nodes},
        **parts,
        "per_class": per_class(matrix, names),
        "confusion": matrix.tolist(),
        "answered_by": answered_by(who, found.y, voters, len(names)),
        "class_names": list(names),
        "loses": None,  # or what is said of the network behind
    }


def spec_macs(model: QuantizedModel) -> int:
    return round(price.macs(model.spec).of(1)) if model.spec.classifiers else 0


def shape(grown: Grown, model: QuantizedModel) -> str:
    """Forest and network in words."""
    chosen = grown.trials[0]
    words = f"forest of {grown.forest.trees} trees, {grown.forest.nodes} nodes, {grown.forest.features} features"
    words += f", {chosen.copies} turned copies" if chosen.copies else ""
    return f"{words}; behind it {describe(model.spec)}" if model.spec.classifiers else words


def _part(task: Task, figures: Figures, macs: int) -> dict[str, Any]:
    found, done, people = figures.found, figures.outcome, figures.people
    y, right = found.y, done.label == found.y
    asked = float(done.asked.mean())
    alone = found.votes.argmax(1) == y
    instructions = figures.forest.first(asked, figures.network) if figures.setting else figures.forest.alone
    return {
        "windows": len(y),
        "people": len(np.unique(people)),
        "int8": value(right, y, balanced=task.balanced),
        "float": value(alone, y, balanced=task.balanced),
        "accuracy": value(right, y, balanced=False),
        "balanced": value(right, y, balanced=True),
        "interval": interval(right, people),
        "union": None,
        "forest": value(alone, y, balanced=False),
        "asked": asked,
        "p95_runs": p95(done.asked),
        "worst_runs": int(figures.setting is not None),
        "macs": round(asked * macs),
        "instructions": round(instructions),
    }
