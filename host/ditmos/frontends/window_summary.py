"""Features of a window made by hand, in integers: what a forest reads (docs/arithmetic.md, Summary)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ditmos.errors import DitmosError
from ditmos.frontends.integers import Int16, Int64, isqrt

ONE = 2048  # a cosine of 1 in the table
PARTS = 4  # of a window, each with its own variance
FEWEST_BLOCKS, MOST_BLOCKS = PARTS, 64
LEAST_BLOCK, MOST_BLOCK = 1, 4096
MOST_BINS = 15
MOST_WEIGHT = 65535  # sum of the magnitudes of a row of the table: sums of blocks of int16 stay in int32
_USUAL_BLOCKS, _USUAL_BLOCK, _BINS = 32, 8, 7
_OF_A_CHANNEL = 4 + PARTS  # features beside the bins


def log_code(values: ArrayLike) -> Int64:
    """A logarithm to base 2 in steps of 1/256: 0 for 0, else 256 times the number of bits, and the eight bits behind
    the leading one. Values below 2^64."""
    v = np.asarray(values, np.uint64)
    place = np.zeros(v.shape, np.int64)
    rest = v
    for step in (32, 16, 8, 4, 2, 1):
        big = rest >= np.uint64(1) << np.uint64(step)
        place += np.where(big, step, 0)
        rest = np.where(big, rest >> np.uint64(step), rest)
    down, up = (np.maximum(shift, 0).astype(np.uint64) for shift in (place - 8, 8 - place))
    return np.where(v == 0, 0, 256 * (place + 1) + ((v >> down << up) & np.uint64(255)).astype(np.int64))


@dataclass(frozen=True, eq=False)
class Summary:
    """The last operation of a front end whose forest reads the window: rows pass as they are, and the device keeps a
    window of them, of which `features` are made.

    block: rows whose mean is one value of the spectrum, a power of 2. table: int16 (bins, blocks, 2), cosine and sine
    times `ONE`; an odd number of blocks is made even by one of weight 0. rows: of a window, where the network reads its
    features in place of its rows: a window of the network is then one row, that of the features. 0: rows pass to it.
    """

    block: int
    table: Int16
    rows: int = 0

    def __post_init__(self) -> None:
        ok = LEAST_BLOCK <= self.block <= MOST_BLOCK and self.block & (self.block - 1) == 0
        if not ok:
            raise DitmosError(
                f"summary: block is {self.block}, expected a power of 2 from {LEAST_BLOCK} to {MOST_BLOCK}"
            )
        ok = self.table.ndim == 3 and self.table.shape[1] % 2 == 0 and self.table.shape[2] == 2
        if not ok or not 1 <= self.bins <= MOST_BINS or self.table.shape[1] > MOST_BLOCKS:
            raise DitmosError(f"summary: table of {self.table.shape}, expected 1 to {MOST_BINS} bins of even blocks")
        most = int(np.abs(self.table.astype(np.int64)).sum(1).max())
        if most > MOST_WEIGHT:
            raise DitmosError(f"summary: a row of the table weighs {most}, expected at most {MOST_WEIGHT}")

    @property
    def bins(self) -> int:
        return len(self.table)

    def check_window(self, window: int) -> None:
        """Raises DitmosError where the table is for windows of another length."""
        blocks = window // self.block
        expected = blocks + blocks % 2
        if blocks < FEWEST_BLOCKS or self.table.shape[1] != expected:
            have = self.table.shape[1]
            raise DitmosError(f"summary: {have} blocks of {self.block}, a window of {window} has {expected}")

    def count(self, channels: int) -> int:
        """How many features a window has: per channel, and of the norm of each three channels where they come so."""
        return channels * (_OF_A_CHANNEL + self.bins) + triples(channels) * self.bins

    def kept(self, window: int) -> int:
        """Rows that a window of the network is made of."""
        return self.rows or window

    def names(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Of the features, in their order."""
        own = ["least", "largest", "mean", "change", *(f"variance {i + 1}" for i in range(PARTS))]
        bins = [f"power {i + 1}" for i in range(self.bins)]
        groups = 3 if triples(len(channels)) else len(channels)
        found = []
        for first in range(0, len(channels), groups):
            group = channels[first : first + groups]
            found += [f"{name}: {what}" for name in group for what in (*own, *bins)]
            if triples(len(channels)):
                found += [f"norm of {', '.join(group)}: {what}" for what in bins]
        return tuple(found)

    def channels_out(self, channels: int) -> int:
        return self.count(channels) if self.rows else channels

    def __call__(self, x: Int16) -> Int16:
        return x

    def run(self, x: Int16, kept: None) -> tuple[Int16, None]:
        """Rows pass: features wait for the window."""
        return x, None

    def features(self, x: Int16) -> Int16:
        """Windows (..., time, channels) -> features (..., count).

        Raises:
            DitmosError: windows of another length than the table is for.
        """
        window, channels = x.shape[-2:]
        self.check_window(window)
        v = x.reshape(-1, window, channels).astype(np.int64)
        means = self._block_means(v)
        own = np.concatenate([self._of_channels(v), self._bins(means)], 1)  # (N, features, channels)
        groups = 3 if triples(channels) else channels
        parts = []
        for first in range(0, channels, groups):
            parts.append(own[:, :, first : first + groups].transpose(0, 2, 1).reshape(len(v), -1))
            if triples(channels):
                squares = (means[:, :, first : first + 3] ** 2).sum(2, keepdims=True)
                parts.append(self._bins(np.minimum(isqrt(squares), 32767))[:, :, 0])
        return np.concatenate(parts, 1).astype(np.int16).reshape(*x.shape[:-2], -1)

    def _of_channels(self, v: Int64) -> Int64:
        """Least, largest, mean, total change and the variances of the parts: (N, 8, channels)."""
        window = v.shape[1]
        total = v.sum(1)
        mean = np.sign(total) * (np.abs(total) // window)
        blocks = window // self.block
        edges = [blocks * i // PARTS * self.block for i in range(PARTS)] + [window]
        variances = []
        for begin, end in pairwise(edges):
            part = v[:, begin:end]
            sums, squares = part.sum(1), (part * part).sum(1)
            variances.append(log_code((end - begin) * squares - sums * sums))
        change = log_code(np.abs(np.diff(v, axis=1)).sum(1))
        return np.stack([v.min(1), v.max(1), mean, change, *variances], 1)

    def _block_means(self, v: Int64) -> Int64:
        """(N, blocks, channels), rounded down."""
        blocks = v.shape[1] // self.block
        sums = v[:, : blocks * self.block].reshape(len(v), blocks, self.block, -1).sum(2)
        return sums >> (self.block.bit_length() - 1)

    def _bins(self, means: Int64) -> Int64:
        """Power of the first bins: (N, bins, channels)."""
        table = self.table[:, : means.shape[1]].astype(np.int64)
        re, im = (np.einsum("nbc,kb->nkc", means, table[:, :, i]) for i in (0, 1))
        return log_code((re * re + im * im).astype(np.uint64))


def triples(channels: int) -> int:
    """How many groups of three axes there are: accelerometer, gyroscope."""
    return channels // 3 if channels % 3 == 0 else 0


def summary_for(window: int) -> Summary:
    """Blocks of 8 rows; longer ones where a window would have more than 32 of them, shorter ones where it would have
    fewer than 4. Bins 1 to 7, or as many as so few blocks have.

    Raises:
        DitmosError: a window of fewer than 4 rows.
    """
    if window < FEWEST_BLOCKS:
        raise DitmosError(f"summary: a window of {window} rows, expected at least {FEWEST_BLOCKS}")
    block = _USUAL_BLOCK
    while window // block > _USUAL_BLOCKS:
        block *= 2
    while window // block < FEWEST_BLOCKS:
        block //= 2
    blocks = window // block
    bins = min(_BINS, blocks // 2)
    angle = 2 * np.pi * np.outer(np.arange(1, bins + 1), np.arange(blocks)) / blocks
    table: NDArray[np.int16] = np.rint(np.stack([np.cos(angle), np.sin(angle)], 2) * ONE).astype(np.int16)
    return Summary(block, np.pad(table, ((0, 0), (0, blocks % 2), (0, 0))))
