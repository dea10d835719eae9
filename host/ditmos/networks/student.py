"""A routed network laid out for fast training on a CPU, and its way back to a `RoutedNetwork`.

Three things differ from `routed_network.py`, none of which the exported network shows:

- maps are channels-last 2-D maps of height 1, which halves the time of a step;
- pooling comes before batch normalisation. Its factor is kept positive, so the order makes no difference to the values;
- the weights of classifier k are ``base + delta[k]``: what all classifiers agree on is learned from every window.

Classifiers can be *dispatched*: each sees only the windows that an index (K, capacity) names, so a step costs about the
same for any K (expert-choice routing: Zhou et al., "Mixture-of-Experts with Expert Choice Routing", NeurIPS 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditmos.model.spec import Kind, LayerShape, NetworkSpec
from ditmos.networks import routed_network
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.networks.timewise import Operand, sums

Dispatch = Callable[[Tensor], Tensor]


def _uniform(shape: tuple[int, ...], bound: float, rng: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=rng)


class _Layer(nn.Module):
    """Weights (K, out, in[, kernel]) of K branches; with ``delta``, around a common base (1, out, in[, kernel])."""

    def __init__(self, shape: LayerShape, branches: int, bound: float, delta: float | None, rng: torch.Generator):
        super().__init__()
        self.shape, self.branches = shape, branches
        weight = _uniform((branches, *shape.weight_shape), bound, rng)
        self.base: nn.Parameter | None = None
        if branches > 1 and delta is not None:
            self.base = nn.Parameter(_uniform((1, *shape.weight_shape), bound, rng))
            weight = weight * delta
        self.weight = nn.Parameter(weight)

    def weights(self) -> Tensor:
        return self.weight if self.base is None else self.weight + self.base


class ConvLayer(_Layer):
    mean: Tensor
    var: Tensor

    def __init__(self, shape: LayerShape, branches: int, delta: float | None, rng: torch.Generator) -> None:
        super().__init__(shape, branches, (3 / prod(shape.weight_shape[1:])) ** 0.5, delta, rng)
        width = branches * shape.channels_out
        self.gain, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("var", torch.ones(width))

    def forward(self, operands: Sequence[Operand]) -> Tensor:
        """Maps (N, in, 1, T) or (N, K * in, 1, T) -> (N, K * out, 1, T')."""
        x = sums(self.shape, operands, self.weights())
        if self.shape.pool > 1:
            x = F.max_pool2d(x, (1, self.shape.pool))
        return F.relu(F.batch_norm(x, self.mean, self.var, self.gain.abs(), self.shift, self.training))


class AverageLayer(nn.Module):
    """The mean of rows: nothing to learn."""

    def __init__(self, shape: LayerShape, branches: int, delta: float | None, rng: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        self.rows: Tensor
        self.register_buffer("rows", torch.ones(branches, *shape.weight_shape), persistent=False)

    def forward(self, operands: Sequence[Operand]) -> Tensor:
        """Maps (N, in, 1, T) or (N, K * in, 1, T) -> (N, K * out, 1, T')."""
        return sums(self.shape, operands, self.rows) / self.shape.kernel


class DenseLayer(_Layer):
    def __init__(self, shape: LayerShape, branches: int, delta: float | None, rng: torch.Generator) -> None:
        bound = shape.channels_in**-0.5 * (3**0.5 if shape.relu else 1)
        super().__init__(shape, branches, bound, delta, rng)
        self.bias = nn.Parameter(torch.zeros(branches, 1, shape.channels_out))

    def forward(self, operands: Sequence[Operand], dropout: float = 0.0) -> Tensor:
        """Operands (N, in) or (K, N, in) -> (K, N, out). ``dropout`` is applied to the inputs."""
        total: Tensor = self.bias
        weights = self.weights().transpose(1, 2).split(self.shape.input_channels, dim=1)
        for (x, _), weight in zip(operands, weights, strict=True):
            total = total + torch.matmul(F.dropout(x, dropout, self.training), weight)
        return F.relu(total) if self.shape.relu else total


Layers = Sequence[ConvLayer | AverageLayer | DenseLayer]
_LAYERS: dict[Kind, type[ConvLayer | AverageLayer | DenseLayer]] = {"average": AverageLayer, "fc": DenseLayer}


class StudentNetwork(nn.Module):
    """Input: standardised windows (N, channels, time). All random numbers of the start come from ``seed``."""

    def __init__(self, spec: NetworkSpec, *, delta: float | None = None, dropout: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        self.spec, self.dropout = spec, dropout
        rng = torch.Generator().manual_seed(seed)

        def layers(shapes: Sequence[LayerShape], branches: int) -> Layers:
            made = nn.ModuleList(_LAYERS.get(shape.kind, ConvLayer)(shape, branches, delta, rng) for shape in shapes)
            return cast(Layers, made)  # a ModuleList does not say what it holds

        self.selector = layers(spec.selector_layers(), 1)
        self.classifiers = layers(spec.classifier_layers(), spec.classifiers)

    def forward(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """x (N, channels, time) -> selector outputs (N, S) or None, class logits (K, N, classes)."""
        gate, maps = self._select(x)
        return gate, self._run(self.classifiers, maps, "classifier", self.spec.classifiers, shared=True)[0]

    def dispatched(self, x: Tensor, dispatch: Dispatch) -> tuple[Tensor, Tensor, Tensor]:
        """Each classifier on windows of its own.

        dispatch: selector outputs (N, S) -> rows of x (K, capacity). Returns the selector outputs (N, S), class
        logits (K, capacity, classes), and the rows (K, capacity).
        """
        gate, maps = self._select(x)
        assert gate is not None  # what is dispatched has a selector
        rows = dispatch(gate)
        count, capacity = rows.shape
        read = {r.level for layer in self.classifiers for r in layer.shape.inputs if r.branch == "selector"}
        order = rows.t().reshape(-1)

        def gather(m: Tensor) -> Tensor:  # (N, C, 1, T) -> (capacity, K * C, 1, T)
            last = m.squeeze(2).transpose(1, 2)[order].view(capacity, count, m.shape[3], m.shape[1])
            return last.transpose(1, 2).reshape(capacity, 1, m.shape[3], -1).permute(0, 3, 1, 2)

        own = {level: gather(maps[level]) for level in read}
        return gate, self._run(self.classifiers, own, "classifier", count, shared=False)[0], rows

    def _select(self, x: Tensor) -> tuple[Tensor | None, dict[int, Tensor]]:
        window = {0: x.unsqueeze(2).contiguous(memory_format=torch.channels_last)}
        if not self.selector:
            return None, window
        logits, maps = self._run(self.selector, window, "selector", 1, shared=True)
        return logits[0], maps | window

    def _run(
        self, layers: Layers, maps: dict[int, Tensor], branch: str, count: int, *, shared: bool
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Logits (count, N, out) and this branch's own maps by level; ``shared``: ``maps`` serve all branches."""
        own: dict[int, Tensor] = {}
        logits: Tensor | None = None
        for layer in layers:
            if logits is not None:
                assert isinstance(layer, DenseLayer)
                logits = layer([(logits, False)], self.dropout)
                continue
            operands = [
                (own[r.level], False) if r.branch == branch and r.level in own else (maps[r.level], shared)
                for r in layer.shape.inputs
            ]
            if not isinstance(layer, DenseLayer):
                own[max(r.level for r in layer.shape.inputs) + 1] = layer(operands)
            else:
                flat = [
                    (m.flatten(1) if all_ else m.reshape(len(m), count, -1).transpose(0, 1), all_)
                    for m, all_ in operands
                ]
                logits = layer(flat, self.dropout)
        assert logits is not None  # every branch ends in a fully connected layer
        return logits, own

    @torch.no_grad()
    def grow(self, spec: NetworkSpec, *, delta: float, seed: int) -> StudentNetwork:
        """K classifiers from one: this network (K = 1, its selector answers with class logits) becomes what all of them
        have in common, each with small weights of its own; the routing outputs of the selector are new.
        """
        grown = StudentNetwork(spec, delta=delta, dropout=self.dropout, seed=seed)
        for target, source in zip(grown.selector, self.selector, strict=True):
            if isinstance(target, AverageLayer) or isinstance(source, AverageLayer):
                continue
            same = target.weight.shape == source.weight.shape
            for name, value in source.state_dict().items():
                into = getattr(target, name)
                if same:
                    into.copy_(value)
                elif target.shape.channels_out > spec.classifiers:  # the head: routes, then classes
                    into.narrow(-1 if name == "bias" else 1, spec.classifiers, spec.classes).copy_(value)
        for target, source in zip(grown.classifiers, self.classifiers, strict=True):
            if isinstance(target, AverageLayer) or isinstance(source, AverageLayer):
                continue
            assert target.base is not None  # K classifiers with a delta
            target.base.copy_(source.weight)
            for name in {"gain", "shift", "mean", "var", "bias"} & dict(source.state_dict()).keys():
                value = getattr(source, name)
                getattr(target, name).copy_(value if name == "bias" else value.repeat(spec.classifiers))
        return grown

    @torch.no_grad()
    def export(self, mean: Sequence[float], std: Sequence[float]) -> RoutedNetwork:
        """The same network for windows in real units, in evaluation mode."""
        network = RoutedNetwork(self.spec, mean, std, dropout=self.dropout)
        for branches, layers in ((network.selector, self.selector), (network.classifiers, self.classifiers)):
            for target, layer in zip(branches.layers if branches is not None else (), layers, strict=True):
                if isinstance(layer, AverageLayer):
                    continue
                target.weight.copy_(layer.weights())
                if isinstance(target, routed_network.DenseLayer) and isinstance(layer, DenseLayer):
                    target.bias.copy_(layer.bias.squeeze(1))
                    continue
                assert isinstance(target, routed_network.ConvLayer) and isinstance(layer, ConvLayer)
                norm = target.norm
                assert norm.running_mean is not None and norm.running_var is not None  # it tracks them
                norm.weight.copy_(layer.gain.abs())
                norm.bias.copy_(layer.shift)
                norm.running_mean.copy_(layer.mean)
                norm.running_var.copy_(layer.var)
        return network.eval().requires_grad_(False)
