"""Operations of a front end that work on rows one by one, and on a window: Split, Norm, Affine, Centre.

Each takes int16 rows (..., time, channels) and gives int16 rows; `Spectrum` is the other one, and Affine takes wide
rows too, which are int32. ``run`` takes a recording
in pieces: rows (time, channels) and what the call before kept (None at first) -> new rows, what to keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ditmos.errors import DitmosError
from ditmos.frontends.integers import WIDE_BITS, Int16, Int64, Rows, isqrt, sat16

ONE = 4096  # a deviation of 1 in rows that Affine and Centre standardise
LOW_BITS = 12  # fraction bits of a low-pass
MOST_SHIFT = 31
CALIBRATED_SHIFT = 16
MOST_CALIBRATION = 65535  # rows


class Operation(Protocol):
    """What all operations have."""

    def channels_out(self, channels: int) -> int:
        """Channels of the rows made of rows of ``channels``. Raises DitmosError where those do not fit."""
        ...

    def __call__(self, x: Any) -> Rows:
        """Whole recordings (..., time, channels)."""
        ...

    def run(self, x: Any, kept: Any) -> tuple[Rows, Any]:
        """The next piece of one recording."""
        ...


class _EachRow:
    """An operation that remembers nothing."""

    def run(self: Any, x: Rows, kept: None) -> tuple[Int16, None]:
        return self(x), None


@dataclass(frozen=True)
class Split:
    """Low-pass of one pole for each channel, corner fs / (2 pi 2^k): rows become (x - low, low). What gravity is to an
    accelerometer, and the resting level to a sensor of skin or temperature.

        low += ((x << 12) - low) >> k        low starts at x[0] << 12; out comes low >> 12
    """

    k: int

    def __post_init__(self) -> None:
        if not 1 <= self.k <= 15:
            raise DitmosError(f"split: k is {self.k}, expected 1 to 15")

    def channels_out(self, channels: int) -> int:
        return 2 * channels

    def __call__(self, x: Int16) -> Int16:
        return self._filter(x, x[..., 0, :].astype(np.int64) << LOW_BITS)[0]

    def run(self, x: Int16, kept: Int64 | None) -> tuple[Int16, Int64 | None]:
        if not len(x):
            return np.empty((0, 2 * x.shape[1]), np.int16), kept
        return self._filter(x, x[0].astype(np.int64) << LOW_BITS if kept is None else kept)

    def _filter(self, x: Int16, state: Int64) -> tuple[Int16, Int64]:
        values = x.astype(np.int64)
        low = np.empty_like(values)
        for t in range(values.shape[-2]):
            state = state + (((values[..., t, :] << LOW_BITS) - state) >> self.k)
            low[..., t, :] = state >> LOW_BITS
        return sat16(np.concatenate((values - low, low), -1)), state


@dataclass(frozen=True)
class Norm(_EachRow):
    """Adds a channel: the magnitude of ``count`` channels from ``first`` on, rounded down, at most 32767."""

    first: int
    count: int

    def __post_init__(self) -> None:
        if self.first < 0 or not 2 <= self.count <= 8:
            raise DitmosError(f"norm: {self.count} channels from {self.first}, expected 2 to 8 from 0 or later")

    def channels_out(self, channels: int) -> int:
        if self.first + self.count > channels:
            raise DitmosError(f"norm: channels {self.first} to {self.first + self.count - 1}, there are {channels}")
        return channels + 1

    def __call__(self, x: Int16) -> Int16:
        group = x[..., self.first : self.first + self.count].astype(np.int64)
        return np.concatenate((x, sat16(isqrt((group * group).sum(-1, keepdims=True)))), -1)


@dataclass(frozen=True, eq=False)
class Affine(_EachRow):
    """``y = sat16(((x - offset) * multiplier + 2^shift / 2) >> shift)``, for each channel its own. Of wide rows x has 8
    fraction bits more, which are rounded off last: ``offset`` counts for 256 of it, and ``shift`` is larger by 8.

    offset: int16. multiplier: int32, not negative. shift: 1 to 31. own: the device has a copy in RAM, which it can
    calibrate to its wearer; the numbers here are those of a stranger.
    """

    offset: Int16
    multiplier: NDArray[np.int32]
    shift: NDArray[np.uint8]
    own: bool = False

    def __post_init__(self) -> None:
        sizes = {len(v) for v in (self.offset, self.multiplier, self.shift)}
        if len(sizes) != 1:
            raise DitmosError(f"affine: {' or '.join(map(str, sorted(sizes)))} channels, expected one number")
        if len(self.shift) and not 1 <= self.shift.min() <= self.shift.max() <= MOST_SHIFT:
            raise DitmosError(f"affine: shifts {self.shift.min()} to {self.shift.max()}, expected 1 to {MOST_SHIFT}")
        if len(self.multiplier) and self.multiplier.min() < 0:
            raise DitmosError(f"affine: multiplier is {self.multiplier.min()}, expected at least 0")

    def channels_out(self, channels: int) -> int:
        if channels != len(self.offset):
            raise DitmosError(f"affine: {len(self.offset)} channels, the rows have {channels}")
        return channels

    def __call__(self, x: Rows) -> Int16:
        more = WIDE_BITS if x.dtype == np.int32 else 0
        shift = self.shift.astype(np.int64) + more
        product = (x.astype(np.int64) - (self.offset.astype(np.int64) << more)) * self.multiplier
        return sat16((product + (1 << (shift - 1))) >> shift)


@dataclass
class Statistics:
    """Sums over rows (time, channels), from which a device calibrates its `Affine`: at most 65,535 rows.

    The mean is rounded half up. The deviation has 4 fraction bits; below a quarter of a step a channel counts as one
    that does not change, and becomes 0.
    """

    count: int
    total: Int64
    squares: Int64

    @classmethod
    def none(cls, channels: int) -> Statistics:
        return cls(0, np.zeros(channels, np.int64), np.zeros(channels, np.int64))

    def add(self, rows: Int16) -> None:
        """Raises RuntimeError, and adds nothing, where the rows are too many."""
        if self.count + len(rows) > MOST_CALIBRATION:
            raise RuntimeError("calibrate takes at most 65535 rows")
        values = rows.astype(np.int64)
        self.count += len(rows)
        self.total = self.total + values.sum(0)
        self.squares = self.squares + (values * values).sum(0)

    def affine(self) -> Affine:
        """What makes a mean of 0 and a deviation of `ONE` of these rows."""
        n = self.count
        mean = (2 * self.total + n) // (2 * n)
        root = isqrt(n * self.squares - self.total * self.total)  # n times the deviation
        deviation = (32 * root + n) // (2 * n)  # 4 fraction bits
        multiplier = ((ONE << 20) + deviation // 2) // np.maximum(deviation, 1)
        steady = np.where(deviation < 4, 0, multiplier).astype(np.int32)
        return Affine(mean.astype(np.int16), steady, np.full(len(mean), CALIBRATED_SHIFT, np.uint8), own=True)


@dataclass(frozen=True)
class Centre:
    """Each channel of a window less its mean; with ``scale`` over its deviation too, `ONE` is a deviation of 1.

    Comes last, and belongs to a window as a whole: no row of it outlives it.
    """

    scale: bool = False

    def channels_out(self, channels: int) -> int:
        return channels

    def __call__(self, x: Int16) -> Int16:
        values = x.astype(np.int64)
        count = values.shape[-2]
        away = values - values.sum(-2, keepdims=True) // count
        if not self.scale:
            return sat16(away)
        deviation = np.maximum(isqrt((away * away).sum(-2, keepdims=True) // count), 1)
        return sat16((away * ONE + (deviation >> 1)) // deviation)

    def run(self, x: Int16, kept: None) -> tuple[Int16, None]:
        """Rows pass: centring waits for the window."""
        return x, None


def affine_of(mean: ArrayLike, deviation: ArrayLike, *, own: bool = False) -> Affine:
    """An `Affine` that makes a mean of 0 and a deviation of `ONE` of rows with these, int16 units; a channel whose
    deviation is 0 becomes 0."""
    mean, deviation = np.asarray(mean, np.float64), np.asarray(deviation, np.float64)
    factor = np.divide(ONE, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    # As many bits as int32 and the shift allow.
    shift = np.clip(30 - np.ceil(np.log2(np.maximum(factor, 2.0**-20))), 1, MOST_SHIFT).astype(np.uint8)
    multiplier = np.minimum(np.rint(factor * 2.0**shift), 2**31 - 1)
    return Affine(sat16(np.rint(mean)), multiplier.astype(np.int32), shift, own)
