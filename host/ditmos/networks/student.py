"""A routed network in training (`ditmos.training.fit`): windows that are standardised already, layers of a student
(`ditmos.networks.grouped.Start`), and its way to a network for windows in real units.

Classifiers can be *dispatched*: each sees only the windows that an index (K, capacity) names, so a step costs about the
same for any K (expert-choice routing: Zhou et al., "Mixture-of-Experts with Expert Choice Routing", NeurIPS 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ditmos.model.spec import NetworkSpec
from ditmos.networks.grouped import AverageLayer, ConvLayer, Layer, Start
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.networks.timewise import as_image

Dispatch = Callable[[Tensor], Tensor]


class StudentNetwork(RoutedNetwork):
    """Input: standardised windows (N, channels, time). All random numbers of the start come from ``seed``."""

    def __init__(self, spec: NetworkSpec, *, delta: float | None = None, dropout: float = 0.0, seed: int = 0) -> None:
        start = Start(torch.Generator().manual_seed(seed), student=True, delta=delta)
        super().__init__(spec, [0.0] * spec.channels, [1.0] * spec.channels, dropout=dropout, start=start)

    def standardize(self, x: Tensor) -> Tensor:
        return x

    def dispatched(self, x: Tensor, dispatch: Dispatch) -> tuple[Tensor, Tensor, Tensor]:
        """Each classifier on windows of its own.

        dispatch: selector outputs (N, S) -> rows of x (K, capacity). Returns the selector outputs (N, S), class
        logits (capacity, K, classes), and the rows (K, capacity).
        """
        gate, maps = self.forward_selector(x)
        assert gate is not None  # what is dispatched has a selector
        rows = dispatch(gate)
        read = {r.level for layer in self.classifiers.layers for r in layer.shape.inputs if r.branch == "selector"}
        order = rows.t().reshape(-1)

        def gather(m: Tensor) -> Tensor:
            """(N, channels, rows) -> (capacity, K, channels, rows), in memory as `as_image` has it."""
            last = as_image(m).squeeze(2).transpose(1, 2)[order].unflatten(0, (-1, len(rows)))
            return last.transpose(1, 2).flatten(2).transpose(1, 2).unflatten(1, (len(rows), -1))

        own = tuple(gather(m) if level in read else m for level, m in enumerate(maps))
        return gate, self.forward_classifiers(own), rows

    @torch.no_grad()
    def grow(self, spec: NetworkSpec, *, delta: float, seed: int) -> StudentNetwork:
        """K classifiers from one: this network (K = 1, its selector answers with class logits) becomes what all of them
        have in common, each with small weights of its own; the routing outputs of the selector are new.
        """
        grown = StudentNetwork(spec, delta=delta, dropout=self.classifiers.dropout, seed=seed)
        for target, source in zip(grown.layers(), self.layers(), strict=True):
            if isinstance(target, AverageLayer):
                continue
            for name, value in source.state_dict().items():
                into = target.state_dict()["base" if name == "weight" and target.base is not None else name]
                if into.shape == value.shape:
                    into.copy_(value)
                elif target.shape.branch == "selector":  # the head: routes, then classes if it has any
                    into[:, spec.classifiers :].copy_(value[:, : into.shape[1] - spec.classifiers])
                else:
                    into.copy_(value.repeat(len(into) // len(value), *[1] * (value.ndim - 1)))
        return grown

    @torch.no_grad()
    def export(self, mean: Sequence[float], std: Sequence[float]) -> RoutedNetwork:
        """The same network for windows in real units, in evaluation mode."""
        network = RoutedNetwork(self.spec, mean, std, dropout=self.classifiers.dropout)
        for target, source in zip(network.layers(), self.layers(), strict=True):
            if isinstance(source, Layer):
                target.load_state_dict(
                    source.state_dict() | {"weight": source.weights()}, strict=False
                )  # base is in it
            if isinstance(target, ConvLayer):
                target.norm.weight.abs_()
        return network.eval().requires_grad_(False)
