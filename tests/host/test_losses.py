"""METHOD's losses on small cases worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from ditmos.paper.losses import classifier_losses, mixture_loss, scores, selector_target
from ditmos.training.config import AdversarialConfig, MixtureConfig, Schedule
from torch import Tensor


def logits_of(probabilities: list) -> Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


# Two classes, three classifiers, five samples; class 0 is right everywhere. p is what each gives to class 0.
P = [
    [0.9, 0.6, 0.2],  # 0 and 1 are right
    [0.3, 0.8, 0.4],  # only 1
    [0.1, 0.2, 0.3],  # nobody
    [0.7, 0.6, 0.8],  # all
    [0.4, 0.45, 0.9],  # only 2
]
Y = torch.zeros(5, dtype=torch.long)
LOGITS = logits_of([[[p, 1 - p] for p in row] for row in P])


def test_scores_and_target() -> None:
    expected = [[0.9, 0.6, -0.8], [-0.7, 0.8, -0.6], [-0.9, -0.8, -0.7], [0.7, 0.6, 0.8], [-0.6, -0.55, 0.9]]
    torch.testing.assert_close(scores(LOGITS, Y), torch.tensor(expected, dtype=torch.float64))
    assert selector_target(LOGITS, Y).tolist() == [0, 1, 2, 2, 2]  # nobody right: the least sure of its error


@pytest.mark.parametrize("shift", [-3.0, 5.0])
def test_target_does_not_depend_on_the_offset_of_logits(shift: float) -> None:
    assert selector_target(LOGITS + shift, Y).tolist() == [0, 1, 2, 2, 2]


def test_every_term_of_the_classifier_loss() -> None:
    routed = torch.tensor([1, 0, 1, 0, 2])

    def terms(**weights: float) -> list[float]:
        config = AdversarialConfig(**({"union": 0.0, "overlap": 0.0, "single": 0.0, "selection": 0.0} | weights))
        return classifier_losses(LOGITS, Y, routed, config).tolist()

    def ce(sample: int, k: int) -> float:
        return -math.log(P[sample][k])

    assert terms(union=1.0) == pytest.approx([ce(2, 0), ce(2, 1), ce(2, 2)])
    assert terms(overlap=1.0) == pytest.approx([-(ce(0, 0) + ce(3, 0)) / 2, -(ce(0, 1) + ce(3, 1)) / 2, -ce(3, 2)])
    assert terms(single=1.0) == pytest.approx([0.0, ce(1, 1), ce(4, 2)])
    assert terms(selection=1.0) == pytest.approx([(ce(1, 0) + ce(3, 0)) / 2, (ce(0, 1) + ce(2, 1)) / 2, ce(4, 2)])


def test_default_weights_are_the_papers() -> None:
    routed = torch.tensor([1, 0, 1, 0, 2])

    def ce(sample: int, k: int) -> float:
        return -math.log(P[sample][k])

    loss = classifier_losses(LOGITS, Y, routed, AdversarialConfig())
    expected = 0.1 * ce(2, 1) - 0.03 * (ce(0, 1) + ce(3, 1)) / 2 + 0.1 * ce(1, 1) + 1.0 * (ce(0, 1) + ce(2, 1)) / 2
    assert loss[1].item() == pytest.approx(expected)


def test_a_classifier_learns_only_from_its_own_loss() -> None:
    logits = LOGITS.clone().requires_grad_()
    classifier_losses(logits, Y, torch.tensor([1, 0, 1, 0, 2]), AdversarialConfig())[2].backward()
    assert logits.grad[:, 2].abs().sum() > 0 and logits.grad[:, :2].abs().sum() == 0


def config(**values: float) -> MixtureConfig:
    smoothing = values.pop("smoothing", 0.0)
    return MixtureConfig(Schedule(epochs=1, lr=0.1, smoothing=smoothing), **values)


def test_mixture_is_the_likelihood_of_the_weighted_answers() -> None:
    gate = logits_of([[0.5, 0.3, 0.2]] * 5)
    p = [0.5 * a + 0.3 * b + 0.2 * c for a, b, c in P]
    expected = -sum(map(math.log, p)) / 5
    assert mixture_loss(gate, LOGITS, Y, config()).item() == pytest.approx(expected)
    smooth = -sum(0.9 * math.log(v) + 0.05 * (math.log(v) + math.log(1 - v)) for v in p) / 5
    assert mixture_loss(gate, LOGITS, Y, config(smoothing=0.1)).item() == pytest.approx(smooth)


def test_one_classifier_without_a_selector_is_cross_entropy() -> None:
    loss = mixture_loss(None, LOGITS[:, :1], Y, config())
    assert loss.item() == pytest.approx(-sum(math.log(row[0]) for row in P) / 5)


def test_balance_is_zero_for_an_even_gate_and_log_k_for_one_choice() -> None:
    even, one = torch.zeros(5, 3, dtype=torch.float64), torch.tensor([[50.0, 0, 0]] * 5, dtype=torch.float64)
    for gate, penalty in ((even, 0.0), (one, math.log(3))):
        difference = mixture_loss(gate, LOGITS, Y, config(balance=2.0)) - mixture_loss(gate, LOGITS, Y, config())
        assert difference.item() == pytest.approx(2 * penalty, abs=1e-6)


def test_distillation_pulls_towards_the_teacher() -> None:
    teacher = logits_of([[0.25, 0.75]] * 5)
    same = logits_of([[[0.25, 0.75]]] * 5)
    loss = mixture_loss(None, same, Y, config(distill=1.0, temperature=2.0), teacher)
    assert loss.item() == pytest.approx(0, abs=1e-9)
    soft = [math.sqrt(0.25), math.sqrt(0.75)]
    soft = [v / sum(soft) for v in soft]
    other = logits_of([[[0.5, 0.5]]] * 5)
    expected = 4 * sum(t * math.log(t / 0.5) for t in soft)
    assert mixture_loss(None, other, Y, config(distill=1.0), teacher).item() == pytest.approx(expected)
