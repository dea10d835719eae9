"""A network as a file of another tool says it: layers one after the other. Both readers build it, and nothing else.

What the project's networks are (`ditmos.model.spec`) decides what is taken; everything else is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.model.layer_shape import Kind
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec

Arithmetic = Literal["tflite", "qdq", "float"]


class Quantity(NamedTuple):
    """How an int8 tensor stands for real numbers: ``real = (q - zero_point) * scale``."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Step:
    """One layer. weight: as `LayerShape.weight_shape`, int8, or float32 in a float network; bias: real numbers.

    weight_scale: (out,), of an int8 layer. output: None in a float network. relu, top: whether the file clamps at real
    0, and at which real number from above (ReLU6).
    """

    name: str
    kind: Kind
    weight: NDArray
    bias: NDArray[np.float64]
    weight_scale: NDArray[np.float64]
    kernel: int = 1
    stride: int = 1
    pool: int = 1
    pad: tuple[int, int] = (0, 0)
    relu: bool = False
    top: float | None = None
    output: Quantity | None = None

    @property
    def channels(self) -> int:
        return len(self.weight)

    def with_bias(self, bias: NDArray[np.float64]) -> Step:
        return replace(self, bias=bias)

    def scaled(self, factor: NDArray[np.float64], shift: NDArray[np.float64]) -> Step:
        """Real outputs times ``factor``, plus ``shift``, of a float network."""
        weight = self.weight * factor.reshape(-1, *[1] * (self.weight.ndim - 1))
        return replace(self, weight=weight, bias=self.bias * factor + shift)


@dataclass
class Chain:
    """source: the file, for messages. rows, channels: of the window. arithmetic: the file's own. left_out: operations
    that a device does not run, such as the softmax at the end."""

    source: str
    rows: int
    channels: int
    arithmetic: Arithmetic
    input: Quantity | None = None
    steps: list[Step] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    window: int = field(init=False)
    width: int = field(init=False)  # channels of the map at hand, of ``rows`` rows
    order: Literal["", "channels", "rows"] = ""  # once it is flat: what lies side by side

    def __post_init__(self) -> None:
        self.window, self.width = self.rows, self.channels
        self.need(self.rows >= 1 and self.channels >= 1, f"input of {self.rows} x {self.channels} values")

    def need(self, ok: bool, message: str) -> None:
        if not ok:
            raise DitmosError(f"{self.source}: {message}")

    def timewise(
        self, name: str, kind: Kind, weight: NDArray, bias: NDArray, weight_scale: NDArray, *, stride: int,
        pad: tuple[int, int], kernel: int = 0,
    ) -> None:  # fmt: skip
        """A convolution, full or depthwise, or an average (``kernel`` rows). Raises DitmosError."""
        kernel = kernel or weight.shape[2]
        read = len(weight) if kind != "conv" else weight.shape[1]
        self.need(not self.order, f"{name} comes after the map was flattened, expected convolutions before that")
        self.need(read == self.width, f"{name} reads {read} channels, there are {self.width}")
        step = Step(name, kind, weight, bias, weight_scale, kernel, stride, 1, pad)
        rows = ConvSpec(1, kernel, stride, 1, kind, pad).rows_out(self.rows)
        self.need(rows >= 1, f"{name}: {self.rows} rows are too few for a kernel of {kernel}")
        self.steps.append(step)
        self.rows, self.width = rows, len(weight)

    def average(self, name: str, kernel: int, stride: int) -> None:
        """The mean of ``kernel`` rows of each channel."""
        width = self.width
        weight, zero = np.full((width, 1, 1), 127, np.int8), np.zeros(width)
        self.timewise(name, "average", weight, zero, np.full(width, 1 / (127 * kernel)), stride=stride, pad=(0, 0),
                      kernel=kernel)  # fmt: skip
        self.steps[-1] = replace(self.steps[-1], relu=True)  # of a map that knows nothing below 0

    def max_pool(self, name: str, kernel: int, stride: int) -> None:
        """Fused into the convolution before it: the largest accumulator is the largest output."""
        if kernel == 1 and stride == 1:
            return
        last = self.steps[-1] if self.steps else None
        self.need(
            kernel == stride == 2, f"{name} takes the largest of {kernel} rows, {stride} on; only 2 of 2 are known"
        )
        fits = last is not None and last.kind in ("conv", "depthwise") and last.pool == 1 and not self.order
        self.need(fits, f"{name} does not follow a convolution, as max-pooling must")
        assert last is not None
        self.need(self.rows >= 2, f"{name}: {self.rows} rows are too few")
        self.steps[-1] = replace(last, pool=2)
        self.rows //= 2

    def flatten(self, name: str, order: Literal["channels", "rows"]) -> None:
        """order: what lies side by side, all channels of a row or all rows of a channel."""
        self.need(bool(self.steps), f"{name} flattens the window: a network without a convolution")
        self.order = self.order or order

    def dense(self, name: str, weight: NDArray, bias: NDArray, weight_scale: NDArray) -> None:
        """weight (out, in), in the order of the flattened map."""
        self.need(bool(self.order) or self.rows == 1, f"{name} reads a map of {self.rows} rows that was not flattened")
        flat = self.rows * self.width
        self.need(weight.shape[1] == flat, f"{name} reads {weight.shape[1]} values, there are {flat}")
        if self.order == "channels":
            weight = weight.reshape(len(weight), self.rows, self.width).swapaxes(1, 2).reshape(len(weight), -1)
        self.steps.append(Step(name, "fc", np.ascontiguousarray(weight), bias, weight_scale))
        self.rows, self.width, self.order = 1, len(weight), "rows"

    def activation(self, name: str, top: float | None = None) -> None:
        """A ReLU behind the last layer."""
        self.need(bool(self.steps), f"{name} comes before the first layer")
        self.steps[-1] = replace(self.steps[-1], relu=True, top=top)

    def quantized(self, name: str, quantity: Quantity) -> None:
        """What the map at hand is stored as."""
        if not self.steps:
            self.need(self.input in (None, quantity), f"{name} quantises the window a second time, with another scale")
            self.input = quantity
            return
        last = self.steps[-1]
        same = last.output is None or last.output == quantity
        self.need(
            same, f"{name} stores what {last.name} has made with another scale, which costs a rounding of its own"
        )
        self.steps[-1] = replace(last, output=quantity)

    def finish(self) -> NetworkSpec:
        """The network's shape. Raises DitmosError: what the project's networks cannot be."""
        dense = [step for step in self.steps if step.kind == "fc"]
        self.need(bool(dense) and self.steps[-1].kind == "fc", "does not end in a fully connected layer")
        for step in self.steps[:-1]:
            at_zero = step.output is not None and step.output.zero_point == -128
            self.need(step.relu or at_zero, f"{step.name} has no ReLU behind it, as every layer but the last must")
            self._check_top(step)
        self.need(not self.steps[-1].relu, f"{self.steps[-1].name}, the last layer, has a ReLU")
        if self.arithmetic != "float":
            self.need(self.input is not None, "the input has no scale and zero point")
            for step in self.steps:
                self.need(step.output is not None, f"{step.name}: its output has no scale and zero point")
        self.need(len(dense) <= 2, f"{len(dense)} fully connected layers, expected 1 or 2")
        convs = tuple(
            ConvSpec(step.channels, step.kernel, step.stride, step.pool, step.kind, step.pad)
            for step in self.steps
            if step.kind != "fc"
        )
        branch = BranchSpec(convs, tuple(step.channels for step in dense[:-1]))
        try:
            return NetworkSpec(self.window, self.channels, dense[-1].channels, 1, branch)
        except DitmosError as error:
            raise DitmosError(f"{self.source}: {error}") from None

    def _check_top(self, step: Step) -> None:
        """A clamp from above is what int8 does anyway, or it is not known."""
        if step.top is None:
            return
        reached = step.output is not None and round(step.top / step.output.scale) + step.output.zero_point >= 127
        self.need(
            reached, f"{step.name} is clamped at {step.top:g}, below what its int8 holds, which is not known here"
        )
