"""How fast rows come from a source that makes them as time passes: a sensor behind stdin or a function."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

_LIVE = 0.8  # of the time is spent waiting for rows: the source is what sets the pace
_SECONDS = 3.0  # before a rate is said
_BLOCKS = 20
TOLERANCE = 0.1  # of the model's rate: rows come in bursts


class Arrival:
    """Blocks (rows, channels) as they come, and when. Iterated once, by the thread that reads them."""

    def __init__(self, blocks: Iterable[NDArray], clock: Callable[[], float] = time.monotonic) -> None:
        self._blocks = iter(blocks)
        self._clock = clock
        self._count = self._rows = 0  # after the first block
        self._waited = self._first = self._last = 0.0

    def __iter__(self) -> Iterator[NDArray]:
        began = self._clock()
        for block in self._blocks:
            now = self._clock()
            if self._first:
                self._count += 1
                self._rows += len(np.atleast_2d(block))
                self._waited += now - began
            else:
                self._first = now
            self._last = now
            yield block
            began = self._clock()

    @property
    def rate(self) -> float | None:
        """Rows per second; None where it is not known, or not the source sets the pace but who takes the rows."""
        span = self._last - self._first
        if span < _SECONDS or self._count < _BLOCKS or self._waited < _LIVE * span:
            return None
        return self._rows / span

    def problem(self, wanted: float) -> str | None:
        """What is to be said where rows come at another rate than ``wanted``, the model's; 0: it does not say."""
        rate = self.rate
        if not wanted or rate is None or abs(rate / wanted - 1) <= TOLERANCE:
            return None
        return f"rows come at {rate:.1f} a second, the model was made for {wanted:g}: its answers are worth nothing"
