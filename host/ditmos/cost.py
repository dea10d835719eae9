"""Instructions that the Cortex-M7 kernels execute: what the planner compares schedules by.

The terms follow `cmodule/kernels_m7.c` and count `kernels_m7_loops.S` instruction by instruction; what the compiler adds
around the loops was measured on the simulated board (tests/cmodule/test_m7.py checks both against it). Instructions are
exact there, cycles are another matter: docs/kernels.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ditmos.spec import LayerShape

# Compiled code, instructions: gcc 12.2, measured by tests/cmodule/m7/calibrate.py.
_CONV_CALL = 94
_TILE = 184
_SECOND_OPERAND = -8
_QUAD_STEP = 22
_HALF_CALL = -13
_LANES_CALL = 16
_WINDOW_CALL = 21
_PACK_CALL = 50
_DOT_CALL = 106
_DOT_STORE = 70
_FC_CALL = 47


@dataclass(frozen=True)
class Call:
    """One kernel call: ``rows`` output rows, with what the plan gives it.

    carry: the stage has a carry buffer; first: nothing is in it yet.
    scratch: bytes. joined: the operands' planes follow each other in memory at one stride.
    lanes: output channels in three-lane pairs, None for all (`ditmos.lanes.lane_channels`).
    """

    rows: int
    carry: bool = False
    first: bool = True
    scratch: int = 0
    joined: bool = False
    lanes: int | None = None


@lru_cache(maxsize=100_000)
def call_instructions(shape: LayerShape, call: Call) -> int:
    """Instructions of one call of a layer in the packing that `packings.best` gives it."""
    if shape.kind == "fc":
        return _fc(shape)
    lanes = shape.channels_out if call.lanes is None else call.lanes
    if (shape.stride, shape.pool) != (1, 2):
        lanes = 0
    total = _CONV_CALL
    if lanes:
        total += _lanes(shape, call, -(-lanes // 2))
    quads = -(-(shape.channels_out - lanes) // 4)
    return total + quads * _dot_quad(shape, call.rows, _operands(shape, call))


def layer_instructions(shape: LayerShape, chunk: int, call: Call) -> int:
    """Instructions of all calls of a layer, ``chunk`` rows each; ``call`` tells the rest."""
    chunk = min(chunk, shape.rows_out)
    full, left = divmod(shape.rows_out, chunk)

    def one(rows: int, first: bool) -> int:
        return call_instructions(
            shape, Call(rows, call.carry, first or not call.carry, call.scratch, call.joined, call.lanes)
        )

    total = one(chunk, True) + (full - 1) * one(chunk, False)
    return total + (one(left, False) if left else 0)


def packed_bytes(shape: LayerShape, rows: int) -> int:
    """Scratch that lets a three-lane call of ``rows`` output rows pack its whole input once."""
    words = (rows & ~1) - 1 + _tap_pairs(shape)
    return 16 * -(-shape.channels_in // 2) * -(-words // 2)


def _tap_pairs(shape: LayerShape) -> int:
    return (shape.kernel + 1) // 2


def _operands(shape: LayerShape, call: Call) -> int:
    return 1 if call.joined else len(shape.input_channels)


# ----- three lanes -----------------------------------------------------------------------------------------------


def _packed_windows(shape: LayerShape, size: int) -> int:
    words = size // (16 * -(-shape.channels_in // 2)) * 2
    pairs = _tap_pairs(shape)
    return (words + 1 - pairs) & ~1 if words >= pairs + 1 else 0


def _lanes(shape: LayerShape, call: Call, pairs: int) -> int:
    """As conv_pairs() chooses: tiles of packed planes, or the planes as they are."""
    even = call.rows & ~1
    carry = call.carry
    windows = _packed_windows(shape, call.scratch)
    if windows < even and not carry and call.scratch > 4 * shape.channels_out:
        carry = True
        windows = _packed_windows(shape, call.scratch - 4 * shape.channels_out)
    windows = min(windows, even)
    saved = pairs * (windows // 2) * (2 * _tap_pairs(shape) + 4)
    packed = not (windows == 0 or (windows < even and not carry) or saved <= 4 * (windows - 1 + _tap_pairs(shape)))
    if not packed:
        windows = even
    total, row = 0, 0
    fresh = call.first or not call.carry
    while True:
        last = row + windows == even
        total += _tile(shape, call, pairs, windows, packed, fresh, last and call.rows % 2 == 1)
        fresh = False
        row += windows
        windows = min(windows, even - row)
        if row >= even:
            return total


def _tile(shape: LayerShape, call: Call, pairs: int, windows: int, packed: bool, fresh: bool, row_left: bool) -> int:
    operands = _operands(shape, call)
    planes, n, odd = shape.channels_in, _tap_pairs(shape), shape.kernel % 2
    quads = -(-pairs // 2)
    total = _TILE + quads * _QUAD_STEP
    if packed and windows:
        words = windows - 1 + n
        total += -(-planes // 2) * (_PACK_CALL + 6 + 16 * (words // 2) + 8 * (words % 2))
    if fresh:
        half = 43 + planes * (7 * (n - odd) + 8) + 8 * (operands - 1)
        total += _HALF_CALL + _SECOND_OPERAND * (operands - 1) + quads * half
    if windows:
        block = 53 + (_packed_taps(planes, n) if packed else planes * (8 * n + 7) + 1 + 12 * (operands - 1))
        total += pairs * (_LANES_CALL + 54 + windows // 2 * block)
    if row_left:
        window = 103 + planes * (9 * n + 5) + 8 * (operands - 1)
        total += _WINDOW_CALL + _SECOND_OPERAND * (operands - 1) + quads * window
    return total


def _packed_taps(planes: int, n: int) -> int:
    pairs, odd = divmod(planes, 2)
    return pairs * (12 * n + 4) + (1 if pairs else 0) + odd * (6 * n + 1)


# ----- SMLAD -----------------------------------------------------------------------------------------------------


def _dot_sums(shape: LayerShape, operands: int, two: bool) -> int:
    """One call of ditmos_m7_dot: four channels, one position or two."""
    n, odd, planes = _tap_pairs(shape) - shape.kernel % 2, shape.kernel % 2, shape.channels_in
    plane = (14 * n + 5 + (21 if odd else 6)) if two else (9 * n + 5 + (9 if odd else 0))
    return _DOT_CALL + 27 + planes * plane + (8 + _SECOND_OPERAND) * (operands - 1)


def _dot_quad(shape: LayerShape, rows: int, operands: int) -> int:
    one, two = _dot_sums(shape, operands, False), _dot_sums(shape, operands, True)
    if (shape.stride, shape.pool) == (2, 2):
        return rows * (two + _DOT_STORE)
    if shape.stride * shape.pool == 2:
        pairs, left = divmod(rows, 2)
        return pairs * (shape.pool * two + 2 * _DOT_STORE) + left * (shape.pool * one + _DOT_STORE)
    blocks, left = divmod(rows, 4)
    return blocks * (2 * two + 4 * _DOT_STORE) + left * (one + _DOT_STORE)


# ----- fully connected -------------------------------------------------------------------------------------------


def _fc(shape: LayerShape) -> int:
    steps, groups = -(-shape.channels_in // 4), -(-shape.channels_out // 4)
    return _FC_CALL + groups * (25 + 20 * steps + 2 * -(-steps // 4))
