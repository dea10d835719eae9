"""How good a network is, and how many classifiers it runs: float or integers, by the policy that its shape asks for.

A selector that also gives class logits answers by itself where its two best classes are far enough apart; that
inference costs the selector alone. Where the chosen classifier's two best classes are too close, the selector's second
choice is asked too, and paid for (both: `early` in device/ditmos/routing.py). K classifiers without a selector are
all asked and paid for, their logits added. Otherwise the selector's first choice answers.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from ditmos.datasets.tensors import Windows
from ditmos.model.inputs import quantize_input
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.model.spec import NetworkSpec
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.planner.budget import Budget
from ditmos.planner.price import Price

Floats = NDArray[np.float32]
_BATCH = 512
SELECTOR, EVERYBODY = -1, -2  # who answered, where it was not one classifier
RESERVE = 0.94  # share of a mean budget that margins are chosen for, where the cost varies
_EARLY = np.linspace(0, 1, 101)  # of the windows, that go on to a classifier
_SECOND = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0)  # of the windows, that a second classifier sees


@dataclass(frozen=True)
class Margins:
    """In real logits. early: of the selector's own answer, from which on it stands. second: of the chosen classifier's,
    below which another one is asked and their logits added. None: never."""

    early: float | None = None
    second: float | None = None


@dataclass(frozen=True)
class Answers:
    """Real logits for N windows: gate (N, S) or None; logits (N, K, classes).

    steps: scale of the selector's and of the classifiers' logits where they come from integers, else 0.
    """

    spec: NetworkSpec
    gate: Floats | None
    logits: Floats
    y: NDArray[np.int64]
    steps: tuple[float, float] = (0.0, 0.0)

    @property
    def choice(self) -> NDArray[np.int64]:
        """(N,) the classifier that the selector prefers."""
        return self.ranking[:, 0]

    @cached_property
    def ranking(self) -> NDArray[np.int64]:
        """(N, K) classifiers as the selector likes them, equals in rising order."""
        if self.gate is None or self.spec.classifiers == 1:
            return np.zeros((len(self.y), 1), np.int64)
        return np.argsort(-self.gate[:, : self.spec.classifiers], axis=1, kind="stable")

    @cached_property
    def margin(self) -> Floats:
        """(N,) of the selector's own answer: difference of its two largest class logits."""
        assert self.gate is not None
        return _lead(self.gate[:, -self.spec.classes :])

    @cached_property
    def first(self) -> Floats:
        """(N, classes) what the chosen classifier says."""
        return self._said_by(0)

    @cached_property
    def doubt(self) -> Floats:
        """(N,) margin of the chosen classifier's answer."""
        return _lead(self.first)

    @cached_property
    def both(self) -> Floats:
        """(N, classes) sum of what the selector's first and second choice say."""
        return self.first + self._said_by(1)

    def _said_by(self, place: int) -> Floats:
        return self.logits[np.arange(len(self.y)), self.ranking[:, place]]


def _lead(logits: Floats) -> Floats:
    """(N,) difference of the two largest of (N, classes)."""
    return np.diff(np.partition(logits, -2, axis=1)[:, -2:], axis=1)[:, 0]


@dataclass(frozen=True)
class Allowed:
    """How many classifier runs a decision may take: the mean where it is the same for every window, the mean where it
    varies (less a reserve: new people may be harder), and the most for any one window."""

    always: float = math.inf
    varying: float = math.inf
    worst: float = math.inf


def allowed(budget: Budget, spec: NetworkSpec, instructions: Price) -> Allowed:
    """What the limits leave after the selector."""

    def runs(cost: Price, limit: float) -> float:
        return (limit - cost.select) / cost.classify

    means = list(budget.means(spec, lambda _: instructions))
    return Allowed(
        min((runs(cost, limit) for cost, limit in means), default=math.inf),
        min((runs(cost, RESERVE * limit) for cost, limit in means), default=math.inf),
        math.inf if budget.dearest is None else runs(instructions, budget.dearest),
    )


@dataclass(frozen=True)
class Score:
    """value: accuracy, or mean recall where the set is judged by that. predicted (N,): the answers; answered (N,): the
    classifier that gave each (where two were asked, the first), or SELECTOR, or EVERYBODY.

    exits: share of the windows that the selector answered. runs: classifier runs per window; each (N,): of every one.
    union: at least one classifier is right (None: there is but one). usage: share of the windows each classifier is
    chosen for. classifier: accuracy of each alone.
    """

    value: float
    exits: float
    runs: float
    union: float | None
    usage: tuple[float, ...]
    classifier: tuple[float, ...]
    predicted: NDArray[np.int64]
    answered: NDArray[np.int64]
    each: NDArray[np.int64]


def answers_itself(spec: NetworkSpec) -> bool:
    """Whether the selector gives class logits, after its K routing outputs if K > 1."""
    routes = spec.classifiers if spec.classifiers > 1 else 0
    return spec.selector is not None and spec.selector_outputs == routes + spec.classes


def worst_runs(spec: NetworkSpec, margins: Margins | None = None) -> int:
    """Classifiers that a decision runs where every one that can be asked is asked."""
    if spec.selector is None:
        return spec.classifiers
    return 1 if margins is None or margins.second is None else 2


def answer_float(network: RoutedNetwork, windows: Windows) -> Answers:
    gates, logits = [], []
    with torch.no_grad():
        for x in windows.x.split(_BATCH):
            gate, z = network(x)
            gates.append(gate)
            logits.append(z)
    gate = None if gates[0] is None else torch.cat(gates).numpy()
    return Answers(network.spec, gate, torch.cat(logits).numpy(), windows.y.numpy())


def answer_integer(model: QuantizedModel, windows: Windows) -> Answers:
    """Through the reference integers."""
    reference, spec = Model(model), model.spec
    gates: list[NDArray[np.float32]] = []
    logits: list[NDArray[np.float32]] = []
    for x in windows.x.split(_BATCH):
        q = quantize_input(x.numpy().transpose(0, 2, 1), model.read)
        s, z = reference.select_batch(q), reference.classify_batch(q)
        gates.append((s.astype(np.float32) - reference.selector_zero_point) * reference.selector_scale)
        logits.append((z.astype(np.float32) - reference.logit_zero_point) * reference.logit_scale)
    gate = None if spec.selector is None else np.concatenate(gates)
    steps = reference.selector_scale, reference.logit_scale
    return Answers(spec, gate, np.concatenate(logits), windows.y.numpy(), steps)


def score(answers: Answers, margins: Margins | None = None, *, balanced: bool = False) -> Score:
    spec, y = answers.spec, answers.y
    predicted, answered, each = _outcome(answers, margins or Margins())
    right = answers.logits.argmax(2) == y[:, None]
    return Score(
        value=value(predicted == y, y, balanced),
        exits=float((answered == SELECTOR).mean()),
        runs=float(each.mean()),
        union=float(right.any(1).mean()) if spec.classifiers > 1 else None,
        usage=tuple((np.bincount(answers.choice, minlength=spec.classifiers) / len(y)).tolist()),
        classifier=tuple(right.mean(0).tolist()),
        predicted=predicted,
        answered=answered,
        each=each,
    )


def _outcome(answers: Answers, margins: Margins) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Predicted classes, who answered, classifier runs: each (N,)."""
    spec = answers.spec
    if spec.selector is None:
        predicted = answers.logits.sum(1).argmax(1)  # `average` of routing.py
        count = len(predicted)
        return predicted, np.full(count, EVERYBODY if spec.classifiers > 1 else 0), np.full(count, spec.classifiers)
    predicted, answered = answers.first.argmax(1), answers.choice
    early = again = np.zeros(len(predicted), bool)
    if margins.early is not None and answers_itself(spec):
        assert answers.gate is not None
        early = answers.margin >= margins.early
    if margins.second is not None and spec.classifiers > 1:
        again = ~early & (answers.doubt < margins.second)
        predicted = np.where(again, answers.both.argmax(1), predicted)
    if early.any():
        assert answers.gate is not None
        predicted = np.where(early, answers.gate[:, -spec.classes :].argmax(1), predicted)
        answered = np.where(early, SELECTOR, answered)
    return predicted, answered, 1 - early.astype(np.int64) + again


def pick_margins(answers: Answers, allowed: Allowed, *, balanced: bool = False) -> Margins:
    """The margins with the best value on these (validation) windows among those that keep to what is allowed; the
    cheapest of equals. Where none do: those that let the selector answer every window, if it can."""
    spec = answers.spec
    if spec.selector is None:
        return Margins()
    earlies: list[float | None] = [None]
    seconds: list[float | None] = [None]
    if answers_itself(spec):
        earlies += _between(np.quantile(answers.margin, _EARLY), answers.steps[0])
    if spec.classifiers > 1 and allowed.worst >= 2:
        seconds += _between(np.quantile(answers.doubt, _SECOND), answers.steps[1])
    best: tuple[float, float, Margins] | None = None
    for margins in itertools.starmap(Margins, itertools.product(earlies, seconds)):
        predicted, _, each = _outcome(answers, margins)
        runs = float(each.mean())
        found = value(predicted == answers.y, answers.y, balanced)
        most = allowed.always if margins == Margins() else allowed.varying
        if runs <= most and (best is None or (found, -runs) > best[:2]):
            best = found, -runs, margins
    if best is None:
        return Margins(_between(answers.margin.min(), answers.steps[0])[0]) if answers_itself(spec) else Margins()
    return best[2]


def _between(margins: NDArray, step: float) -> list[float]:
    """Margins that divide the windows alike, but lie half way between two leads of integers: on one of them the
    rounding of real logits would decide, and differently here and on a board."""
    if step:
        margins = (np.ceil(margins / step - 1e-3) - 0.5) * step
    return np.unique(margins).tolist()


def value(right: NDArray[np.bool_], y: NDArray[np.int64], balanced: bool) -> float:
    """Accuracy, or the mean recall of the classes that occur."""
    if not balanced:
        return float(right.mean())
    return float(np.mean([right[y == c].mean() for c in np.unique(y)]))
