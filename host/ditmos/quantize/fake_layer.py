"""A layer with the arithmetic of docs/arithmetic.md in torch: exact integers forwards, straight-through backwards.

Maps are float tensors that hold the stored int8 values. Rounding has the gradient of the identity, clamping that of a
clamp, scales are learnt as in "Learned step size quantization" (Esser et al., 2020), which follows from the chain rule
here: a scale divides in the layer that writes a map and multiplies in the layer that reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from ditmos.model.lanes import LANE_HALF, LANE_STRETCH
from ditmos.model.layer_shape import LayerShape
from ditmos.model.quantized import QuantizedLayer
from ditmos.networks import timewise

BIAS_LIMIT = 2.0**29  # keeps accumulators of dead channels within int32

# A map as its reader sees it: stored values and scale (1,) or (K,).
Quantized = tuple[Tensor, Tensor]


def round_through(x: Tensor) -> Tensor:
    return through(x.round(), x)


def through(value: Tensor, x: Tensor) -> Tensor:
    """Exactly ``value``, with the gradient of x."""
    return value.detach() + (x - x.detach())


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
            over = bound(stretched) / (LANE_HALF - 1)
            if (over <= 1).all():
                break
            stretched = torch.where(over > 1, stretched * (1.0005 * over), stretched)
        fits = (stretched <= LANE_STRETCH * scale) & (bound(stretched) < LANE_HALF)
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
