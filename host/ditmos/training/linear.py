"""A linear model on features made by hand (`ditmos.frontends.window_summary`): the plainest of all models.

Logistic regression on standardised features. In the model file it is a network of one fully connected layer whose
window is one row, the features, which the front end makes of a window of rows: quantised, planned and checked as any
other network.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ditmos.datasets import TRAIN
from ditmos.datasets.splits import fold_of
from ditmos.model.spec import BranchSpec, NetworkSpec
from ditmos.networks.grouped import DenseLayer
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.planner import chip, price
from ditmos.planner.budget import NothingFits
from ditmos.training.learn import Learned, Task
from ditmos.training.loop import Curve
from ditmos.training.score import value

STRENGTHS = (0.001, 0.003, 0.01, 0.1, 1.0, 10.0)  # scikit-learn's C, of which folds choose
_FOLDS = 3
_STEPS = 300


def learn(task: Task) -> Learned:
    """Raises DitmosError where features and model take more than a decision may."""
    dataset, parts = task.dataset, task.parts
    spec = NetworkSpec(*task.geometry, 1, BranchSpec(()))
    _check_budget(task, spec)
    y, train = parts.train.y.numpy(), dataset.part(TRAIN)
    mean, std = np.array(parts.mean), np.array(parts.std)
    x = (parts.train.x[:, :, 0].numpy() - mean) / std
    fold = fold_of(dataset, train, _FOLDS, task.settings.data.split)
    scores: dict[float, float] = {}
    for i, strength in enumerate(STRENGTHS):
        right = np.zeros(len(y), bool)
        for k in np.unique(fold):
            held = fold == k
            if not held.all():
                right[held] = _fit(task, strength, x[~held], y[~held]).predict(x[held]) == y[held]
        scores[strength] = value(right, y, balanced=task.balanced)
        task.report("linear", (i + 1) / (len(STRENGTHS) + 1), f"C {strength:g}: {scores[strength]:.3f}")
    best = max(scores, key=lambda strength: scores[strength])
    model = _fit(task, best, x, y)
    task.report("linear", 1.0, "")
    how: dict[str, Any] = {"strength": best, "trials": [{"C": c, "score": score} for c, score in scores.items()]}
    return Learned(_network(spec, model, mean, std), [("linear", 1.0)], Curve(), how)


def _check_budget(task: Task, spec: NetworkSpec) -> None:
    front, budget = task.front_end, task.budget
    assert front and front.summary  # the method's data have them
    macs, cost = price.macs(spec).of(1), price.estimated(spec).of(1)
    cost += price.summary_price(front.summary, front.features_rows, front.row_channels)
    taken = (macs, budget.macs), (cost, budget.instructions), (cost, budget.dearest)
    if any(limit is not None and value > limit for value, limit in taken):
        raise NothingFits(
            f"no linear model within {budget}, expected more; features and model take {macs:,.0f} MACs, {cost:,.0f} "
            f"instructions ({chip.microseconds(cost):,.0f} us)"
        )


def _fit(task: Task, strength: float, x: NDArray[np.float64], y: NDArray[np.int64]) -> LogisticRegression:
    weight = "balanced" if task.balanced else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as good as it gets in so many steps
        return LogisticRegression(C=strength, class_weight=weight, max_iter=_STEPS).fit(x, y)


@torch.no_grad()
def _network(
    spec: NetworkSpec, model: LogisticRegression, mean: NDArray[np.float64], std: NDArray[np.float64]
) -> RoutedNetwork:
    """Logits of both classes, half each, where scikit-learn has one for the two."""
    network = RoutedNetwork(spec, mean.tolist(), std.tolist(), dropout=0.0)
    dense = network.classifiers.layers[-1]
    assert isinstance(dense, DenseLayer)
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    dense.weight.copy_(torch.from_numpy(weight)[None].float())
    dense.bias.copy_(torch.from_numpy(bias)[None].float())
    return network.eval().requires_grad_(False)
