"""The network with the arithmetic of docs/arithmetic.md in torch: exact integers forwards, straight-through backwards.

Maps are float tensors that hold the stored int8 values. Rounding has the gradient of the identity, clamping that of a
clamp, scales are learnt as in "Learned step size quantization" (Esser et al., 2020), which follows from the chain rule
here: a scale divides in the layer that writes a map and multiplies in the layer that reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import cast

import torch
from torch import Tensor, nn

from ditmos.model.quantized import QuantizedLayer
from ditmos.model.spec import LayerShape
from ditmos.model.use import Rule, default_rule
from ditmos.networks import timewise
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.quantize.ranges import InputScales, input_scales, logit_range, relu_scale, varies

LANE_BOUND = 1 << 20  # docs/format.md, WGHT: channels below it run on the three-lane kernels
LANE_STRETCH = 2.0  # at most this much coarser weights to get there
BIAS_LIMIT = 2.0**29  # keeps accumulators of dead channels within int32

# A map as its reader sees it: stored values and scale (1,) or (K,).
Quantized = tuple[Tensor, Tensor]


def round_through(x: Tensor) -> Tensor:
    return through(x.round(), x)


def through(value: Tensor, x: Tensor) -> Tensor:
    """Exactly ``value``, with the gradient of x."""
    return value.detach() + (x - x.detach())


def divergence(target: Tensor, logits: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the softmax of the last axis from the one with the logarithm ``target``."""
    return (target.exp() * (target - logits.log_softmax(-1))).sum(-1)


class FakeQuantLayer(nn.Module):
    """One layer of K branches: float weights and bias (normalised per channel), scale of the output per branch.

    weight_unit (K, out) and bias_unit (K, 1) make one step of an optimiser mean the same in every channel.
    """

    def __init__(self, shape: LayerShape, weight: Tensor, bias: Tensor, zero_in: Tensor | None = None) -> None:
        """``zero_in``: what real 0 is in each input channel (in,), by default -128; need not be whole."""
        super().__init__()
        self.shape = shape
        if zero_in is None:
            zero_in = torch.full((shape.channels_in,), -128.0, dtype=torch.float64)
        taps = weight[0, 0, 0].numel()
        self.zero_in: Tensor  # (1 or out, in * taps), as weights are flattened
        self.padding: Tensor  # (in,), what a row of padding holds
        self.weight_unit: Tensor
        self.bias_unit: Tensor
        flat = zero_in.double().repeat_interleave(taps)
        self.register_buffer("zero_in", flat.view(len(zero_in) if shape.channelwise else 1, -1))
        self.register_buffer("padding", zero_in.round().clamp(-128, 127))
        self.zero_point = -128 if shape.relu else 0
        self.temperature = torch.ones(len(weight), dtype=torch.float64)  # of logits, set by calibration
        unit = weight.detach().double().flatten(2).abs().amax(2).clamp(min=2.0**-40)
        self.register_buffer("weight_unit", unit)
        self.weight = nn.Parameter(weight.detach().double() / self._spread(unit))
        self.bias = nn.Parameter(bias.detach().double())
        self.register_buffer("bias_unit", torch.ones(len(bias), 1, dtype=torch.float64))
        self.log_scale = nn.Parameter(torch.zeros(len(weight), dtype=torch.float64))

    def _spread(self, per_channel: Tensor) -> Tensor:
        """(K, out) to the shape of a broadcast against the weights."""
        return per_channel.view(*per_channel.shape, *([1] * (len(self.shape.weight_shape) - 1)))

    @property
    def scale(self) -> Tensor:
        """(K,) of the output."""
        return self.log_scale.exp()

    def set_scale(self, scale: Tensor) -> None:
        """Scale of the output; the bias is normalised to a quarter of its range."""
        bias = (self.bias * self.bias_unit).detach()
        self.bias_unit.copy_(64 * scale.view(-1, 1))
        with torch.no_grad():
            self.log_scale.copy_(scale.log())
            self.bias.copy_(bias / self.bias_unit)

    def soften(self, shift: Tensor, temperature: Tensor) -> None:
        """Make the outputs of branch k ``(output + shift[k]) / temperature[k]``."""
        with torch.no_grad():
            self.bias.copy_((self.bias * self.bias_unit + shift.view(-1, 1)) / temperature.view(-1, 1))
            self.bias_unit.fill_(1.0)
            self.weight_unit.div_(temperature.view(-1, 1))

    def integers(self, operands: Sequence[Quantized]) -> tuple[Tensor, Tensor, Tensor]:
        """Weights (K, out, in[, kernel]) and bias (K, out) as integers, and the scale of the accumulator (K, out)."""
        scale_in = operands[0][1].view(-1, 1)
        weight = self.weight * self._spread(self.weight_unit)
        if len(operands) == 2:  # docs/arithmetic.md, Aggregation
            ratio = operands[1][1].view(-1, 1) / scale_in
            side = 1 if self.shape.channelwise else 2
            ours, theirs = weight.split(self.shape.input_channels, dim=side)
            weight = torch.cat([ours, theirs * self._spread(ratio)], dim=side)
        bias = self.bias * self.bias_unit
        scale = self._weight_scale(weight.detach(), bias.detach() / scale_in.detach())
        weight = round_through((weight / self._spread(scale)).clamp(-127, 127))
        scale_acc = scale_in * scale
        return weight, self._with_zero(bias / scale_acc, weight), scale_acc

    def _with_zero(self, bias: Tensor, weight: Tensor) -> Tensor:
        """Bias (K, out) in steps of the accumulator, what stands for 0 in the inputs folded in, rounded once."""
        whole = self.zero_in.floor()
        flat = self.shape.repeats * weight.flatten(2)
        return round_through(bias - (flat * (self.zero_in - whole)).sum(2)) - (flat * whole).sum(2)

    def _weight_scale(self, weight: Tensor, bias: Tensor) -> Tensor:
        """(K, out): the largest weight becomes 127, or a little less where that brings a convolution's accumulator
        under the lane bound. ``bias`` is in units of the input's scale."""
        flat = weight.flatten(2)
        scale = torch.maximum(flat.abs().amax(2) / 127, bias.abs() / BIAS_LIMIT).clamp(min=2.0**-60)
        if self.shape.kind != "conv":
            return scale

        def bound(scale: Tensor) -> Tensor:
            integers = (flat / scale.unsqueeze(2)).round()
            return 128 * integers.abs().sum(2) + self._with_zero(bias / scale, integers).abs()

        stretched = scale
        for _ in range(8):  # the bound falls nearly as 1 / scale
            over = bound(stretched) / (LANE_BOUND - 1)
            if (over <= 1).all():
                break
            stretched = torch.where(over > 1, stretched * (1.0005 * over), stretched)
        fits = (stretched <= LANE_STRETCH * scale) & (bound(stretched) < LANE_BOUND)
        return torch.where(fits, stretched, scale)

    def accumulate(self, operands: Sequence[Quantized], weight: Tensor, *, exact: bool = True) -> Tensor:
        """Pooled accumulators (N, K, out[, rows]) without bias, exact: float32 where sums stay below 2^24. Not exact:
        of real operands, whose padding is 0."""
        fan_in = weight[0, 0].numel() * self.shape.repeats
        dtype = torch.float32 if exact and 128 * 127 * fan_in < 1 << 24 else torch.float64
        if self.shape.kind != "fc":
            images = [timewise.operand(x.to(dtype)) for x, _ in operands]
            acc = timewise.sums(self.shape, images, weight.to(dtype), self.padding if exact else None).squeeze(2)
            if self.shape.pool > 1:
                acc = nn.functional.max_pool1d(acc, self.shape.pool)
            return acc.unflatten(1, weight.shape[:2])
        products: list[Tensor] = []
        for (x, _), part in zip(operands, weight.to(dtype).split(self.shape.input_channels, dim=2), strict=True):
            if x.ndim == 2:
                products.append((x.to(dtype) @ part.flatten(0, 1).t()).unflatten(1, part.shape[:2]))
            else:
                products.append(torch.einsum("nki,koi->nko", x.to(dtype), part))
        return reduce(torch.add, products)

    def multiplier(self, scale_acc: Tensor) -> Tensor:
        """(K, out) int64."""
        factor = (scale_acc / self.scale.view(-1, 1)).detach()
        return (factor * 2.0**32).round().clamp(1, 2**31 - 1).long()

    def forward(self, operands: Sequence[Quantized]) -> Quantized:
        weight, bias, scale_acc = self.integers(operands)
        acc = self.accumulate(operands, weight)

        def per_channel(x: Tensor) -> Tensor:
            return x if self.shape.kind == "fc" else x.unsqueeze(-1)

        factor = scale_acc / self.scale.view(-1, 1)
        smooth = acc * per_channel(factor).to(acc.dtype) + per_channel(bias * factor + self.zero_point).to(acc.dtype)
        with torch.no_grad():
            product = (acc.long() + per_channel(bias.long())) * per_channel(self.multiplier(scale_acc))
            exact = (self.zero_point + ((product + (1 << 31)) >> 32)).clamp(-128, 127)
        return through(exact.to(acc.dtype), smooth.clamp(-128, 127)), self.scale

    def floats(self, operands: Sequence[Quantized]) -> Tensor:
        """What the layer would say of these operands without rounding or clipping: (N, K, out[, rows]) real."""
        weight = self.weight * self._spread(self.weight_unit)
        zeros = self.zero_in.view(self.shape.channels_in, -1)[:, 0].split(self.shape.input_channels)
        if self.shape.kind != "fc":
            zeros = tuple(zero.unsqueeze(1) for zero in zeros)
        real = [
            ((x - zero) * self._operand_scale(x, scale), scale)
            for (x, scale), zero in zip(operands, zeros, strict=True)
        ]
        acc = self.accumulate(real, weight, exact=False)
        bias = self.bias * self.bias_unit
        value = acc + (bias if self.shape.kind == "fc" else bias.unsqueeze(-1))
        return value.clamp(min=0) if self.shape.relu else value

    @staticmethod
    def _operand_scale(x: Tensor, scale: Tensor) -> Tensor:
        """One scale, or one a branch: (K,) against (N, K, ...)."""
        return scale if len(scale) == 1 else scale.view(1, -1, *[1] * (x.ndim - 2))

    @torch.no_grad()
    def export(self, operands: Sequence[Quantized]) -> list[QuantizedLayer]:
        """The layer of each branch."""
        weight, bias, scale_acc = self.integers(operands)
        multiplier = self.multiplier(scale_acc)
        return [
            QuantizedLayer(
                weight[k].to(torch.int8).numpy(),
                bias[k].round().to(torch.int32).numpy(),
                multiplier[k].to(torch.int32).numpy(),
                self.zero_point,
            )
            for k in range(len(weight))
        ]


Run = Callable[[FakeQuantLayer, Sequence[Quantized]], Quantized]


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
