"""METHOD's losses on small cases worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from ditmos.paper.config import AdversarialConfig
from ditmos.paper.losses import classifier_losses, scores, selector_target
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
