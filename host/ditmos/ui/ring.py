"""The newest rows of a signal, and what of them a screen can show."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BYTES = 32 << 20  # of a ring; 1,000 seconds of sound at 16 kHz
MOST_ROWS = 1 << 20


class Envelope(NamedTuple):
    """Extremes of bins of ``step`` rows, the first of which is number ``first``: low, high (bins, channels)."""

    first: int
    step: int
    low: NDArray
    high: NDArray


class Ring:
    """Rows (channels,) numbered from 0; those older than ``capacity`` rows are forgotten. Threads may share it."""

    def __init__(self, channels: int, dtype: np.dtype, capacity: int | None = None) -> None:
        rows = capacity or min(MOST_ROWS * 16, BYTES // (dtype.itemsize * channels))
        self._rows = np.zeros((rows, channels), dtype)
        self._lock = threading.Lock()
        self.end = 0

    @property
    def capacity(self) -> int:
        return len(self._rows)

    @property
    def channels(self) -> int:
        return self._rows.shape[1]

    @property
    def first(self) -> int:
        """Number of the oldest row that is there."""
        return max(0, self.end - self.capacity)

    def append(self, rows: NDArray) -> None:
        kept = rows[-self.capacity :]
        with self._lock:
            self.end += len(rows)
            self._rows[np.arange(self.end - len(kept), self.end) % self.capacity] = kept

    def rows(self, start: int, stop: int) -> NDArray:
        """A copy of rows start to stop, of those that are there."""
        with self._lock:
            start, stop = max(start, self.first), min(stop, self.end)
            return self._rows[np.arange(start, max(start, stop)) % self.capacity]

    def envelope(self, start: int, stop: int, step: int) -> Envelope:
        """Of rows start to stop, in bins that begin at multiples of ``step``: a bin is the same whenever it is asked
        for, but for the newest, which may grow."""
        first = -(-max(start, self.first) // step)
        rows = self.rows(first * step, stop)
        if not len(rows):
            return Envelope(first, step, rows, rows)
        cuts = np.arange(0, len(rows), step)
        return Envelope(first, step, np.minimum.reduceat(rows, cuts), np.maximum.reduceat(rows, cuts))
