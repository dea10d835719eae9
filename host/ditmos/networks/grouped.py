"""Layers of K branches as one grouped network: grouped convolution, normalisation over all K * channels, batched
matrix products.

A map is a tensor (N, channels, rows) where all branches share it, or (N, K, channels, rows) where each has its own;
what a fully connected layer reads is (N, in) or (K, N, in). A layer takes both, side by side: the concatenation of
METHOD is a sum of two convolutions, one per operand (`timewise.sums`), so that a shared map is never copied K times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditmos.model.layer_shape import Branch, Kind, LayerShape
from ditmos.networks.timewise import operand, sums

Maps = tuple[Tensor, ...]


@dataclass(frozen=True)
class Start:
    """How layers begin, and learn.

    rng: what draws the first weights; None: torch's own generator. student: as `ditmos.training.fit` wants them, else
    as METHOD's authors have them. A student's weights have the variance that suits a ReLU, its biases are 0, and it
    pools before it normalises, which is less work; its normalisation never turns a sign, so that values are those of
    the other order. delta: each of K branches has weights of its own, so much smaller at the start, around those that
    all have in common: what they agree on is learned from every window. None: no common ones.
    """

    rng: torch.Generator | None = None
    student: bool = False
    delta: float | None = None


METHOD = Start()


class Layer(nn.Module):
    """``weight``: (K, out, in[, kernel]); ``base``: what all branches add to it, or None."""

    def __init__(self, shape: LayerShape, branches: int, start: Start) -> None:
        super().__init__()
        self.shape, self.student = shape, start.student
        self.weight = self._drawn((branches, *shape.weight_shape), start)
        self.base: nn.Parameter | None = None
        if branches > 1 and start.delta is not None:
            self.base = self._drawn((1, *shape.weight_shape), start)
            self.weight.data *= start.delta

    def _drawn(self, size: tuple[int, ...], start: Start) -> nn.Parameter:
        shape = self.shape
        bound = prod(shape.weight_shape[1:]) ** -0.5
        if start.student and shape.relu:
            bound *= 3**0.5
        return nn.Parameter(torch.empty(size).uniform_(-bound, bound, generator=start.rng))

    def weights(self) -> Tensor:
        """(K, out, in[, kernel])"""
        return self.weight if self.base is None else self.weight + self.base


class ConvLayer(Layer):
    """Convolution, batch normalisation, ReLU and max-pooling of K branches."""

    def __init__(self, shape: LayerShape, branches: int, start: Start = METHOD) -> None:
        super().__init__(shape, branches, start)
        self.norm = nn.BatchNorm2d(branches * shape.channels_out)

    def forward(self, operands: Sequence[Tensor]) -> Tensor:
        """Operands in the order of ``shape.inputs`` -> (N, K, out, rows)."""
        x = sums(self.shape, [operand(x) for x in operands], self.weights())
        # the pool before the ReLU: the same values, half the work
        x = self._normalised(self._pooled(x)) if self.student else self._pooled(self.norm(x))
        return F.relu(x, inplace=True).squeeze(2).unflatten(1, (self.weight.shape[0], -1))

    def _pooled(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, (1, self.shape.pool)) if self.shape.pool > 1 else x

    def _normalised(self, x: Tensor) -> Tensor:
        norm = self.norm
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight.abs(), norm.bias, self.training)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (K, out, in, kernel) and bias (K, out) with the running batch normalisation absorbed."""
        norm, branches = self.norm, self.weight.shape[0]
        assert norm.running_var is not None and norm.running_mean is not None  # it tracks them
        factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        bias = norm.bias - norm.running_mean * factor
        return self.weight * factor.view(branches, -1, 1, 1), bias.view(branches, -1)


class AverageLayer(nn.Module):
    """The mean of rows, of K branches: nothing to learn."""

    def __init__(self, shape: LayerShape, branches: int, start: Start = METHOD) -> None:
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


class DenseLayer(Layer):
    """Fully connected layer of K branches. ``bias``: (K, out)."""

    def __init__(self, shape: LayerShape, branches: int, start: Start = METHOD) -> None:
        super().__init__(shape, branches, start)
        size = branches, shape.channels_out
        self.bias = nn.Parameter(torch.zeros(size)) if start.student else self._drawn(size, start)

    def forward(self, operands: Sequence[Tensor], dropout: float = 0.0) -> Tensor:
        """Operands (N, in) or (K, N, in) -> (K, N, out). ``dropout`` is applied to the inputs."""
        total = self.bias.unsqueeze(1)
        weights = self.weights().transpose(1, 2).split(self.shape.input_channels, dim=1)
        for x, weight in zip(operands, weights, strict=True):
            total = total + torch.matmul(F.dropout(x, dropout, self.training), weight)
        return F.relu(total) if self.shape.relu else total

    def folded(self) -> tuple[Tensor, Tensor]:
        return self.weight, self.bias


AnyLayer = ConvLayer | AverageLayer | DenseLayer
_LAYERS: dict[Kind, type[AnyLayer]] = {"average": AverageLayer, "fc": DenseLayer}


class Branches(nn.Module):
    """``count`` branches of one shape as one network. ``layers`` runs parallel to the spec's list of layer shapes."""

    def __init__(self, shapes: Sequence[LayerShape], count: int, dropout: float, start: Start = METHOD) -> None:
        super().__init__()
        self.count = count
        self.dropout = dropout
        layers = nn.ModuleList(_LAYERS.get(s.kind, ConvLayer)(s, count, start) for s in shapes)
        self.layers = cast("Sequence[AnyLayer]", layers)  # a ModuleList does not say what it holds

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
                logits = layer([self._flat(x) for x in operands], self.dropout)
            else:
                x = layer(operands)
                own.append(x.squeeze(1) if self.count == 1 else x)
        assert logits is not None  # every branch ends in a fully connected layer
        return logits.transpose(0, 1), tuple(own)

    def _flat(self, x: Tensor) -> Tensor:
        """A map as a fully connected layer reads it."""
        flat = x.flatten(-2)
        if flat.ndim == 3:
            return flat.transpose(0, 1)
        return flat[None] if self.count == 1 else flat
