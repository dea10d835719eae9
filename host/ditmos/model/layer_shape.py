"""One layer of a routed network: its kind, the maps that it reads, its geometry."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

Branch = Literal["selector", "classifier"]
Kind = Literal["conv", "depthwise", "average", "fc"]
KINDS: tuple[Kind, ...] = ("conv", "fc", "depthwise", "average")  # as a model file counts them
CHANNELWISE: tuple[Kind, ...] = ("depthwise", "average")  # a channel of the output comes from the one of the input


@dataclass(frozen=True)
class MapRef:
    """A feature map: ``level`` 0 is the window (branch is then "selector" by convention)."""

    branch: Branch
    level: int


@dataclass(frozen=True)
class LayerShape:
    """One layer with its operands and its geometry.

    For a fully connected layer ``rows_in`` and ``rows_out`` are 1 and ``kernel`` is 1; its inputs are flattened
    channel by channel (all rows of channel 0 first). ``inputs`` is empty where the input is the preceding fully
    connected layer. ``rows_in`` is without padding.
    """

    name: str
    branch: Branch
    kind: Kind
    inputs: tuple[MapRef, ...]
    input_channels: tuple[int, ...]
    rows_in: int
    rows_out: int
    channels_out: int
    kernel: int = 1
    stride: int = 1
    pool: int = 1
    relu: bool = True
    pad: tuple[int, int] = (0, 0)

    @property
    def channels_in(self) -> int:
        return sum(self.input_channels)

    @property
    def channelwise(self) -> bool:
        return self.kind in CHANNELWISE

    @property
    def step(self) -> int:
        """Rows of the input from one row of the output to the next."""
        return self.pool * self.stride

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run, every convolution position counted, pooled away or not; pooling has none."""
        if self.kind == "average":
            return 0
        positions = (self.rows_in + sum(self.pad) - self.kernel) // self.stride + 1
        return positions * self.weights

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """An average has one weight for each channel, which serves all of its rows."""
        if self.kind == "fc":
            return self.channels_out, self.channels_in
        if self.channelwise:
            return self.channels_out, 1, self.kernel // self.repeats
        return self.channels_out, self.channels_in, self.kernel

    @property
    def repeats(self) -> int:
        """Rows that each weight serves in one output."""
        return self.kernel if self.kind == "average" else 1

    @property
    def weights(self) -> int:
        return prod(self.weight_shape)
