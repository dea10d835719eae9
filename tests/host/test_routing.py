"""Routing policies on cases worked by hand: what each decides."""

from __future__ import annotations

import numpy as np
import pytest
from ditmos import routing
from ditmos.framing import ALL, FOREST, NOBODY, SELECTOR


class Scripted:
    """A model whose selector says what it is told, one row a window; classifier k answers `answers[k]`."""

    selector_scale = 0.5
    logit_scale = 0.25

    def __init__(self, rows, answers):
        rows = list(rows)
        self.rows, self.answers, self.asked = iter(rows), answers, []
        self.classifiers, self.classes = len(answers), len(answers[0])
        self.routes = self.classifiers if len(rows[0]) in (self.classifiers, self.classifiers + self.classes) else 0
        if self.classifiers == 1 and len(rows[0]) == self.classes:
            self.routes = 0
        self.exits = len(rows[0]) - self.routes
        self.trees = self.specialists = 0

    def select(self, window):
        return memoryview(np.array(next(self.rows), np.int8))

    def classify(self, k):
        self.asked.append(k)
        return memoryview(np.array(self.answers[k], np.int8))


def run(policy, rows, answers):
    model = Scripted(rows, answers)
    return [policy(model, None) for _ in rows], model.asked


ANSWERS = ([9, 0, 0], [0, 5, 4], [0, 4, 5])  # labels 0, 1, 2


def test_top1_takes_the_first_of_equals():
    assert run(routing.top1, [[1, 3, 3], [-128, -128, -127]], ANSWERS) == ([(1, 1), (2, 2)], [1, 2])


def test_fallback_averages_two_only_when_unsure():
    # 3 steps between the best two: sure at margin 3, unsure above it
    assert run(routing.fallback(3), [[0, 4, 7]], ANSWERS) == ([(2, 2)], [2])
    assert run(routing.fallback(4), [[0, 4, 7]], [[0] * 3, [0, 127, 0], [0, 0, 100]]) == ([(1, 2)], [2, 1])


def test_fallback_does_not_wrap_around_in_int8():
    assert run(routing.fallback(2), [[127, 127]], [[120, 1], [120, 1]])[0] == [(0, 0)]
    assert run(routing.fallback(2), [[-128, 127]], [[120, 1], [120, 1]])[1] == [1], "255 steps apart is sure"


def test_early_lets_the_selector_answer_when_it_is_sure():
    # 3 routes, 3 classes: the classes 4 steps apart
    sure = [[0, 9, 0, 1, 7, 3]]
    assert run(routing.early(4), sure, ANSWERS) == ([(1, SELECTOR)], [])
    assert run(routing.early(5), sure, ANSWERS) == ([(1, 1)], [1])
    assert run(routing.early(routing.NEVER), [[0, 0, 0, 127, -128, -128]], ANSWERS) == ([(0, 0)], [0])
    assert run(routing.early(5), [[0, 9, 0]], ANSWERS) == ([(1, 1)], [1]), "no classes: never"
    assert run(routing.early(4), [[1, 7, 3]], [[9, 0, 0]]) == ([(1, SELECTOR)], []), "one classifier: classes alone"
    assert run(routing.early(5), [[1, 7, 3]], [[9, 0, 0]]) == ([(0, 0)], [0])


def test_early_asks_a_second_classifier_in_doubt():
    doubtful = [[3, 9, 4, 0, 0, 0]]  # classifier 1 is one step from class 2
    assert run(routing.early(4, 1), doubtful, ANSWERS) == ([(1, 1)], [1])
    assert run(routing.early(4, 2), doubtful, ([9, 0, 0], [0, 5, 4], [0, 4, 6])) == ([(2, 1)], [1, 2])
    assert run(routing.early(4, 99), doubtful, ([9, 0, 0], [0, 100, 99], [0, 100, 99]))[0] == [(1, 1)], "no int8 sum"
    assert run(routing.early(5, 99), [[1, 7, 3]], [[9, 8, 0]]) == ([(0, 0)], [0]), "there is no second"
    assert run(routing.early(5, 99), [[3, 9, 1, 7, 3]], ([9, 0, 0], [0, 5, 4])) == ([(0, 1)], [1, 0]), "one of two"


def test_early_without_routes_asks_all():
    assert run(routing.early(5), [[1, 7, 3, 0]], ([9, 0, 0, 0], [5, 6, 0, 0])) == ([(0, ALL)], [0, 1])


def test_average_adds_all():
    assert run(routing.average, [[]], ([100, 99, 0], [0, 5, 4])) == ([(1, ALL)], [0, 1])
    assert run(routing.average, [[]], [[0, 3, 1]]) == ([(1, 0)], [0])


class Voting(Scripted):
    """With a forest of four trees, whose votes are told."""

    def __init__(self, votes, specialist=None):
        super().__init__([[0, 9, 0]], ANSWERS)
        self.trees, self.specialists, self.said = 4, 3 * (specialist is not None), votes
        self.specialist = lambda: specialist
        self.weighed = []

    def votes(self, window):
        return np.array(self.said, np.uint16)

    def both(self, logits, weight):
        self.weighed.append((list(logits), weight))
        return 2


def test_the_forest_answers_where_it_is_sure():
    """Of 60 votes 33.75 are nine sixteenths, 60 are sixteen."""
    for tau, most, sure in ((9, 34, True), (9, 33, False), (16, 60, True), (16, 59, False), (0, 20, True)):
        model = Voting([60 - most, most, 0])
        answer = routing.first(tau, 3)(model, None)
        assert answer == ((int(np.argmax(model.said)), FOREST) if sure else (2, 1)), (tau, most)
        assert model.asked == ([] if sure else [1]) and model.weighed == ([] if sure else [(ANSWERS[1], 3)])
    for ahead, most, sure in ((3, 36, True), (3, 35, False), (0, 30, True), (17, 60, False)):  # 11.25 votes ahead
        model = Voting([60 - most, most, 0])
        assert (routing.first(17, 3, ahead)(model, None)[1] == FOREST) == sure, (ahead, most)
    model = Voting([20, 20, 20], specialist=0)
    assert routing.first()(model, None) == (2, 0) and model.weighed == [(ANSWERS[0], 4)]
    assert routing.forest(Voting([20, 40, 0]), None) == (1, FOREST)


def test_what_a_policy_with_a_forest_needs():
    for weight in (0, 8):
        assert routing.first(17, weight)(Voting([60, 0, 0]), None) == (2, 1)
    for weight in (-1, 9):
        with pytest.raises(ValueError, match=f"weight is {weight}, expected 0 to 8 eighths"):
            routing.first(9, weight)
    for name in ("first", "forest"):
        with pytest.raises(ValueError, match=f"{name}: the model has no forest"):
            run(routing.named(name), [[0, 9, 0]], ANSWERS)


def test_margins_are_whole_steps():
    for make in (routing.fallback, routing.early, routing.sticky):
        with pytest.raises(ValueError, match="expected whole steps of int8 logits"):
            make(0.5)


def test_who_has_nothing_to_choose_by_is_named():
    for name in ("top1", "fallback", "sticky", "vote", "budgeted", "early"):
        with pytest.raises(ValueError, match="nothing chooses among the model's classifiers; use average"):
            run(routing.named(name), [[]], ANSWERS)


def test_policies_by_name():
    assert routing.named("top1") is routing.top1
    assert run(routing.named("early", (4, 2)), [[0, 9, 0, 1, 7, 3]], ANSWERS) == ([(1, SELECTOR)], [])
    for name, margins, problem in (
        ("mine", (), "policy mine is none of this firmware"),
        ("named", (), "policy named is none of this firmware"),
        ("top1", (3,), "takes no margins"),
        ("early", (1, 2, 3), "does not take 3 margins"),
    ):
        with pytest.raises(ValueError, match=problem):
            routing.named(name, margins)


def test_what_a_policy_may_return():
    model = Scripted([[0, 0, 0]], ANSWERS)
    assert routing.verdict(model, (None, None)) == (None, NOBODY)
    assert routing.verdict(model, (2, SELECTOR)) == (2, SELECTOR) and routing.verdict(model, (0, 0)) == (0, 0)
    for answer, said in (
        *(((label, 0), f"gave class {label}, expected 0 to 2$") for label in (3, -1)),
        *(((0, who), f"gave class 0 by {who}, expected classifier 0 to 2, ") for who in (None, 3, -1, NOBODY)),
        *((answer, "expected a class's index .or None. and who answered$") for answer in (2, None, (1,), ("walk", 0))),
    ):
        with pytest.raises(ValueError, match=said):
            routing.verdict(model, answer)
    assert [routing.name_of(who) for who in (2, SELECTOR, ALL, NOBODY)] == [
        *("classifier 2", "selector", "all classifiers", "nobody"),
    ]


def test_sticky_needs_a_lead_to_change():
    rows = [[5, 0, 0], [5, 6, 0], [5, 7, 0], [5, 8, 0], [6, 6, 0]]
    decisions, _ = run(routing.sticky(2), rows, ANSWERS)
    assert [k for _, k in decisions] == [0, 0, 0, 1, 1]  # a lead of exactly 2 is not enough


def test_vote_majority_and_tie():
    rows = [[9, 8, 7]]
    assert run(routing.vote(3), rows, ([1, 0], [0, 1], [0, 1])) == ([(1, 1)], [0, 1, 2])
    assert run(routing.vote(2), rows, ([1, 0], [0, 1], [0, 1])) == ([(0, 0)], [0, 1])


def test_budgeted_by_default_allows_one_more_run_a_second_at_a_lead_below_8():
    """At ten windows a second: of 100 windows in doubt, ten get a second look; a lead of 8 is none."""
    decisions, asked = run(routing.budgeted(), [[7, 0, -9]] * 100, ANSWERS)
    assert len(asked) == 110 and len(decisions) == 100
    assert len(run(routing.budgeted(), [[8, 0, -9]] * 100, ANSWERS)[1]) == 100


def test_budgeted_spends_no_more_than_its_budget():
    rows = [[0, 0, 0]] * 100  # always unsure
    model = Scripted(rows, ANSWERS)
    policy = routing.budgeted(runs=2, rate=10)
    extra = []
    for _ in rows:
        before = len(model.asked)
        policy(model, None)
        extra.append(len(model.asked) - before - 1)
    assert sum(extra) == 20
    assert max(sum(extra[i : i + 10]) for i in range(90)) <= 2


def test_budgeted_saves_at_most_a_second():
    rows = [[99, 0, 0]] * 50 + [[0, 0, 0]] * 10
    _, asked = run(routing.budgeted(runs=2, rate=10), rows, ANSWERS)
    assert len(asked) == 60 + 3  # two saved, one earned during the last ten; the next is not whole yet


def test_every_policy_on_a_network_without_selector():
    answers = [[1, 7, 3]]
    for policy in (routing.top1, routing.fallback(), routing.sticky(), routing.vote(), routing.budgeted()):
        assert run(policy, [[]], answers)[0] == [(1, 0)]


def test_ranked_keeps_equals_in_order():
    assert routing.ranked([3, -128, 127, 3, 127]) == [2, 4, 0, 3, 1]
