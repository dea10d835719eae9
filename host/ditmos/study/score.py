"""How good a network is, and what it costs on average: float or integers, by the policy that its shape asks for.

A selector that also gives class logits answers by itself where its two best classes are at least ``threshold`` apart
(`early` in device/ditmos/routing.py); that inference costs the selector alone. K classifiers without a selector are
averaged and all paid for. Otherwise the selector's first choice answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ditmos.networks import RoutedNetwork
from ditmos.quantized import QuantizedModel
from ditmos.reference import Model
from ditmos.spec import NetworkSpec
from ditmos.study.fit import answers_itself
from ditmos.training.data import Windows

Floats = NDArray[np.float32]
_BATCH = 512
_RESERVE = 0.94  # share of a mean budget that a threshold is chosen for: new people may be harder than those at hand


@dataclass(frozen=True)
class Answers:
    """Real logits for N windows: gate (N, S) or None; logits (N, K, classes), or (N, 1, classes) of the choice only."""

    spec: NetworkSpec
    gate: Floats | None
    logits: Floats
    y: NDArray[np.int64]

    @property
    def choice(self) -> NDArray[np.int64]:
        """(N,) the classifier that the selector prefers."""
        return choose(self.spec, self.gate) if self.gate is not None else np.zeros(len(self.y), np.int64)

    @property
    def margin(self) -> Floats:
        """(N,) of the selector's own answer: difference of its two largest class logits."""
        assert self.gate is not None
        return np.diff(np.sort(self.gate[:, -self.spec.classes :], axis=1)[:, -2:], axis=1)[:, 0]


@dataclass(frozen=True)
class Score:
    """value: accuracy, or mean recall where the set is judged by that. macs: the mean over the windows.

    exits: share of the windows that the selector answered. union: at least one classifier is right (None: not asked).
    usage: share of the windows each classifier is chosen for. classifier: accuracy of each alone.
    """

    value: float
    macs: float
    exits: float
    union: float | None
    usage: tuple[float, ...]
    classifier: tuple[float, ...]
    predicted: NDArray[np.int64]


def choose(spec: NetworkSpec, gate: NDArray) -> NDArray[np.int64]:
    """Top-1 classifier (N,) from selector outputs (N, S)."""
    if spec.classifiers == 1:
        return np.zeros(len(gate), np.int64)
    return gate[:, : spec.classifiers].argmax(1)


def branch_macs(spec: NetworkSpec) -> tuple[int, int]:
    """MACs of the selector and of one classifier."""
    return sum(s.macs for s in spec.selector_layers()), sum(s.macs for s in spec.classifier_layers())


def answer_float(network: RoutedNetwork, windows: Windows) -> Answers:
    import torch

    gates, logits = [], []
    with torch.no_grad():
        for x in windows.x.split(_BATCH):
            gate, z = network(x)
            gates.append(gate)
            logits.append(z)
    gate = None if gates[0] is None else torch.cat(gates).numpy()
    return Answers(network.spec, gate, torch.cat(logits).numpy(), windows.y.numpy())


def answer_integer(model: QuantizedModel, windows: Windows, *, everybody: bool = False) -> Answers:
    """Through the reference integers. everybody: also what the classifiers that were not chosen say."""
    reference, spec = Model(model), model.spec
    alone = spec.selector is None
    gates, logits = [], []
    for x in windows.x.split(_BATCH):
        q = reference.quantize(x.numpy().transpose(0, 2, 1))
        gate = reference.select_batch(q)
        if everybody or alone:
            z = reference.classify_batch(q)
        else:
            z = reference.classify_batch(q, choose(spec, gate))[:, None]
        gates.append((gate.astype(np.float32) - reference.selector_zero_point) * reference.selector_scale)
        logits.append((z.astype(np.float32) - reference.logit_zero_point) * reference.logit_scale)
    return Answers(spec, None if alone else np.concatenate(gates), np.concatenate(logits), windows.y.numpy())


def score(answers: Answers, *, threshold: float | None = None, balanced: bool = False) -> Score:
    """threshold: of the selector's own answer; None where it gives none, or never to use it."""
    spec, y, choice = answers.spec, answers.y, answers.choice
    first, second = branch_macs(spec)
    count = np.arange(len(y))
    everybody = answers.logits.shape[1] == spec.classifiers
    if spec.selector is None:
        predicted = _softmax(answers.logits).mean(1).argmax(1)
        macs = float(second * spec.classifiers)
    else:
        predicted = answers.logits[count, choice if everybody else 0].argmax(1)
        macs = float(first + second)
    exits = np.zeros(len(y), bool)
    if threshold is not None and answers_itself(spec):
        assert answers.gate is not None
        exits = answers.margin >= threshold
        predicted = np.where(exits, answers.gate[:, -spec.classes :].argmax(1), predicted)
        macs = first + second * float((~exits).mean())
    right = answers.logits.argmax(2) == y[:, None]
    return Score(
        value=value(predicted == y, y, balanced),
        macs=macs,
        exits=float(exits.mean()),
        union=float(right.any(1).mean()) if everybody and spec.classifiers > 1 else None,
        usage=tuple((np.bincount(choice, minlength=spec.classifiers) / len(y)).tolist()),
        classifier=tuple(right.mean(0).tolist()) if everybody else (),
        predicted=predicted,
    )


def pick_threshold(answers: Answers, budget: float, *, balanced: bool = False) -> float | None:
    """The threshold with the best value on these (validation) windows among those whose mean cost is in the budget,
    less a reserve.

    None where the whole network fits the budget and no early answer does better.
    """
    if not answers_itself(answers.spec):
        return None
    best: tuple[float, float, float | None] | None = None
    candidates: list[float | None] = [
        None,
        *np.unique(np.quantile(answers.margin, np.linspace(0, 1, 101))).tolist(),
    ]
    for threshold in candidates:
        found = score(answers, threshold=threshold, balanced=balanced)
        allowed = budget if threshold is None else _RESERVE * budget
        if found.macs <= allowed and (best is None or (found.value, -found.macs) > best[:2]):
            best = found.value, -found.macs, threshold
    if best is None:
        return float(answers.margin.min())
    return best[2]


def value(right: NDArray[np.bool_], y: NDArray[np.int64], balanced: bool) -> float:
    """Accuracy, or the mean recall of the classes that occur."""
    if not balanced:
        return float(right.mean())
    return float(np.mean([right[y == c].mean() for c in np.unique(y)]))


def _softmax(x: Floats) -> Floats:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
