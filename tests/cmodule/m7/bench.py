"""Builds and runs the bare-metal bench: kernels on single layers, on a simulated core, by default the Cortex-M7.

A case is a layer with its input, its chunking and its memory. The bench reports, per case, differing bytes (writes
outside the output included) and instructions, counted exactly (`-icount`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from struct import pack

import numpy as np
from ditmos.bench import baremetal
from ditmos.model import packings
from ditmos.model.layer_shape import KINDS, Kind, LayerShape, MapRef
from ditmos.model.quantized import QuantizedLayer
from numpy.typing import NDArray

HERE = Path(__file__).parent


def conv_shape(
    channels: Sequence[int], out: int, kernel: int, rows_in: int, stride: int = 1, pool: int = 2
) -> LayerShape:
    positions = (rows_in - kernel) // stride + 1
    inputs = (MapRef("classifier", 1), MapRef("selector", 1))[: len(channels)]
    return LayerShape(
        "classifier.2",
        "classifier",
        "conv",
        inputs,
        tuple(channels),
        rows_in,
        positions // pool,
        out,
        kernel,
        stride,
        pool,
    )


def channel_shape(
    kind: Kind, channels: Sequence[int], kernel: int, rows_in: int, stride: int = 1, pool: int = 1
) -> LayerShape:
    """Depthwise, or an average."""
    return replace(conv_shape(channels, sum(channels), kernel, rows_in, stride, pool), kind=kind)


def fc_shape(inputs: Sequence[int], out: int, relu: bool = True) -> LayerShape:
    refs = (MapRef("classifier", 1), MapRef("selector", 1))[: len(inputs)]
    return LayerShape("classifier.fc1", "classifier", "fc", refs, tuple(inputs), 1, 1, out, relu=relu)


@dataclass
class Case:
    """``x``: int8 (channels, rows) per operand; for a fully connected layer its maps, flattened by the kernel."""

    shape: LayerShape
    layer: QuantizedLayer
    x: tuple[NDArray[np.int8], ...]
    packing: int
    chunk: int = 0  # 0: all rows at once
    carry: bool = False
    scratch: int = 0
    gap: int = 0  # bytes between planes, of input and output
    offset: int = 0  # of the first plane from a multiple of 4
    data: bytes = field(init=False, default=b"")

    def expected(self) -> NDArray[np.int8]:
        """Output (channels, rows), straight from docs/arithmetic.md."""
        shape, layer = self.shape, self.layer
        if shape.kind == "fc":
            x = np.concatenate([part.ravel() for part in self.x]).astype(np.int64)
            acc = (layer.bias + layer.weight.astype(np.int64) @ x)[:, None]
        else:
            x = np.concatenate(self.x).astype(np.int64)
            windows = np.lib.stride_tricks.sliding_window_view(x, shape.kernel, axis=1)[:, :: shape.stride]
            if shape.channelwise:
                weight = np.repeat(layer.weight[:, 0], shape.repeats, axis=1).astype(np.int64)
                acc = layer.bias[:, None] + np.einsum("ck,cpk->cp", weight, windows)
            else:
                acc = layer.bias[:, None] + np.einsum("oik,ipk->op", layer.weight.astype(np.int64), windows)
            rows = shape.rows_out
            acc = acc[:, : rows * shape.pool].reshape(len(acc), rows, shape.pool).max(axis=2)
        y = layer.zero_point + ((acc * layer.multiplier.astype(np.int64)[:, None] + (1 << 31)) >> 32)
        return np.clip(y, -128, 127).astype(np.int8)

    def record(self) -> bytes:
        shape, fc = self.shape, self.shape.kind == "fc"
        weights = packings.pack(self.packing, shape, self.layer)
        data = bytearray(b"\x55" * self.offset)
        operands = b""
        for part in (*self.x, np.zeros((0, 0), np.int8))[:2]:
            channels, rows = part.shape
            stride = rows + self.gap
            if fc and self.gap == 0:
                channels, rows = (1 if part.size else 0), part.size
            operands += pack("<IIHH", len(data), stride, channels, rows)
            planes = np.full((len(part), stride), 0x55, np.int8)
            planes[:, : part.shape[1]] = part
            data += planes.tobytes()
        rows = shape.rows_out
        layer = pack(
            "<BBBBBbHHxxI",
            KINDS.index(shape.kind),
            shape.kernel,
            shape.stride,
            shape.pool,
            self.packing,
            self.layer.zero_point,
            shape.channels_in,
            shape.channels_out,
            len(weights),
        )
        out_stride = 1 if fc else rows + self.gap
        tail = pack("<IIIHHI", len(data), self.scratch, out_stride, rows, self.chunk or rows, self.carry)
        body = layer + operands + tail
        for content in (bytes(data), weights, self.expected().tobytes()):
            body += baremetal.padded(content)
        return pack("<I", 4 + len(body)) + body


@dataclass(frozen=True)
class Result:
    differing: int
    instructions: int


def build(folder: Path, *flags: str, core: baremetal.Core = baremetal.M7) -> Path:
    """The bench with the kernels of cmodule/; ``flags`` such as -DDITMOS_PORTABLE."""
    return baremetal.build("layers", [HERE / "layers.c"], ["kernels*.[cS]"], folder=folder, flags=flags, core=core)


def run(elf: Path, cases: Sequence[Case], core: baremetal.Core = baremetal.M7) -> list[Result]:
    """Raises RuntimeError where the bench stops, or a case's weights are refused."""
    data = b"".join(case.record() for case in cases) + bytes(4)
    rows = [line.split() for line in baremetal.run(elf, data, core=core)]
    if len(rows) != len(cases) or any("invalid" in row for row in rows):
        raise RuntimeError(f"bench: {len(rows)} of {len(cases)} cases, the last {rows[-1:]}")
    return [Result(int(differing), int(count)) for _, differing, count in rows]
