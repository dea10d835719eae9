"""Torch modules of a routed network, built from a `NetworkSpec`.

The K classifiers are one grouped network (`Branches`): grouped convolution, batch normalisation over all K * channels,
batched matrix products. The selector is the same module with K = 1.

A map is a tensor (N, channels, rows) where all branches share it, or (N, K, channels, rows) where each has its own. A
layer takes both, side by side: the concatenation of METHOD is a sum of two convolutions, one per operand
(`timewise.sums`), so that a shared map is never copied K times.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditmos.errors import DitmosError
from ditmos.model.spec import Branch, Kind, LayerShape, NetworkSpec
from ditmos.networks.timewise import operand, sums

Maps = tuple[Tensor, ...]


def _uniform(shape: tuple[int, ...], fan_in: int) -> nn.Parameter:
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


class ConvLayer(nn.Module):
    """Convolution, batch normalisation, ReLU and max-pooling of K branches. ``weight``: (K, out, in, kernel)."""

    def __init__(self, shape: LayerShape, branches: int) -> None:
        super().__init__()
        self.shape = shape
        self.weight = _uniform((branches, *shape.weight_shape), prod(shape.weight_shape[1:]))
        self.norm = nn.BatchNorm2d(branches * shape.channels_out)

    def forward(self, operands: Sequence[Tensor]) -> Tensor:
        """Operands in the order of ``shape.inputs`` -> (N, K, out, rows)."""
        x = self.norm(sums(self.shape, [operand(x) for x in operands], self.weight))
        if self.shape.pool > 1:  # before the ReLU: the same values, half the work
            x = F.max_pool2d(x, (1, self.shape.pool))
        return F.relu(x, inplace=True).squeeze(2).unflatten(1, (self.weight.shape[0], -1))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (K, out, in, kernel) and bias (K, out) with the running batch normalisation absorbed."""
        norm, branches = self.norm, self.weight.shape[0]
        assert norm.running_var is not None and norm.running_mean is not None  # it tracks them
        factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        bias = norm.bias - norm.running_mean * factor
        return self.weight * factor.view(branches, -1, 1, 1), bias.view(branches, -1)


class AverageLayer(nn.Module):
    """The mean of rows, of K branches: nothing to learn."""

    def __init__(self, shape: LayerShape, branches: int) -> None:
        super().__init__()
        self.shape = shape
        self.rows: Tensor
        self.register_buffer("rows", torch.ones(branches, *shape.weight_shape), persistent=False)

    def forward(self, operands: Sequence[Tensor]) -> Tensor:
        """Operands in the order of ``shape.inputs`` -> (N, K, channels, rows)."""
        x = sums(self.shape, [operand(x) for x in operands], self.weight)
        return x.squeeze(2).unflatten(1, (self.weight.shape[0], -1))

    @property
    def weight(self) -> Tensor:
        """(K, channels, 1, 1)"""
        return self.rows / self.shape.kernel

    def folded(self) -> tuple[Tensor, Tensor]:
        return self.weight, torch.zeros_like(self.rows[..., 0, 0])


class DenseLayer(nn.Module):
    """Fully connected layer of K branches. ``weight``: (K, out, in), ``bias``: (K, out)."""

    def __init__(self, shape: LayerShape, branches: int) -> None:
        super().__init__()
        self.shape = shape
        self.weight = _uniform((branches, *shape.weight_shape), shape.channels_in)
        self.bias = _uniform((branches, shape.channels_out), shape.channels_in)

    def forward(self, operands: Sequence[Tensor], dropout: float = 0.0) -> Tensor:
        """Operands (N, in) or (N, K, in) -> (N, K, out). ``dropout`` is applied to the inputs."""
        branches, total = self.weight.shape[0], self.bias
        for x, weight in zip(operands, self.weight.split(self.shape.input_channels, dim=2), strict=True):
            x = F.dropout(x, dropout, self.training)
            if x.ndim == 2:
                product = (x @ weight.flatten(0, 1).t()).unflatten(1, (branches, -1))
            else:
                product = torch.einsum("nki,koi->nko", x, weight)
            total = total + product
        return F.relu(total) if self.shape.relu else total

    def folded(self) -> tuple[Tensor, Tensor]:
        return self.weight, self.bias


_LAYERS: dict[Kind, type[ConvLayer | AverageLayer | DenseLayer]] = {"average": AverageLayer, "fc": DenseLayer}


class Branches(nn.Module):
    """``count`` branches of one shape as one network. ``layers`` runs parallel to the spec's list of layer shapes."""

    def __init__(self, shapes: Sequence[LayerShape], count: int, dropout: float) -> None:
        super().__init__()
        self.count = count
        self.dropout = dropout
        layers = nn.ModuleList(_LAYERS.get(s.kind, ConvLayer)(s, count) for s in shapes)
        self.layers = cast(
            "Sequence[ConvLayer | AverageLayer | DenseLayer]", layers
        )  # a ModuleList does not say what it holds

    def forward(self, maps: Maps, branch: Branch) -> tuple[Tensor, Maps]:
        """Run from shared ``maps`` (index: level; 0 is the window) -> logits (N, K, out), own maps by level.

        The own maps start with the level that the branch starts from. With K = 1 they are (N, channels, rows).
        """
        start = self.layers[0].shape.inputs[0].level
        own = [maps[start]]
        logits: Tensor | None = None
        for layer in self.layers:
            if logits is not None:
                assert isinstance(layer, DenseLayer)
                logits = layer([logits], self.dropout)
                continue
            operands = [
                own[ref.level - start] if ref.branch == branch or ref.level == start else maps[ref.level]
                for ref in layer.shape.inputs
            ]
            if isinstance(layer, DenseLayer):
                logits = layer([x.flatten(-2) for x in operands], self.dropout)
            else:
                x = layer(operands)
                own.append(x.squeeze(1) if self.count == 1 else x)
        assert logits is not None  # every branch ends in a fully connected layer
        return logits, tuple(own)


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

    def __init__(self, spec: NetworkSpec, mean: Sequence[float], std: Sequence[float], *, dropout: float = 0.2) -> None:
        """Raises DitmosError where mean or std do not fit the channels of the network."""
        super().__init__()
        if len(mean) != spec.channels or len(std) != spec.channels:
            raise DitmosError(f"network: {len(mean)} means and {len(std)} deviations, expected {spec.channels} of each")
        if not all(value > 0 for value in std):
            raise DitmosError(f"network: standard deviations are {list(std)}, expected all positive")
        self.spec = spec
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))
        self.selector = Branches(spec.selector_layers(), 1, dropout) if spec.selector else None
        self.classifiers = Branches(spec.classifier_layers(), spec.classifiers, dropout)

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
        for branches in (self.selector, self.classifiers):
            for layer in branches.layers if branches is not None else ():
                weight, bias = layer.folded()
                if not standard and layer.shape.inputs and layer.shape.inputs[0].level == 0:
                    if layer.shape.channelwise:
                        weight = weight / self.std.view(1, -1, 1, 1)
                        bias = bias - layer.shape.repeats * weight.sum((2, 3)) * self.mean
                    else:
                        weight = weight / self.std.view(1, 1, -1, 1)
                        bias = bias - (weight.sum(3) * self.mean).sum(2)
                result[layer.shape.name] = weight, bias
        return result
