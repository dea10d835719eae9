"""Rows of padding: which outputs need them, and the bytes that a device gathers their input in.

Kernels know no padding. Outputs whose input reaches beyond the map are computed from a copy of their input rows, with
the rows of padding, in the stage's scratch; all others from the map itself (cmodule/engine.c).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ditmos.model.layer_shape import LayerShape


@dataclass(frozen=True)
class Part:
    """``rows`` output rows from ``first`` on; ``edge``: their input reaches into the padding."""

    first: int
    rows: int
    edge: bool


def rows_in(layer: LayerShape, rows: int) -> int:
    """Input rows, of padding or not, that ``rows`` output rows depend on."""
    return (rows * layer.pool - 1) * layer.stride + layer.kernel


def rows_needed(layer: LayerShape, first: int, rows: int) -> tuple[int, int]:
    """Input rows (from, to) that output rows ``first .. first + rows - 1`` of a layer in time depend on."""
    begin = first * layer.step - layer.pad[0]
    return max(begin, 0), min(begin + rows_in(layer, rows), layer.rows_in)


def inner_rows(layer: LayerShape) -> tuple[int, int]:
    """Output rows (from, to) that need no padding."""
    front = min(-(-layer.pad[0] // layer.step), layer.rows_out)
    last = (layer.rows_in + layer.pad[0] - rows_in(layer, 1)) // layer.step + 1
    return front, max(front, min(last, layer.rows_out))


def parts(layer: LayerShape, first: int, rows: int) -> Iterator[Part]:
    """A chunk as the device runs it."""
    end = first + rows
    inner, behind = inner_rows(layer)
    for begin, stop, edge in ((first, min(inner, end), True), (inner, behind, False), (behind, end, True)):
        begin, stop = max(begin, first), min(stop, end)
        if begin < stop:
            yield Part(begin, stop - begin, edge)


def edge_bytes(layer: LayerShape, chunk: int) -> int:
    """Bytes, a multiple of 4, that the input of the rows at an edge takes, ``chunk`` rows at a time; 0 without any."""
    inner, behind = inner_rows(layer)
    most = min(max(inner, layer.rows_out - behind), chunk)
    return -(-rows_in(layer, most) * layer.channels_in // 4) * 4 if most else 0
