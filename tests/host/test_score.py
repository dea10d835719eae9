"""What a network is worth and costs, by hand: early exits, a second classifier, margins within a budget."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from ditmos.bench import golden
from ditmos.datasets.tensors import Windows
from ditmos.model.reference import Model
from ditmos.model.spec import NetworkSpec
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.planner import price
from ditmos.planner.budget import Budget
from ditmos.training import score as scoring
from ditmos.training import shapes
from ditmos.training.score import RESERVE, Allowed, Answers, Margins, allowed


def _early() -> NetworkSpec:
    return shapes.build((40, 2, 2), "4k3", selector="3k3 3k3", classifiers=2, start=1, exit=True)


def test_score_of_early_exits_by_hand() -> None:
    spec = _early()
    # routing 0, 0, 1, 1; the selector is sure of class 1 on the first two
    gate = np.array([[1, 0, 0, 5], [1, 0, 0, 5], [0, 1, 0, 0.1], [0, 1, 0, 0.1]], np.float32)
    logits = np.zeros((4, 2, 2), np.float32)
    logits[:, 0, 0] = 1  # classifier 0 says 0, classifier 1 says 1
    logits[:, 1, 1] = 1
    answers = Answers(spec, gate, logits, np.array([1, 0, 1, 1]))
    without = scoring.score(answers)
    assert (without.value, without.runs, without.exits) == (0.75, 1.0, 0.0)
    assert without.answered.tolist() == [0, 0, 1, 1]
    assert without.union == 1.0 and without.usage == (0.5, 0.5) and without.classifier == (0.25, 0.75)
    early = scoring.score(answers, Margins(0.5))
    assert (early.value, early.runs, early.exits) == (0.75, 0.5, 0.5)
    assert early.answered.tolist() == [scoring.SELECTOR, scoring.SELECTOR, 1, 1]
    assert early.predicted.tolist() == [1, 1, 1, 1]
    assert scoring.score(answers, Margins(0.5), balanced=True).value == 0.5


def test_margins_keep_the_budget() -> None:
    rng = np.random.default_rng(0)
    spec = _early()
    y = rng.integers(0, 2, 500)
    gate = rng.normal(size=(500, 4)).astype(np.float32)
    logits = np.stack([np.eye(2, dtype=np.float32)[y]] * 2, axis=1)  # classifiers know, the selector guesses
    answers = Answers(spec, gate, logits, y)
    for runs in (0.1, 0.5, 0.9):
        margins = scoring.pick_margins(answers, Allowed(runs, runs))
        assert runs - 0.03 <= scoring.score(answers, margins).runs <= runs
        assert margins.second is None  # both classifiers say the same
    assert scoring.score(answers, scoring.pick_margins(answers, Allowed(1.0, 0.9))).value == 1.0  # it does not vary
    nobody = scoring.pick_margins(answers, Allowed(-1.0, -1.0))
    assert scoring.score(answers, nobody).exits == 1.0  # nothing can be paid: the selector answers
    plain = replace(answers, spec=shapes.build((40, 2, 2), "4k3"), gate=None)
    assert scoring.pick_margins(plain, Allowed(0.0, 0.0)) == Margins()


def test_the_cheapest_of_equals_is_taken_and_a_fixed_cost_needs_no_reserve() -> None:
    y = np.array([0, 1, 0, 1])
    both = np.eye(2, dtype=np.float32)[y]
    gate = np.concatenate([np.zeros((4, 2), np.float32), both], axis=1)
    answers = Answers(_early(), gate, np.stack([both] * 2, axis=1), y)
    assert scoring.score(answers, scoring.pick_margins(answers, Allowed())).runs == 0.0  # the selector knows, too
    wrong = replace(answers, gate=-gate)
    assert scoring.pick_margins(wrong, Allowed(1.0, 0.9)) == Margins()


def test_a_selector_answers_itself_where_it_has_logits_for_that() -> None:
    """Behind its routing outputs; before one classifier it has none of those."""
    one = shapes.build((40, 2, 2), "4k3", selector="3k3 3k3", start=1, exit=True)
    routed = shapes.build((40, 2, 2), "4k3", selector="3k3 3k3", classifiers=2, start=1)
    plain = shapes.build((40, 2, 2), "4k3")
    for spec, expected in ((_early(), True), (one, True), (routed, False), (plain, False)):
        assert scoring.answers_itself(spec) == expected


def test_budgets_are_runs_of_classifiers() -> None:
    """Whichever limit is the tightest counts, less a reserve where the cost varies."""
    spec = _early()
    macs, instructions = price.macs(spec), price.estimated(spec)
    half = allowed(Budget(macs=macs.of(0.5)), spec, instructions)
    assert half.always == pytest.approx(0.5) and half.worst == math.inf
    assert half.varying == pytest.approx((RESERVE * macs.of(0.5) - macs.select) / macs.classify)
    both = Budget(macs=macs.of(0.5), instructions=instructions.of(0.25), worst=instructions.of(1.5))
    assert allowed(both, spec, instructions).always == pytest.approx(0.25)
    assert allowed(both, spec, instructions).worst == pytest.approx(1.5)
    assert allowed(Budget(), spec, instructions) == Allowed()


def test_a_second_classifier_is_asked_where_that_pays() -> None:
    """Of three windows, the first classifier is wrong and doubtful in one: the second knows better."""
    spec = shapes.build((40, 2, 2), "4k3", selector="3k3 3k3", classifiers=2, start=1)
    gate = np.array([[1, 0]] * 3, np.float32)
    logits = np.array([[[3, 0], [0, 9]], [[0.0, 0.5], [2, 0]], [[0, 4], [9, 0]]], np.float32)
    answers = Answers(spec, gate, logits, np.array([0, 0, 1]))
    assert scoring.score(answers).value == pytest.approx(2 / 3)
    found = scoring.score(answers, Margins(second=1.0))
    assert (found.value, found.exits, found.predicted.tolist()) == (1.0, 0.0, [0, 0, 1])
    assert found.runs == pytest.approx(4 / 3)
    assert scoring.score(answers, Margins(second=0.5)).runs == 1.0  # one is asked below the margin, not on it
    margins = scoring.pick_margins(answers, Allowed(2.0, 2.0))
    assert margins.second is not None and scoring.score(answers, margins).value == 1.0
    assert scoring.pick_margins(answers, Allowed(worst=2.0)) == margins
    assert scoring.pick_margins(answers, Allowed(1.0, 1.0)) == Margins()  # cannot be paid
    assert scoring.pick_margins(answers, Allowed(worst=1.0)) == Margins()  # nor for a single window
    assert [scoring.worst_runs(spec, asked) for asked in (None, Margins(), margins)] == [1, 1, 2]


def test_margins_of_integers_lie_between_their_steps() -> None:
    """On a step, rounding would decide: on a board other than here."""
    scale = 0.0123
    leads = np.arange(1, 9)
    found = np.array(scoring._between(leads * np.float32(scale), scale)) / scale
    np.testing.assert_allclose(found, leads - 0.5, atol=1e-3)
    assert scoring._between(np.array([0.3, 0.1, 0.1]), 0.0) == [0.1, 0.3]


def test_one_classifier_has_no_second_to_ask() -> None:
    """The selector's outputs are class logits alone; without a selector that classifier answers everything."""
    one = shapes.build((40, 2, 2), "4k3", selector="3k3 3k3", start=1, exit=True)
    y = np.array([0, 0, 0, 1])
    gate, logits = np.array([[0, 2]] * 4, np.float32), np.array([[[1, 0]]] * 4, np.float32)
    answers = Answers(one, gate, logits, y)
    found = scoring.score(answers, Margins(second=9.0))
    assert (found.value, found.runs, found.union, found.answered.tolist()) == (0.75, 1.0, None, [0, 0, 0, 0])
    assert scoring.score(answers, Margins(early=2.0)).predicted.tolist() == [1, 1, 1, 1]
    assert scoring.pick_margins(answers, Allowed()) == Margins()  # accuracy 3/4 instead of 1/4
    assert scoring.pick_margins(answers, Allowed(), balanced=True) == Margins(2.0)  # recall 1/2 of both: the cheaper
    plain = scoring.score(Answers(shapes.build((40, 2, 2), "4k3"), None, logits, y))
    assert plain.answered.tolist() == [0, 0, 0, 0] and plain.runs == 1.0


@pytest.mark.parametrize("selector", ["3k3 3k3", ""])
def test_answers_are_those_of_each_window_by_itself(selector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of integers in real units; a batch of three, then one of two."""
    monkeypatch.setattr(scoring, "_BATCH", 3)
    rng = np.random.default_rng(0)
    spec = shapes.build((40, 2, 2), "4k3", selector=selector, classifiers=2, exit=bool(selector))
    quantized = golden.random_model(rng, spec, golden.Style.TRAINED)
    network, model = RoutedNetwork(spec, (0.0, 0.0), (1.0, 1.0)).eval(), Model(quantized)
    x = (rng.normal(size=(5, 40, 2)) * [50 * channel.scale for channel in model.inputs]).astype(np.float32)
    windows = Windows(torch.from_numpy(x.transpose(0, 2, 1)), torch.arange(5))
    floats, integers = scoring.answer_float(network, windows), scoring.answer_integer(quantized, windows)
    for i, window in enumerate(x):
        with torch.no_grad():
            gate, logits = network(windows.x[i : i + 1])
        q_gate = np.array(model.select(model.quantize(window)), np.float32)
        q_logits = np.array([model.classify(k) for k in range(2)], np.float32)
        np.testing.assert_allclose(floats.logits[i], logits[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(integers.logits[i], (q_logits - model.logit_zero_point) * model.logit_scale)
        if floats.gate is not None and integers.gate is not None:
            np.testing.assert_allclose(floats.gate[i], gate[0], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(integers.gate[i], (q_gate - model.selector_zero_point) * model.selector_scale)
    for answers, steps in ((floats, (0, 0)), (integers, (model.selector_scale, model.logit_scale))):
        assert (answers.gate is None) == (not selector) and len(answers.logits) == 5
        assert answers.steps == steps and answers.y.tolist() == [0, 1, 2, 3, 4]


def test_the_logits_of_an_ensemble_are_added_and_all_of_it_is_paid_for() -> None:
    """As `average` of routing.py does; by the mean of softmax class 1 would win, of which the second is sure."""
    spec = shapes.build((40, 2, 3), "4k3", classifiers=2)
    logits = np.array([[[20.0, 0.0, 19.5], [0.0, 12.0, 0.0]]], np.float32)
    found = scoring.score(Answers(spec, None, logits, np.array([0])))
    assert found.predicted.tolist() == [0] and found.runs == 2 == scoring.worst_runs(spec)
    assert found.answered.tolist() == [scoring.EVERYBODY]


def test_one_classifier_of_an_ensemble_does_not_answer_for_all() -> None:
    """The first one is wrong about the second window; together they are right about both."""
    spec = shapes.build((40, 2, 2), "4k3", classifiers=3)
    logits = np.array([[[1, 0], [1, 0], [0, 1]], [[1, 0], [0, 4], [0, 1]]], np.float32)
    found = scoring.score(Answers(spec, None, logits, np.array([0, 1])))
    assert found.predicted.tolist() == [0, 1] and found.value == 1.0
    assert not set(found.answered.tolist()) & {0, 1, 2}
    assert found.classifier == (0.5, 1.0, 0.5) and found.union == 1.0 and found.runs == 3


def test_balanced_is_the_mean_recall_of_three_classes() -> None:
    """Recalls 3/4, 1/2 and 0: with two classes, swapping them would change nothing."""
    y = np.array([0, 0, 0, 0, 1, 1, 2])
    right = np.array([1, 1, 1, 0, 1, 0, 0], bool)
    assert scoring.value(right, y, balanced=True) == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    assert scoring.value(right, y, balanced=False) == pytest.approx(4 / 7)
    assert scoring.value(right, y + 3 * (y == 2), balanced=True) == pytest.approx(5 / 12)  # a class that does not occur
