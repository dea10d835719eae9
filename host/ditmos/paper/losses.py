"""The losses of METHOD: the selector's target, the four terms of the classifiers' loss.

Logits of the classifiers are (N, K, classes), labels (N,).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ditmos.training.terms import Weights, adversarial_terms


def scores(logits: Tensor, y: Tensor) -> Tensor:
    """(N, K): top softmax probability of a classifier that is right, minus it for one that is wrong."""
    confidence, answer = logits.softmax(2).max(2)
    return torch.where(answer == y[:, None], confidence, -confidence)


def selector_target(logits: Tensor, y: Tensor) -> Tensor:
    """(N,): the classifier with the highest score."""
    return scores(logits, y).argmax(1)


def cross_entropies(logits: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """(N, K)."""
    target = y.repeat_interleave(logits.shape[1])
    return F.cross_entropy(logits.flatten(0, 1), target, reduction="none", label_smoothing=smoothing).view(
        logits.shape[:2]
    )


def classifier_losses(logits: Tensor, y: Tensor, routed: Tensor, weights: Weights) -> Tensor:
    """(K,): ``L_i`` of METHOD (`ditmos.training.terms`).

    routed (N,): the classifier that the selector chooses.
    """
    right = logits.argmax(2) == y[:, None]
    count = right.sum(1, keepdim=True).expand_as(right)
    chosen = F.one_hot(routed, logits.shape[1]).bool()
    return adversarial_terms(cross_entropies(logits, y), right, count, chosen, weights)
