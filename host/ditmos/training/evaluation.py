"""How good a routed network is: routed accuracy, the union's, each classifier's, and how often each is chosen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ditmos.training.data import Windows
from ditmos.training.networks import RoutedNetwork

BATCH = 1024


@dataclass(frozen=True)
class Evaluation:
    """Fractions of the windows.

    accuracy: the chosen classifier is right. balanced: the mean of that over the classes that occur. union: at least
    one classifier is right. classifier: each alone. usage: how often each is chosen.
    """

    accuracy: float
    balanced: float
    union: float
    classifier: tuple[float, ...]
    usage: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def used(self) -> int:
        """Classifiers chosen at least once."""
        return sum(share > 0 for share in self.usage)


@torch.no_grad()
def predict(network: RoutedNetwork, x: Tensor) -> tuple[Tensor, Tensor]:
    """Chosen classifier (N,) and the answer of every classifier (N, K), in evaluation mode, in batches.

    The selector's own answer, where it gives one (an early exit), is not looked at.
    """
    network.eval()
    choices, answers = [], []
    for part in x.split(BATCH):
        gate, logits = network(part)
        choices.append(choice(gate, logits))
        answers.append(logits.argmax(2))
    return torch.cat(choices), torch.cat(answers)


def choice(gate: Tensor | None, logits: Tensor) -> Tensor:
    """(N,): top-1 of the first K of the selector's outputs (N, S); 0 for one classifier, or without a selector
    (S = 0, or None).

    logits: (N, K, classes).
    """
    count = logits.shape[1]
    if gate is None or count == 1 or gate.ndim < 2 or not gate.shape[1]:
        return torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    return gate[:, :count].argmax(1)


def evaluate(network: RoutedNetwork, windows: Windows) -> Evaluation:
    return evaluation(*predict(network, windows.x), windows.y)


def evaluation(chosen: Tensor, answers: Tensor, y: Tensor) -> Evaluation:
    """Figures of chosen classifiers (N,), the answers of all (N, K) and labels (N,)."""
    right = answers == y[:, None]
    routed = right.gather(1, chosen[:, None]).squeeze(1).double()
    return Evaluation(
        accuracy=routed.mean().item(),
        balanced=balanced(routed, y),
        union=right.any(1).double().mean().item(),
        classifier=tuple(right.double().mean(0).tolist()),
        usage=tuple((torch.bincount(chosen, minlength=answers.shape[1]).double() / len(chosen)).tolist()),
    )


def balanced(right: Tensor, y: Tensor) -> float:
    """Mean recall over the classes that occur in ``y``."""
    return torch.stack([right[y == c].mean() for c in y.unique()]).mean().item()


@torch.no_grad()
def accuracy(network: nn.Module, windows: Windows) -> float:
    """Of a network with one answer (N, classes)."""
    network.eval()
    answers = torch.cat([network(x).argmax(1) for x in windows.x.split(BATCH)])
    return (answers == windows.y).double().mean().item()
