"""How good a routed network is: routed accuracy, the union's, each classifier's, and how often each is chosen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ditmos.networks import RoutedNetwork
from ditmos.training.data import Windows

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

    Without a selector of K outputs the choice is classifier 0.
    """
    network.eval()
    choices, answers = [], []
    for part in x.split(BATCH):
        gate, logits = network(part)
        routed = gate is not None and gate.shape[1] == logits.shape[1]
        choices.append(gate.argmax(1) if routed else logits.new_zeros(len(part), dtype=torch.long))
        answers.append(logits.argmax(2))
    return torch.cat(choices), torch.cat(answers)


def evaluate(network: RoutedNetwork, windows: Windows) -> Evaluation:
    choice, answers = predict(network, windows.x)
    right = answers == windows.y[:, None]
    routed = right.gather(1, choice[:, None]).squeeze(1).double()
    return Evaluation(
        accuracy=routed.mean().item(),
        balanced=balanced(routed, windows.y),
        union=right.any(1).double().mean().item(),
        classifier=tuple(right.double().mean(0).tolist()),
        usage=tuple((torch.bincount(choice, minlength=answers.shape[1]).double() / len(choice)).tolist()),
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
