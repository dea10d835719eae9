"""Spectrum: frames of samples -> logarithms of weighted sums of their power spectrum. Log-mel, band power.

For every channel by itself, N points:

    a[n] = (sat16(x[n] << shift) * window[n]) >> 16  window: 2^29 is 1, so |a| <= 2^28
    Y    = DFT(a) * 4 / N                            int32, rounded as `transform` does
    S[b] = floor + sum_k weight[b][k] * |Y[k]|^2     weight: 2^15 is 1; exact
    y[b] = sat16((log2(S[b]) - offset + 128) >> 8)   log2 and offset with 16 fraction bits, y with 8

Where it is wide, log2(S[b]) - offset goes on as it is, int32, to the Affine that must follow: what makes a deviation of
one of a level that hardly changes would show the steps of y.

The transform is a complex one of N / 2 points, radix 2, decimation in time, then the split of a real sequence. Its
first two stages are sums that are exact; every later one halves, and so does the split. A magnitude of at most
sqrt(2) * 2^28 grows fourfold in the first two and then no more, so no input overflows: there is no block exponent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ditmos.errors import DitmosError
from ditmos.frontends.integers import LONGEST, TURN_IM, TURN_RE, Int16, Int64, Rows, log2, narrow, sat16, turn

SHORTEST = 8  # points
WINDOW_ONE = 1 << 29
WEIGHT_ONE = 1 << 15
MOST_BANDS = 256
MOST_OFFSET = 1 << 24
_BLOCK = 1 << 20  # points transformed at a time


def _bit_reversed(n: int) -> NDArray[np.int64]:
    order = np.zeros(1, np.int64)
    while len(order) < n:
        order = np.concatenate((2 * order, 2 * order + 1))
    return order


def transform(a: ArrayLike) -> tuple[Int64, Int64]:
    """Real (..., N), at most 2^28 in magnitude -> real and imaginary part (..., N / 2 + 1) of DFT(a) * 4 / N."""
    a = np.asarray(a, np.int64)
    half = a.shape[-1] // 2
    order = _bit_reversed(half)
    re, im = a[..., 0::2][..., order], a[..., 1::2][..., order]
    h = 1
    while h < half:
        shape = (*a.shape[:-1], half // (2 * h), 2, h)
        re, im = re.reshape(shape), im.reshape(shape)
        ur, ui, vr, vi = re[..., 0, :], im[..., 0, :], re[..., 1, :], im[..., 1, :]
        if h == 2:  # times 1 and -i
            vr, vi = np.stack((vr[..., 0], vi[..., 1]), -1), np.stack((vi[..., 0], -vr[..., 1]), -1)
        elif h > 2:
            step = LONGEST // (2 * h)
            vr, vi = turn(vr, vi, TURN_RE[: h * step : step], TURN_IM[: h * step : step])
            ur, ui = ur >> 1, ui >> 1
        re, im = np.stack((ur + vr, ur - vr), -2), np.stack((ui + vi, ui - vi), -2)
        h *= 2
    return _split(re.reshape(*a.shape[:-1], half), im.reshape(*a.shape[:-1], half))


def _split(re: Int64, im: Int64) -> tuple[Int64, Int64]:
    """Z[k] of even + i odd samples -> bins 0 to N / 2, halved twice: E +- w O for bin k and the conjugate of bin
    N / 2 - k, where E = (Z[k] + conj Z[-k]) / 2 and O = -i (Z[k] - conj Z[-k]) / 2."""
    half = re.shape[-1]
    k = np.arange(half // 2 + 1)
    zr, zi = re[..., k] >> 1, im[..., k] >> 1
    yr, yi = re[..., -k % half] >> 1, im[..., -k % half] >> 1
    even_re, even_im, odd_re, odd_im = zr + yr, zi - yi, zi + yi, yr - zr
    step = LONGEST // (2 * half)
    tr, ti = turn(odd_re, odd_im, TURN_RE[k * step], TURN_IM[k * step])
    even_re, even_im = even_re >> 1, even_im >> 1
    out_re, out_im = (np.empty((*re.shape[:-1], half + 1), np.int64) for _ in range(2))
    out_re[..., half - k], out_im[..., half - k] = even_re - tr, ti - even_im
    out_re[..., k], out_im[..., k] = even_re + tr, even_im + ti
    return out_re, out_im


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Frames of ``frame`` samples every ``hop`` -> rows: ``len(starts)`` bands of each channel, a channel's together.

    window: int32 (frame,), 2^29 is 1. starts: first bin of each band. weights: of its bins, uint16, 2^15 is 1.
    floor, offset, shift, wide: see the top of the file.
    """

    frame: int
    hop: int
    points: int
    window: NDArray[np.int32]
    starts: NDArray[np.int64]
    weights: tuple[NDArray[np.uint16], ...]
    floor: int
    offset: int
    shift: int = 0
    wide: bool = False

    def __post_init__(self) -> None:
        def need(ok: bool, what: str) -> None:
            if not ok:
                raise DitmosError(f"spectrum: {what}")

        power = self.points > 0 and self.points & (self.points - 1) == 0
        limits = f"expected a power of 2 from {SHORTEST} to {LONGEST}"
        need(power and SHORTEST <= self.points <= LONGEST, f"{self.points} points, {limits}")
        need(
            2 <= self.frame <= self.points and self.frame % 2 == 0,
            f"frame of {self.frame}, expected an even number up to {self.points} points",
        )
        need(1 <= self.hop <= self.frame, f"hop of {self.hop}, expected 1 to the frame of {self.frame}")
        need(
            self.window.shape == (self.frame,) and bool((np.abs(self.window.astype(np.int64)) <= WINDOW_ONE).all()),
            f"window expected to have {self.frame} values within +-{WINDOW_ONE}",
        )
        need(1 <= len(self.starts) <= MOST_BANDS, f"{len(self.starts)} bands, expected 1 to {MOST_BANDS}")
        need(len(self.starts) == len(self.weights), f"{len(self.weights)} rows of weights, {len(self.starts)} bands")
        for band, (start, row) in enumerate(zip(self.starts, self.weights, strict=True)):
            ok = len(row) >= 1 and start >= 0 and start + len(row) <= self.points // 2 + 1
            need(ok, f"band {band} has bins {start} to {start + len(row) - 1}, there are {self.points // 2 + 1}")
        need(1 <= self.floor < 1 << 63, f"floor is {self.floor}, expected 1 to 2^63 - 1")
        need(abs(self.offset) <= MOST_OFFSET, f"offset is {self.offset}, expected within +-{MOST_OFFSET}")
        need(0 <= self.shift <= 15, f"shift is {self.shift}, expected 0 to 15")

    def channels_out(self, channels: int) -> int:
        return channels * len(self.starts)

    def __call__(self, x: Int16) -> Rows:
        """(..., time, channels) -> (..., frames, channels * bands): int16, or int32 where it is wide."""
        frames = np.lib.stride_tricks.sliding_window_view(x, self.frame, axis=-2)[..., :: self.hop, :, :]
        shape = frames.shape[:-1]  # (..., frames, channels)
        flat = frames.reshape(-1, self.frame)
        rows = np.empty((len(flat), len(self.starts)), self._type)
        block = max(1, _BLOCK // self.points)
        for i in range(0, len(flat), block):
            logs = self._logs(flat[i : i + block])
            rows[i : i + block] = logs if self.wide else narrow(logs)
        return rows.reshape(*shape[:-1], -1)

    def run(self, x: Int16, kept: Int16 | None) -> tuple[Rows, Int16]:
        """The next samples (time, channels) and what the call before kept -> new rows, what to keep."""
        x = x if kept is None else np.concatenate((kept, x))
        count = max(0, (len(x) - self.frame) // self.hop + 1)
        if count == 0:
            return np.empty((0, self.channels_out(x.shape[1])), self._type), x
        return self(x[: (count - 1) * self.hop + self.frame]), x[count * self.hop :]

    @property
    def _type(self) -> type[np.int16] | type[np.int32]:
        return np.int32 if self.wide else np.int16

    def _logs(self, frames: Int16) -> NDArray[np.int32]:
        """(frames, samples) of one channel -> (frames, bands), with 16 fraction bits."""
        a = np.zeros((len(frames), self.points), np.int64)
        a[:, : self.frame] = sat16(frames.astype(np.int64) << self.shift) * self.window.astype(np.int64) >> 16
        re, im = transform(a)
        power = (re * re + im * im).astype(np.uint64)
        low, high = power & np.uint64(0xFFFFFFFF), power >> np.uint64(32)
        logs = np.empty((len(frames), len(self.starts)), np.int32)
        for band, (start, row) in enumerate(zip(self.starts, self.weights, strict=True)):
            weight, bins = row.astype(np.uint64), slice(int(start), int(start) + len(row))
            low_sum = low[:, bins] @ weight + np.uint64(self.floor & 0xFFFFFFFF)
            high_sum = high[:, bins] @ weight + np.uint64(self.floor >> 32) + (low_sum >> np.uint64(32))
            logs[:, band] = log2(high_sum, low_sum & np.uint64(0xFFFFFFFF)) - self.offset
        return logs


def hann(length: int) -> NDArray[np.int32]:
    """Periodic Hann window, 2^29 is 1."""
    return np.rint((0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)) * WINDOW_ONE).astype(np.int32)


def bank(matrix: ArrayLike) -> tuple[NDArray[np.int64], tuple[NDArray[np.uint16], ...]]:
    """Weights (bands, bins) from 0 to 1 -> starts and rows without the zeros on both sides."""
    starts, rows = [], []
    for row in np.rint(np.asarray(matrix, np.float64) * WEIGHT_ONE).astype(np.uint16):
        used = np.flatnonzero(row)
        first, end = (used[0], used[-1] + 1) if len(used) else (0, 1)
        starts.append(int(first))
        rows.append(row[first:end])
    return np.array(starts), tuple(rows)


def shift_for(full: float) -> int:
    """The shift that brings raw values of magnitude ``full`` just below 2^15."""
    return int(np.clip(np.floor(np.log2(32768 / full)), 0, 15))
