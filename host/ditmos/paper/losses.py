"""The losses of METHOD: the selector's target, the four terms of the classifiers' loss, the mixture.

Logits of the classifiers are (N, K, classes), labels (N,).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ditmos.training.config import AdversarialConfig, MixtureConfig


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


def mixture_log_probabilities(gate: Tensor | None, logits: Tensor) -> Tensor:
    """(N, classes): log of ``sum_k softmax(gate)_k softmax(logits_k)``; without a gate, of the mean."""
    log_p = logits.log_softmax(2)
    if gate is None:
        return log_p.logsumexp(1) - torch.log(torch.tensor(float(logits.shape[1])))
    return (gate.log_softmax(1).unsqueeze(2) + log_p).logsumexp(1)


def mixture_loss(
    gate: Tensor | None, logits: Tensor, y: Tensor, config: MixtureConfig, teacher: Tensor | None = None
) -> Tensor:
    """Negative log-likelihood of the mixture, with label smoothing, distillation and balance as configured.

    teacher: logits (N, classes) of the strong network, needed where ``config.distill`` is not 0. The balance penalty
    is the divergence of the batch's mean gate from uniform: 0 where all classifiers are chosen alike, log K where only
    one is.
    """
    log_p = mixture_log_probabilities(gate, logits)
    smoothing = config.schedule.smoothing
    loss = (1 - smoothing) * F.nll_loss(log_p, y) - smoothing * log_p.mean()
    if config.distill:
        assert teacher is not None  # the recipe trains the strong network first
        soft = (log_p / config.temperature).log_softmax(1)
        follow = F.kl_div(soft, (teacher / config.temperature).softmax(1), reduction="batchmean")
        loss = (1 - config.distill) * loss + config.distill * config.temperature**2 * follow
    if config.balance and gate is not None:
        mean = gate.softmax(1).mean(0)
        loss = loss + config.balance * (mean * (mean * gate.shape[1]).clamp(min=1e-9).log()).sum()
    return loss
