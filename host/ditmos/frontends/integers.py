"""The integer arithmetic that the operations of a front end are made of.

int64 arrays hold every intermediate. ``>>`` is an arithmetic shift: it rounds down. Nothing depends on libm, on fused
multiply-add or on the order of a sum, so any machine with 64-bit integers gives the same values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Int16 = NDArray[np.int16]
Int64 = NDArray[np.int64]
Rows = NDArray[np.signedinteger[Any]]  # int16; or wide ones, int32

LONGEST = 2048  # points of the longest transform
LOG_BITS = 16  # fraction bits of `log2`
WIDE_BITS = 8  # fraction bits that wide rows have beyond others


def _turns() -> tuple[Int64, Int64]:
    quarter = LONGEST // 4
    angle = 2 * np.pi * np.arange(quarter) / LONGEST
    re, im = (np.rint(v * 2.0**31).astype(np.int64) for v in (np.cos(angle), -np.sin(angle)))
    re = np.minimum(re, 2**31 - 1)
    return np.concatenate((re, im)), np.concatenate((im, -re))


# exp(-2 pi i j / LONGEST) for j < LONGEST / 2, real and imaginary part times 2^31; 1 is 2^31 - 1. The second quarter is
# the first one times -i.
TURN_RE, TURN_IM = _turns()
# log2(1 + i / 64) for i <= 64, `LOG_BITS` fraction bits.
LOG_TABLE: Int64 = np.rint(np.log2(1 + np.arange(65) / 64) * 2**LOG_BITS).astype(np.int64)


def sat16(values: ArrayLike) -> Int16:
    """Clamped to int16."""
    return np.clip(values, -32768, 32767).astype(np.int16)


def narrow(rows: Rows) -> Int16:
    """Wide rows as others are: rounded half up, clamped."""
    if rows.dtype != np.int32:
        return rows.astype(np.int16, copy=False)
    return sat16((rows.astype(np.int64) + (1 << (WIDE_BITS - 1))) >> WIDE_BITS)


def turn(re: Int64, im: Int64, w_re: Int64, w_im: Int64) -> tuple[Int64, Int64]:
    """Half of ``(re + i im) * w``, w as in the tables; each part is rounded half up twice (SMMULR; SMMLSR, SMMLAR)."""
    half = 1 << 31
    first = (re * w_re + half) >> 32
    second = (im * w_re + half) >> 32
    return ((first << 32) - im * w_im + half) >> 32, ((second << 32) + re * w_im + half) >> 32


def log2(high: ArrayLike, low: ArrayLike) -> Int64:
    """log2(high * 2^32 + low) with `LOG_BITS` fraction bits, linear between 64 points of an octave.

    Both are uint64, high < 2^63, low < 2^32, not both 0.
    """
    high, low = np.asarray(high, np.uint64), np.asarray(low, np.uint64)
    in_high = high > 0
    rest = np.where(in_high, high, low)
    lead = np.zeros(rest.shape, np.int64)  # place of the leading one
    for step in (32, 16, 8, 4, 2, 1):
        big = rest >= np.uint64(1 << step)
        lead += np.where(big, step, 0)
        rest = np.where(big, rest >> np.uint64(step), rest)
    # 32 bits from the leading one on: where it is the last bits of `high`, the upper ones of `low` follow.
    down, up = (np.clip(v, 0, 32).astype(np.uint64) for v in (lead - 31, 31 - lead))
    mantissa = (np.where(in_high, high, low) >> down) << up
    mantissa = np.where(in_high, mantissa | (low >> (np.uint64(32) - up)), mantissa).astype(np.int64)
    index, rest = mantissa >> 25 & 63, mantissa & (1 << 25) - 1
    below = LOG_TABLE[index]
    between = ((LOG_TABLE[index + 1] - below) * rest + (1 << 24)) >> 25
    return ((lead + 32 * in_high) << LOG_BITS) + below + between


def isqrt(values: ArrayLike) -> Int64:
    """Square roots of integers below 2^62, rounded down."""
    v = np.asarray(values, np.int64)
    root = np.sqrt(v.astype(np.float64)).astype(np.int64)
    root -= root * root > v
    return root + ((root + 1) * (root + 1) <= v)
