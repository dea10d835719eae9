"""device/ditmos/events.py on the host: cases worked by hand. That a board says the same: tests/device."""

from __future__ import annotations

import numpy as np
import pytest
from ditmos.events import Watched, decay, events, known, largest, lead, majority, margin_for, soft, steady, threshold
from ditmos.routing import SELECTOR, VOTES, average, early, top1

SILENCE, A, B = (0, 0, 255), (255, 0, 0), (0, 255, 0)


def heard(hear, windows) -> list[tuple[int, int]]:
    """(window, class) of every event."""
    said = ((i, hear(scores)) for i, scores in enumerate(windows))
    return [(i, label) for i, label in said if label is not None]


@pytest.mark.parametrize("scale", [0.001, 0.02, 0.125, 0.7, 3.0, 40.0])
def test_scores_are_probabilities(scale: float) -> None:
    rng = np.random.default_rng(0)
    scores = soft(scale)
    for _ in range(50):
        logits = rng.integers(-128, 128, 11)
        p = np.exp((logits - logits.max()) * scale)
        assert np.abs(np.array(scores([int(v) for v in logits])) - 255 * p / p.sum()).max() < 0.52
    np.testing.assert_allclose(decay(scale), 65535 * np.exp(-scale * np.arange(256)), atol=1.5)


def test_an_event_needs_its_windows_and_comes_once() -> None:
    hear = events(on=0.9, off=0.5, windows=3, quiet=4, silent=(2,))
    assert heard(hear, [SILENCE] * 5 + [A] * 9 + [SILENCE] * 5) == [(7, 0)]


def test_a_word_is_said_again_after_it_has_ended() -> None:
    hear = events(on=0.9, off=0.5, windows=2, quiet=0, silent=(2,))
    assert heard(hear, [A, A, A, SILENCE, SILENCE, A, A]) == [(1, 0), (6, 0)]
    hear = events(on=0.9, off=0.5, windows=2, quiet=0, silent=(2,))
    assert heard(hear, [A, A, A, SILENCE, A, A]) == [(1, 0)]  # its mean was 0.5, not below


def test_nothing_is_said_in_the_quiet_after_an_event() -> None:
    windows = [A, A, SILENCE, B, B, B, B, B]
    assert heard(events(on=0.9, windows=2, quiet=0, silent=(2,)), windows) == [(1, 0), (4, 1)]
    assert heard(events(on=0.9, windows=2, quiet=4, silent=(2,)), windows) == [(1, 0), (6, 1)]


def test_an_activity_is_said_when_it_takes_over() -> None:
    hear = steady(on=0.6, off=0.4, windows=5)
    assert heard(hear, [A] * 4 + [B] + [A] * 3 + [B] * 6 + [A]) == [(2, 0), (11, 1)]


def test_majority() -> None:
    assert heard(majority(windows=5, least=3), [A, B, A, A, A, B, B, B, A]) == [(3, 0), (7, 1)]
    assert heard(majority(windows=3, least=2, silent=(2,)), [SILENCE] * 4 + [A, A]) == [(5, 0)]


def test_a_majority_holds_until_it_is_none() -> None:
    assert heard(majority(windows=3, least=2), [A, A, B, A]) == [(1, 0)]  # two of three are enough all the time
    assert heard(majority(windows=3, least=2, silent=(2,)), [A, A, SILENCE, SILENCE, A, A]) == [(1, 0), (5, 0)]


def test_the_first_of_equals_is_the_largest_and_thresholds_are_rounded() -> None:
    assert largest((1, 3, 3)) == 1
    assert threshold(0.5, 1) == 128 and threshold(0.8, 4) == 816


def test_a_mean_that_is_just_there_counts() -> None:
    assert heard(events(on=1.0, windows=1, quiet=0), [A]) == [(0, 0)]
    assert heard(steady(on=1.0, windows=1), [A, B]) == [(0, 0), (1, 1)]
    assert heard(steady(on=0.6, off=0.333, windows=3), [A] * 3 + [B] * 3) == [(1, 0), (5, 1)]  # A: a third, not below


def test_scores_of_another_number_of_classes() -> None:
    scores = soft(0.125)
    assert scores([5, 5]) is scores([5, 5]) and [len(scores([0] * n)) for n in (2, 5, 3)] == [2, 5, 3]


def test_what_was_never_seen_is_no_event() -> None:
    unsure, sure = (130, 120, 5), (200, 50, 5)
    assert lead(unsure) == 10 and lead((7,)) == 7
    assert heard(events(on=0.5, windows=2, quiet=0), [unsure] * 4) == [(1, 0)]
    assert heard(known(events(on=0.5, windows=2, quiet=0), 20), [unsure] * 4 + [sure] * 2) == [(5, 0)]
    assert heard(known(events(on=0.5, windows=2, quiet=0), 10), [unsure] * 4) == [(1, 0)]


def test_the_margin_is_what_validation_leaves() -> None:
    windows = [(100 + i, 100, 0) for i in range(100)]
    assert margin_for(windows, kept=0.95) == 5
    assert sum(lead(w) >= 5 for w in windows) == 95
    assert margin_for(windows, kept=1.0) == 0 and margin_for([]) == 0
    assert margin_for(windows, kept=0.0) == 99
    assert margin_for([(i // 4, 0) for i in range(1000)], kept=0.949) == 51 // 4


class Told:
    """A model of three classifiers and a selector that answers too, with logits of its own for every call."""

    selector_scale, logit_scale, classes, classifiers, routes, exits = 0.5, 0.125, 3, 3, 3, 3

    def select(self, window):
        return memoryview(np.array([5, 4, 1, 40, 0, 0], np.int8))

    def classify(self, k: int):
        return memoryview(np.array([[0, 100, 0], [0, 0, 99], [0, 0, 0]][k], np.int8))


def test_scores_are_those_of_whoever_was_asked() -> None:
    watched = Watched(Told())
    assert early(40)(watched, None) == (0, SELECTOR)
    assert list(watched.scores()) == list(soft(0.5)([40, 0, 0])) and watched.runs == 0
    assert top1(watched, None) == (1, 0)
    assert list(watched.scores()) == list(soft(0.125)([0, 100, 0])) and watched.runs == 1
    early(41, 101)(watched, None)  # the second choice is asked too
    assert list(watched.scores()) == list(soft(0.125)([0, 50, 49])) and watched.runs == 2
    average(watched, None)
    assert list(watched.scores()) == list(soft(0.125)([0, 33, 33])) and watched.runs == 3


def test_shares_of_a_forest_are_rounded() -> None:
    class Forest(Told):
        trees = 3

        def votes(self, window):
            return [VOTES, 2 * VOTES, 1]

    watched = Watched(Forest())
    watched.votes(None)
    assert list(watched.scores()) == [85, 170, round(255 / (3 * VOTES))]


def test_nobody_was_asked() -> None:
    told = Told()
    told.routes, told.exits = 6, 0
    watched = Watched(told)
    watched.select(None)
    assert watched.scores() is None
