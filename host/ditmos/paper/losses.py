"""The losses of METHOD: the selector's target, the four terms of the classifiers' loss.

Logits of the classifiers are (N, K, classes), labels (N,).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ditmos.paper.config import AdversarialConfig


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


def classifier_losses(logits: Tensor, y: Tensor, routed: Tensor, weights: AdversarialConfig) -> Tensor:
    """(K,): ``L_i`` of METHOD, each term averaged over its own samples (0 where it has none).

    routed (N,): the classifier that the selector chooses.
    """
    right = logits.argmax(2) == y[:, None]
    count = right.sum(1, keepdim=True)
    union = (count == 0).expand_as(right)
    overlap = right & (count > 1)
    single = right & (count == 1)
    selection = F.one_hot(routed, logits.shape[1]).bool()
    loss = cross_entropies(logits, y)

    def over(mask: Tensor) -> Tensor:
        return (loss * mask).sum(0) / mask.sum(0).clamp(min=1)

    return (
        weights.union * over(union)
        - weights.overlap * over(overlap)
        + weights.single * over(single)
        + weights.selection * over(selection)
    )
