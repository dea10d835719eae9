"""The row that a training leaves: what `ditmos train --json` writes, RUN/run.json holds and a study's tables read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from ditmos.datasets import TEST, VALIDATION
from ditmos.planner import chip, price
from ditmos.planner.fed import describe_front
from ditmos.training.export import Exported
from ditmos.training.learn import Learned, Task
from ditmos.training.loop import rounded
from ditmos.training.predictions import Predictions
from ditmos.training.routing_figures import routing_figures
from ditmos.training.score import (
    EVERYBODY,
    SELECTOR,
    Answers,
    Score,
    answer_float,
    answer_integer,
    score,
    value,
    worst_runs,
)
from ditmos.training.shapes import describe

_SAMPLES = 2000  # of the bootstrap
FEWEST_PEOPLE = 3  # from which on intervals are over people


def row(task: Task, learned: Learned, exported: Exported) -> tuple[dict[str, Any], Predictions]:
    """All figures, and the answers on test windows. The test part is looked at here, and only here."""
    network, model, margins = learned.network, exported.model, exported.margins
    spec, cost, classes = network.spec, exported.cost, task.dataset.class_names
    parts = {}
    scores: dict[str, Score] = {}
    for name, windows, which in (
        ("validation", task.parts.validation, VALIDATION),
        ("test", task.parts.test, TEST),
    ):
        people = task.dataset.subject[task.dataset.part(which)]
        real, integer = answer_float(network, windows), answer_integer(model, windows)
        floats = score(real, margins, balanced=task.balanced)
        scores[name] = score(integer, margins, balanced=task.balanced)
        parts[name] = _part(integer, scores[name], floats, people) | {"routing": routing_figures(real)}
        parts[name]["gain"] = gain(scores[name], floats, integer.y, people, balanced=task.balanced)
        parts[name] |= {
            "macs": round(price.macs(spec).of(scores[name].runs)),
            "instructions": round(cost.of(scores[name].runs)),
            "worst_runs": worst_runs(spec, margins),
        }
    test = parts["test"]
    instructions, dearest = cost.of(scores["test"].runs), cost.of(test["worst_runs"])
    y = task.parts.test.y.numpy()
    matrix = confusion(scores["test"].predicted, y, len(classes))
    figures = {
        "data": task.dataset.name,
        "split": task.settings.data.split,
        "metric": task.settings.data.metric,
        "method": task.method,
        "seed": task.seed,
        "budget": task.budget.limits,
        "int8": test["int8"],
        "float": test["float"],
        "instructions": round(instructions),
        "p95_instructions": round(cost.of(test["p95_runs"])),
        "worst_instructions": round(dearest),
        "macs": test["macs"],
        "worst_macs": round(price.macs(spec).of(test["worst_runs"])),
        "microseconds": round(chip.microseconds(instructions), 1),
        "worst_microseconds": round(chip.microseconds(dearest), 1),
        "microjoules": round(chip.microjoules(chip.microseconds(instructions)), 1),
        "arena_bytes": exported.candidate.arena,
        "front_end": task.front_end and describe_front(task.front_end, task.dataset.window),
        "classifiers": spec.classifiers,
        "shape": describe(spec),
        "network": spec.to_dict(),
        "margins": asdict(margins),
        "cost": asdict(cost),
        **parts,
        "per_class": per_class(matrix, classes),
        "confusion": matrix.tolist(),
        "answered_by": answered_by(scores["test"].answered, y, _names(spec.classifiers), len(classes)),
        "class_names": list(classes),
        "curve": rounded(learned.curve),
        "stages": learned.stages,
        "loses": exported.loses,
        **learned.how,
        **exported.how,
    }
    return figures, Predictions.of(task.dataset, scores["test"].predicted)


def _part(integer: Answers, found: Score, floats: Score, people: NDArray[np.int64]) -> dict[str, Any]:
    right, y = found.predicted == integer.y, integer.y
    return {
        "windows": len(y),
        "people": len(np.unique(people)),
        "int8": found.value,
        "float": floats.value,
        "accuracy": value(right, y, balanced=False),
        "balanced": value(right, y, balanced=True),
        "interval": interval(right, people),
        "union": floats.union,
        "exits": found.exits,
        "runs": found.runs,
        "p95_runs": p95(found.each),
        "usage": found.usage,
        "classifier": found.classifier,
    }


def p95(runs: NDArray[np.int64] | NDArray[np.bool_]) -> int:
    """The least number of runs that 95 % of the windows keep to."""
    return int(np.quantile(runs.astype(np.int64), 0.95, method="inverted_cdf"))


def interval(right: NDArray[np.bool_] | NDArray[np.float64], people: NDArray[np.int64]) -> tuple[float, float]:
    """95 % of the accuracy: bootstrap over people, whose windows are alike, or over windows where people are few."""
    rng = np.random.default_rng(0)
    names, unit = np.unique(people, return_inverse=True)
    if len(names) < FEWEST_PEOPLE:
        names, unit = np.arange(len(right)), np.arange(len(right))
    hits, sizes = np.bincount(unit, weights=right), np.bincount(unit)
    drawn = rng.integers(0, len(names), (_SAMPLES, len(names)))
    low, high = np.quantile(hits[drawn].sum(1) / sizes[drawn].sum(1), (0.025, 0.975))
    return float(low), float(high)


def gain(
    integer: Score, floats: Score, y: NDArray[np.int64], people: NDArray[np.int64], *, balanced: bool
) -> tuple[float, float, float]:
    """What integers win over floats on the same windows, and 95 % of it (`interval`): where that holds 0, the two
    differ by no more than chance."""
    better = (integer.predicted == y).astype(np.float64) - (floats.predicted == y)
    if balanced:  # every class that occurs counts alike
        count = np.bincount(y)
        better *= len(y) / (np.count_nonzero(count) * count[y])
    return float(better.mean()), *interval(better, people)


def per_class(matrix: NDArray[np.int64], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Recall (None: no window), precision (None: never said) and windows of each class."""
    rows = []
    for name, hits, own, said in zip(names, matrix.diagonal(), matrix.sum(1), matrix.sum(0), strict=True):
        recall, precision = (float(hits / total) if total else None for total in (own, said))
        rows.append({"name": name, "windows": int(own), "recall": recall, "precision": precision})
    return rows


def _names(classifiers: int) -> dict[int, str]:
    return {SELECTOR: "selector", EVERYBODY: "all together"} | {k: f"classifier {k}" for k in range(classifiers)}


def answered_by(
    answered: NDArray[np.int64], y: NDArray[np.int64], names: Mapping[int, str], classes: int
) -> list[tuple[str, list[int]]]:
    """Who answered (N,), by name, and how many windows of each class; those that never did are left out."""
    counts = {who: np.bincount(y[answered == who], minlength=classes) for who in names}
    return [(names[who], count.tolist()) for who, count in counts.items() if count.any()]


def confusion(predicted: NDArray[np.int64], y: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts: rows are true classes, columns predicted ones."""
    return confusion_matrix(y, predicted, labels=range(classes))
