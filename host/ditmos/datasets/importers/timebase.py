"""Signals onto one clock: rates measured from time stamps, gaps found, anti-aliased resampling, one grid of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.dataset import one_or_each
from ditmos.datasets.importers.needs import need
from ditmos.datasets.importers.recording import Recording, Signal
from ditmos.errors import DitmosError

TOLERANCE = 0.02  # rates that differ by less are the same: no sensor's clock is exact
_NOMINAL = 0.005  # a measured rate so near to a round one is that
_MOST = 50_000_000  # rows of a recording: more are a wrong time stamp
_RATIO = 1000, 200_000  # denominators of a ratio of rates: usual, and of long recordings, which must not drift
_COARSE = 0.1  # of the steps in time are zero: the stamps are coarser than the rate


@dataclass(frozen=True)
class Pace:
    """rate: rows per second. gap: a longer step in seconds is a gap."""

    rate: float
    gap: float


@dataclass(frozen=True)
class Grid:
    """Rows on one clock. samples: (rows, channels) int16 counts (``scale`` real units each) or float64 with NaN where
    nothing was measured. labels: (rows,) names, "" for none. start: seconds of the first row. uneven: rows that were
    interpolated because their time stamps are uneven. scale: one, or one a channel."""

    samples: NDArray
    channels: tuple[str, ...]
    units: tuple[str, ...]
    labels: NDArray[np.str_] | None
    rate: float
    start: float
    scale: float | tuple[float, ...] | None
    uneven: int = 0
    clipped: int = 0

    def __len__(self) -> int:
        return len(self.samples)


def pace(times: NDArray[np.float64]) -> Pace | None:
    """Rate and gaps of rows that are in order; None where there are too few. Gaps do not count for the rate."""
    steps = np.diff(times)
    if steps.size < 2 or not steps.max() > 0:
        return None
    middle = float(np.median(steps))
    spread = float(np.median(np.abs(steps - middle)))
    gap = 1.5 * middle + 6 * spread
    mean = float(steps[steps <= gap].mean())
    return Pace(1 / mean, gap) if mean > 0 else None


def spread_stamps(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stamps coarser than the rate (whole seconds at 50 Hz): rows of one stamp spread evenly until the next."""
    steps = np.diff(times)
    if steps.size < 2 or np.mean(steps == 0) < _COARSE or not steps.max() > 0:
        return times
    firsts = np.flatnonzero(np.concatenate([[True], steps > 0]))
    counts = np.diff(np.append(firsts, len(times)))
    usual, full = float(np.median(np.diff(times[firsts]))), float(np.median(counts))
    # Rows were lost where a stamp has far fewer than usual; the first and the last may have been met half way.
    ends = np.isin(np.arange(len(counts)), (0, len(counts) - 1))
    slots = np.where((counts < 0.8 * full) | (ends & (counts < full)), full, counts)
    within = np.arange(len(times)) - np.repeat(firsts, counts) + 0.0
    within[: counts[0]] += slots[0] - counts[0]
    return np.repeat(times[firsts], counts) + within * usual / np.repeat(slots, counts)


def nominal(rate: float) -> float:
    """The round number that a measured rate is meant to be, else the rate with four digits."""
    for digits in (1, 2):
        near = float(f"{rate:.{digits}g}")
        if abs(rate - near) <= _NOMINAL * rate:
            return near
    whole = round(rate)
    return float(whole) if whole and abs(rate - whole) <= _NOMINAL * rate else float(f"{rate:.4g}")


def rate_of(signal: Signal) -> float | None:
    """Rows per second as the file says, else as its time stamps say."""
    if signal.rate is not None or signal.times is None:
        return signal.rate
    measured = pace(signal.times)
    return measured.rate if measured else None


def same_rate(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE * other


@dataclass(frozen=True)
class _Piece:
    samples: NDArray
    labels: NDArray[np.str_] | None
    start: float
    uneven: int = 0


def _pieces(signal: Signal, rate: float, fill: float) -> list[_Piece]:
    """Stretches without a gap; rows with uneven stamps are interpolated, others stay as they are."""
    if signal.times is None:
        return [_Piece(bridge(signal.samples, fill * rate), signal.labels, signal.start)]
    measured = pace(signal.times)
    if measured is None:
        return [_Piece(signal.samples, signal.labels, float(signal.times[0]))] if len(signal.times) else []
    cuts = np.flatnonzero(np.diff(signal.times) > max(measured.gap, fill)) + 1
    result = []
    for rows in np.split(np.arange(len(signal.times)), cuts):
        times, samples = signal.times[rows], bridge(signal.samples[rows], fill * rate)
        labels = None if signal.labels is None else signal.labels[rows]
        even = times[0] + np.arange(len(rows)) / measured.rate
        if np.abs((times - even) - np.median(times - even)).max() <= 0.75 / measured.rate:
            result.append(_Piece(samples, labels, float(times[0])))
            continue
        even = np.arange(times[0], times[-1] + 0.5 / measured.rate, 1 / measured.rate)
        values = np.column_stack([np.interp(even, times, column) for column in samples.T.astype(float)])
        near = np.clip(np.searchsorted(times, even), 0, len(times) - 1)
        result.append(_Piece(values, None if labels is None else labels[near], float(times[0]), len(rows)))
    return result


def bridge(samples: NDArray, most: float) -> NDArray:
    """(rows, channels) with straight lines over missing values, where no more than ``most`` are missing in a row."""
    if samples.dtype == np.int16 or most < 1 or np.isfinite(samples).all():
        return samples
    samples = samples.copy()
    place = np.arange(len(samples))
    for column in samples.T:
        missing = np.isnan(column)
        if missing.all():
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[0], missing, [0]])))
        for first, last in edges.reshape(-1, 2):
            if last - first <= most and first > 0 and last < len(column):
                column[first:last] = np.interp(place[first:last], [first - 1, last], column[[first - 1, last]])
    return samples


def resample(samples: NDArray, rate: float, to: float) -> NDArray[np.float64]:
    """(rows, channels) at another rate, by a polyphase filter that lets nothing alias.

    A level stays what it is, also at the ends. Rows with NaN must not come in. The last row is off by half a row at
    most, of more than 200,000 rows by as many times that.
    """
    ratio = Fraction(to / rate).limit_denominator(min(max(_RATIO[0], len(samples)), _RATIO[1]))
    if ratio == 1 or len(samples) == 0:
        return samples.astype(np.float64)
    up, down = ratio.numerator, ratio.denominator
    if len(samples) == 1:  # no line goes through one row
        return np.repeat(samples.astype(np.float64), max(1, round(up / down)), axis=0)
    signal = need("scipy.signal", "other rates")
    level = np.ones((len(samples), 1))  # of which the filter's phases make somewhat more, or less
    made = signal.resample_poly(np.hstack([samples, level]), up, down, axis=0, padtype="line")
    return made[:, :-1] / made[:, -1:]


def _at_rate(piece: _Piece, rate: float, to: float) -> list[_Piece]:
    """The piece at rate ``to``; stretches between missing values each by themselves."""
    finite = np.isfinite(piece.samples).all(1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], finite, [False]]).astype(np.int8)))
    result = []
    for first, last in edges.reshape(-1, 2):
        samples = resample(piece.samples[first:last], rate, to)
        near = np.clip(np.rint(np.arange(len(samples)) * rate / to).astype(int), 0, last - first - 1)
        labels = None if piece.labels is None else piece.labels[first:last][near]
        result.append(_Piece(samples, labels, piece.start + first / rate, piece.uneven))
    return result


def join(recording: Recording, to: float, stated: float | None = None, fill: float = 0.0) -> Grid:
    """The recording's signals side by side at ``to`` rows per second, from where all have begun until one ends.

    stated: rate of signals that do not say their own. fill: seconds; shorter gaps are bridged by a straight line.
    Rows are moved by half a row at most, to lie on the grid.

    Raises:
        DitmosError: a signal without a rate, or signals with no time in common.
    """
    parts: list[tuple[Signal, list[_Piece]]] = []
    clipped = 0
    for signal in recording.signals:
        rate = rate_of(signal) or stated
        if rate is None:
            raise DitmosError(f"{recording.path}: it does not say its rate; give --rate (rows per second)")
        pieces = _pieces(signal, rate, fill)
        if _as_they_are(signal, rate, to, alone=len(recording.signals) == 1 and not recording.spans):
            pieces = _apart(pieces, to)
        else:
            pieces = [part for piece in pieces for part in _at_rate(piece, rate, to)]
            if signal.scale is not None:  # counts of a converter stay counts
                clipped += sum(int((np.abs(p.samples) > 32767).sum()) for p in pieces)
                pieces = [_Piece(np.rint(p.samples).clip(-32768, 32767).astype(np.int16), *_rest(p)) for p in pieces]
        parts.append((signal, [piece for piece in pieces if len(piece.samples)]))
    if not all(pieces for _, pieces in parts):
        raise DitmosError(f"{recording.path}: a signal has no rows")
    start = max(min(piece.start for piece in pieces) for _, pieces in parts)
    stop = min(max(piece.start + (len(piece.samples) - 1) / to for piece in pieces) for _, pieces in parts)
    rows = int(np.floor((stop - start) * to + 1e-6)) + 1
    if rows < 1:
        raise DitmosError(f"{recording.path}: its signals have no time in common")
    if rows * len(recording.signals) > _MOST:
        raise DitmosError(f"{recording.path}: its time stamps span {rows / to / 86400:.3g} days: look for a wrong one")
    return _grid(recording, parts, to, start, rows, clipped)


def _rest(piece: _Piece) -> tuple:
    return piece.labels, piece.start, piece.uneven


def _as_they_are(signal: Signal, rate: float, to: float, alone: bool) -> bool:
    """Rows need no resampling: the rates are the same, and what lies beside them on the clock, other signals or labels
    by time, does not drift away by half a row."""
    drift = abs(to / rate - 1) * len(signal.samples)
    return same_rate(rate, to) and (alone or drift < 0.5)


def _apart(pieces: Sequence[_Piece], to: float) -> list[_Piece]:
    """Rows taken as they are may last longer than they did: a piece begins a missing row or more behind the last."""
    result: list[_Piece] = []
    free = -np.inf
    for piece in pieces:
        result.append(replace(piece, start=max(piece.start, free)))
        free = result[-1].start + (len(piece.samples) + 1) / to
    return result


def _grid(
    recording: Recording, parts: Sequence[tuple[Signal, list[_Piece]]], to: float, start: float, rows: int, clipped: int
) -> Grid:
    channels = tuple(name for signal in recording.signals for name in signal.channels)
    units = tuple(name for signal in recording.signals for name in signal.units)
    uneven = sum(piece.uneven for _, pieces in parts for piece in pieces)
    labels: NDArray[np.str_] | None = None
    if len(parts) == 1 and len(parts[0][1]) == 1:  # the usual case: nothing to join
        piece = parts[0][1][0]
        return Grid(piece.samples, channels, units, piece.labels, to, start, parts[0][0].scale, uneven, clipped)
    counts = all(p.samples.dtype == np.int16 for _, pieces in parts for p in pieces)
    table = np.full((rows, len(channels)), np.nan)
    column = 0
    for signal, pieces in parts:
        factor = np.asarray(1.0 if counts or signal.scale is None else signal.scale)
        width = len(signal.channels)
        for piece in pieces:
            first = round((piece.start - start) * to)
            low, high = max(first, 0), min(first + len(piece.samples), rows)
            if low < high:
                table[low:high, column : column + width] = piece.samples[low - first : high - first] * factor
                if piece.labels is not None:
                    labels = np.full(rows, "", object) if labels is None else labels
                    labels[low:high] = piece.labels[low - first : high - first]
        column += width
    scale = _scale_of(recording) if counts else None
    whole = counts and bool(np.isfinite(table).all())
    if counts and not whole and scale is not None:
        table, scale = table * np.asarray(scale), None
    return Grid(table.astype(np.int16) if whole else table, channels, units, labels, to, start, scale, uneven, clipped)


def _scale_of(recording: Recording) -> float | tuple[float, ...] | None:
    """Of counts of all signals side by side; None where no signal says it."""
    if all(signal.scale is None for signal in recording.signals):
        return None
    own = (np.broadcast_to(1.0 if s.scale is None else s.scale, len(s.channels)) for s in recording.signals)
    return one_or_each(np.concatenate([*own]).tolist())
