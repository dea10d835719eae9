"""The row that a forest leaves, with the keys of `training.results.row` that `ditmos train` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets import TEST, VALIDATION
from ditmos.forest.first import Opinions, Outcome, Setting, outcome
from ditmos.forest.grow import Grown
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.planner import chip, price
from ditmos.planner.forest_price import ForestPrice
from ditmos.planner.price import Price
from ditmos.training.learn import Task
from ditmos.training.results import answered_by, confusion, interval, per_class
from ditmos.training.score import value
from ditmos.training.shapes import describe

_FOREST = -1  # who answered, where it was no classifier


@dataclass(frozen=True)
class Figures:
    """found: opinions on ``validation`` and ``test``. setting: of `first`; None of a forest alone."""

    found: Mapping[str, Opinions]
    setting: Setting | None
    forest: ForestPrice
    network: Price
    reference: Model

    def outcome(self, part: str) -> Outcome:
        found = self.found[part]
        if self.setting is None:
            return Outcome(found.votes.argmax(1).astype(np.int64), np.zeros(len(found.y), bool))
        return outcome(found, self.reference, self.setting)


def row(task: Task, grown: Grown, model: QuantizedModel, figures: Figures) -> dict[str, Any]:
    """All figures. The test part is looked at here, and only here."""
    dataset, spec, names = task.dataset, model.spec, task.dataset.class_names
    parts = {}
    for name, which in (("validation", VALIDATION), ("test", TEST)):
        parts[name] = _part(task, grown, figures, name, dataset.subject[dataset.part(which)], spec_macs(model))
    test, done, found = parts["test"], figures.outcome("test"), figures.found["test"]
    matrix = confusion(done.label, found.y, len(names))
    voters = {_FOREST: "forest"} | {k: f"classifier {k}" for k in range(spec.classifiers)}
    who = np.where(done.asked, found.chosen if figures.setting else _FOREST, _FOREST)
    worst = figures.forest.first(1.0, figures.network) if figures.setting else figures.forest.alone
    return {
        "data": dataset.name,
        "split": task.settings.data.split,
        "metric": task.settings.data.metric,
        "seed": task.seed,
        "int8": test["int8"],
        "float": test["float"],
        "instructions": test["instructions"],
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


def _part(
    task: Task, grown: Grown, figures: Figures, name: str, people: NDArray[np.int64], macs: int
) -> dict[str, Any]:  # fmt: skip
    found, done = figures.found[name], figures.outcome(name)
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
        "macs": round(asked * macs),
        "instructions": round(instructions),
    }
