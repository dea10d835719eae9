"""The four terms of the published method's classifier loss (METHOD), for all classifiers at once."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Weights(Protocol):
    """union: of samples that nobody has right; overlap: of those that others have right, too, to be forgotten;
    single: of those that nobody else has right; selection: of those that the selector gives to this classifier."""

    @property
    def union(self) -> float: ...
    @property
    def overlap(self) -> float: ...
    @property
    def single(self) -> float: ...
    @property
    def selection(self) -> float: ...


def adversarial_terms(loss: Tensor, right: Tensor, count: Tensor, chosen: Tensor, weights: Weights) -> Tensor:
    """(K,): ``L_i`` of METHOD, each term averaged over its own samples (0 where it has none).

    All (N, K): each classifier's cross-entropy, whether it is right, how many are right on that sample, and whether
    the selector gives the sample to it.
    """

    def over(mask: Tensor) -> Tensor:
        return (loss * mask).sum(0) / mask.sum(0).clamp(min=1)

    return (
        weights.union * over(count == 0)
        - weights.overlap * over(right & (count > 1))
        + weights.single * over(right & (count == 1))
        + weights.selection * over(chosen)
    )
