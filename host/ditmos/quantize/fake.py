"""The network in integers, made of the layers of `fake_layer`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import cast

import torch
from torch import Tensor, nn

from ditmos.model.layer_shape import LayerShape
from ditmos.model.quantized import QuantizedLayer
from ditmos.model.use import Rule, default_rule
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.quantize.fake_layer import FakeQuantLayer, Quantized
from ditmos.quantize.ranges import InputScales, input_scales, logit_range, relu_scale, varies

Run = Callable[[FakeQuantLayer, Sequence[Quantized]], Quantized]


def divergence(target: Tensor, logits: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the softmax of the last axis from the one with the logarithm ``target``."""
    return (target.exp() * (target - logits.log_softmax(-1))).sum(-1)


class FakeQuantNetwork(nn.Module):
    """A `RoutedNetwork` in integers, calibrated on windows x (N, channels, time) in real units."""

    def __init__(
        self, network: RoutedNetwork, x: Tensor, clip: str = "error", used: Tensor | None = None,
        given: Tensor | None = None,
    ) -> None:  # fmt: skip
        """clip: see `ranges.relu_scale`. used (channels,): False for channels that get no weight; by default those that
        are constant in x. given (N,): the classifier that each window is for, where something else chooses than a
        selector."""
        super().__init__()
        self.spec, self.clip = network.spec, clip
        self.together = given is None and default_rule(self.spec) == Rule.ALL  # nothing chooses among the classifiers
        self.inputs = self._choose_input(network, x, varies(x) if used is None else used, given)
        folded = {name: (w.detach(), b.detach()) for name, (w, b) in network.folded(standard=True).items()}
        mean, std = network.mean.double(), network.std.double()
        ratio = self.inputs.scale.double() / std * self.inputs.used
        zero = self.inputs.zero_point + mean / self.inputs.scale.double()
        window = ratio, torch.where(self.inputs.used, zero, 0.0)
        selector = (self._layer(s, *folded[s.name], window) for s in self.spec.selector_layers())
        classifiers = (self._layer(s, *folded[s.name], window) for s in self.spec.classifier_layers())
        # A ModuleList does not say what it holds.
        self.selector = cast("Sequence[FakeQuantLayer]", nn.ModuleList(selector))
        self.classifiers = cast("Sequence[FakeQuantLayer]", nn.ModuleList(classifiers))
        with torch.no_grad():
            maps = self.window(x)
            one = torch.ones(len(x), 1)
            gate = self.branch(self.selector, maps, lambda layer, operands: self._calibrate(layer, operands, one))
            shares = self.shares(self._real(self.selector, gate) if len(self.selector) else None, given)
            self.branch(self.classifiers, maps, lambda layer, operands: self._calibrate(layer, operands, shares))

    @torch.no_grad()
    def _choose_input(self, network: RoutedNetwork, x: Tensor, used: Tensor, given: Tensor | None) -> InputScales:
        """Scales and zero points of the window with which the float network's answers change least.

        The squared error of the window would not do: peaks decide it, and what tells classes apart is often small.
        """
        gate, logits = network(x)
        shares = self.shares(gate, given)

        def change(candidate: InputScales) -> float:
            new_gate, new_logits = network(candidate.real(candidate.stored(x), network.mean))
            total = (shares * divergence(logits.log_softmax(2), new_logits)).sum(1).mean()
            if gate is not None:
                total = total + self.gate_divergence(gate, new_gate)
            return total.item()

        return min(input_scales(x, used), key=change)

    def gate_divergence(self, wanted: Tensor, gate: Tensor) -> Tensor:
        """Mean divergence of selector logits (N, outputs), summed over their `answers`."""
        parts = zip(self.answers(wanted), self.answers(gate), strict=True)
        return reduce(torch.add, (divergence(target.log_softmax(1), part).mean() for target, part in parts))

    @staticmethod
    def _layer(shape: LayerShape, weight: Tensor, bias: Tensor, window: tuple[Tensor, Tensor]) -> FakeQuantLayer:
        """``window``: for a layer that reads it, ratio and zero of each channel: ``(q - zero) * ratio`` is the
        standardised value. The ratios go into the weights, so that one accumulator serves channels of unlike scale."""
        if not shape.inputs or shape.inputs[0].level > 0:
            return FakeQuantLayer(shape, weight, bias)
        ratio, zero = window
        if shape.channelwise:
            return FakeQuantLayer(shape, weight.double() * ratio.view(1, -1, 1, 1), bias, zero)
        rows = weight.shape[2] // len(ratio)  # of a fully connected layer, whose inputs are all rows of a channel
        ratio, zero = ratio.repeat_interleave(rows), zero.repeat_interleave(rows)
        weight = weight.double() * ratio.view(1, 1, -1, *([1] * (weight.ndim - 3)))
        return FakeQuantLayer(shape, weight, bias, zero)

    def shares(self, gate: Tensor | None, given: Tensor | None = None) -> Tensor:
        """How much each classifier's answer matters: (N, K) from real selector logits or the classifier that each
        window is for, summing to 1; (1, K) without either."""
        count = self.spec.classifiers
        if given is not None:
            return nn.functional.one_hot(given, count).float()
        if gate is None or gate.shape[1] < count:
            return torch.full((1 if gate is None else len(gate), count), 1 / count)
        return gate[:, :count].float().softmax(1)

    def answers(self, gate: Tensor) -> list[Tensor]:
        """Selector logits (N, outputs) as the answers they are: about the K classifiers, and about what is left."""
        routes = min(self.spec.classifiers, gate.shape[1]) if self.spec.classifiers > 1 else 0
        return [part for part in gate.split([routes, gate.shape[1] - routes], dim=1) if part.shape[1]]

    @staticmethod
    def _real(layers: Sequence[FakeQuantLayer], stored: Tensor) -> Tensor:
        return (stored - layers[-1].zero_point) * layers[-1].scale[0]

    def _calibrate(self, layer: FakeQuantLayer, operands: Sequence[Quantized], shares: Tensor) -> Quantized:
        """Choose the scale of the layer's output, then run it. ``shares`` (N or 1, K) weighs the logits."""
        weight, bias, scale_acc = layer.integers(operands)
        acc = layer.accumulate(operands, weight).double()
        real = (acc + bias.unsqueeze(-1)) * scale_acc.unsqueeze(-1) if acc.ndim == 4 else (acc + bias) * scale_acc
        if layer.shape.relu:
            scale = torch.tensor([relu_scale(real[:, k], self.clip) for k in range(real.shape[1])], dtype=torch.float64)
        else:
            scale = self._logit_scale(layer, real, shares.expand(len(real), -1))
            layer.log_scale.requires_grad_(False)
        layer.set_scale(scale)
        return layer(operands)

    def _logit_scale(self, layer: FakeQuantLayer, real: Tensor, shares: Tensor) -> Tensor:
        """(K,): one scale and zero point 0 for all branches, the finest that one of them needs.

        Ranges of specialists differ by orders of magnitude: those that need a coarser scale are divided by a
        temperature instead, which changes none of their answers; the middle of every range is shifted to 0. Where all
        classifiers answer together their logits are added: the scale is the coarsest, and nobody is divided.
        """
        selects = layer.shape.branch == "selector"
        parts = [part.shape[1] for part in self.answers(real[:, 0])] if selects else []
        low, high = torch.tensor(
            [logit_range(real[:, k], shares[:, k], parts) for k in range(real.shape[1])], dtype=torch.float64
        ).T
        needed = (high - low) / 255
        asked = shares.mean(0) >= 0.01 / len(needed)
        finest = needed.max() if self.together and not selects else needed[asked].min()
        shared = torch.tensor(finest.item(), dtype=torch.float32).double()
        layer.temperature = (needed / shared).clamp(min=1)
        layer.soften(shared / 2 - (low + high) / 2, layer.temperature)
        return shared.expand(len(needed))

    @property
    def padding(self) -> tuple[int, ...]:
        """What rows of padding of the window hold; empty where no layer pads it."""
        layers = [*self.selector, *self.classifiers] if self.spec.pads_window else []
        read = (layer for layer in layers if layer.shape.inputs and layer.shape.inputs[0].level == 0)
        return next((tuple(map(int, layer.padding)) for layer in read if any(layer.shape.pad)), ())

    def window(self, x: Tensor) -> dict[tuple[str, int], Quantized]:
        return {("selector", 0): (self.inputs.stored(x), torch.ones(1, dtype=torch.float64))}

    def branch(self, layers: Sequence[FakeQuantLayer], maps: dict[tuple[str, int], Quantized], run: Run) -> Tensor:
        """Run a branch with ``run(layer, operands)`` -> logits as stored (N, K, out); adds its maps to ``maps``."""
        result: Quantized | None = None
        for layer in layers:
            operands = [maps[ref.branch, ref.level] for ref in layer.shape.inputs]
            if not operands:
                assert result is not None  # a layer without maps comes behind another
                operands = [result]
            if layer.shape.kind == "fc" and layer.shape.inputs:
                operands = [(x.flatten(-2), scale) for x, scale in operands]
            x, scale = run(layer, operands)
            result = x, scale
            if layer.shape.kind != "fc":
                squeezed = x.squeeze(1) if layer.shape.branch == "selector" else x
                maps[layer.shape.branch, layer.shape.inputs[0].level + 1] = squeezed, scale
            elif layer.shape.branch == "selector":
                result = x.squeeze(1), scale
        return result[0] if result is not None else torch.empty(0)

    def stored(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, channels, time) -> selector logits (N, outputs) and class logits (N, K, classes), int8 values."""
        maps = self.window(x)
        selector = self.branch(self.selector, maps, FakeQuantLayer.__call__)
        return selector, self.branch(self.classifiers, maps, FakeQuantLayer.__call__)

    def forward(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """The same in real units; None without a selector."""
        selector, logits = self.stored(x)
        gate = self._real(self.selector, selector) if len(self.selector) else None
        return gate, self._real(self.classifiers, logits)

    @torch.no_grad()
    def export(self) -> tuple[list[QuantizedLayer], list[list[QuantizedLayer]]]:
        """The selector's layers, and those of each classifier."""
        exported: dict[str, list[QuantizedLayer]] = {}

        def run(layer: FakeQuantLayer, operands: Sequence[Quantized]) -> Quantized:
            exported[layer.shape.name] = layer.export(operands)
            return layer(operands)

        maps = self.window(torch.zeros(1, self.spec.channels, self.spec.window))
        self.branch(self.selector, maps, run)
        self.branch(self.classifiers, maps, run)
        selector = [exported[layer.shape.name][0] for layer in self.selector]
        classifiers = [
            [exported[layer.shape.name][k] for layer in self.classifiers] for k in range(self.spec.classifiers)
        ]
        return selector, classifiers
