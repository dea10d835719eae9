"""A routed network in torch, built from a `NetworkSpec`.

The K classifiers are one grouped network (`ditmos.networks.grouped`); the selector is the same with K = 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ditmos.errors import DitmosError
from ditmos.model.spec import NetworkSpec
from ditmos.networks.grouped import METHOD, AnyLayer, Branches, Maps, Start


def choice(gate: Tensor | None, logits: Tensor) -> Tensor:
    """(N,): top-1 of the first K of the selector's outputs (N, S); 0 for one classifier, or without a selector
    (S = 0, or None).

    logits: (N, K, classes).
    """
    count = logits.shape[1]
    if gate is None or count == 1 or gate.ndim < 2 or not gate.shape[1]:
        return torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    return gate[:, :count].argmax(1)


class RoutedNetwork(nn.Module):
    """Selector (or none) and K classifiers; the input is in real units, (N, channels, time).

    The window is standardised per channel with fixed numbers, ``mean`` and ``std`` of the training set. This stands for
    the authors' batch normalisation of the input, whose affine part the first convolution absorbs anyway; `folded`
    absorbs the standardisation too, so that quantised networks read real units.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, spec: NetworkSpec, mean: Sequence[float], std: Sequence[float], *, dropout: float = 0.2,
        start: Start = METHOD,
    ) -> None:  # fmt: skip
        """Raises DitmosError where mean or std do not fit the channels of the network."""
        super().__init__()
        if len(mean) != spec.channels or len(std) != spec.channels:
            raise DitmosError(f"network: {len(mean)} means and {len(std)} deviations, expected {spec.channels} of each")
        if not all(value > 0 for value in std):
            raise DitmosError(f"network: standard deviations are {list(std)}, expected all positive")
        self.spec = spec
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))
        self.selector = Branches(spec.selector_layers(), 1, dropout, start) if spec.selector else None
        self.classifiers = Branches(spec.classifier_layers(), spec.classifiers, dropout, start)

    def layers(self) -> list[AnyLayer]:
        """Of the selector, then of the classifiers."""
        return [*(self.selector.layers if self.selector is not None else ()), *self.classifiers.layers]

    def standardize(self, x: Tensor) -> Tensor:
        return (x - self.mean[:, None]) / self.std[:, None]

    def forward_selector(self, x: Tensor) -> tuple[Tensor | None, Maps]:
        """x (N, channels, time) -> selector logits (N, selector_outputs), its maps by level (0: standardised window).

        Without a selector the logits are None and the window is the only map.
        """
        window = self.standardize(x)
        if self.selector is None:
            return None, (window,)
        logits, maps = self.selector((window,), "selector")
        return logits.squeeze(1), maps

    def forward_classifiers(self, maps: Maps) -> Tensor:
        """The selector's maps (from `forward_selector`) -> class logits of all classifiers, (N, K, classes).

        A map may also have K windows a sample, (N, K, channels, rows): then classifier k sees the k-th only, and its
        batch statistics come from those (training each on a cluster of its own).
        """
        return self.classifiers(maps, "classifier")[0]

    def forward_own(self, x: Tensor) -> Tensor:
        """x (N, K, channels, time), one batch per classifier -> class logits (N, K, classes)."""
        _, maps = self.forward_selector(x.flatten(0, 1))
        return self.forward_classifiers(tuple(m.unflatten(0, x.shape[:2]) for m in maps))

    def forward(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """x (N, channels, time) -> selector logits or None, class logits (N, K, classes)."""
        logits, maps = self.forward_selector(x)
        return logits, self.forward_classifiers(maps)

    def folded(self, *, standard: bool = False) -> dict[str, tuple[Tensor, Tensor]]:
        """Layer name -> weight (K, out, in[, kernel]) and bias (K, out), batch norm and standardisation absorbed;
        ``standard``: the latter not, for layers that read the standardised window.

        The selector's have K = 1. Rows of padding of a window in real units hold the mean. Differentiable: call under
        ``torch.no_grad()`` to export.
        """
        result: dict[str, tuple[Tensor, Tensor]] = {}
        for layer in self.layers():
            weight, bias = layer.folded()
            if not standard and layer.shape.inputs and layer.shape.inputs[0].level == 0:
                if layer.shape.channelwise:
                    weight = weight / self.std.view(1, -1, 1, 1)
                    bias = bias - layer.shape.repeats * weight.sum((2, 3)) * self.mean
                else:
                    each = weight.unflatten(2, (len(self.std), -1))  # of a fully connected layer all rows of a channel
                    each = each / self.std.view(1, 1, -1, *[1] * (each.ndim - 3))
                    bias = bias - (each.flatten(3).sum(3) * self.mean).sum(2)
                    weight = each.reshape(weight.shape)
            result[layer.shape.name] = weight, bias
        return result
