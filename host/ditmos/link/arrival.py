"""How fast rows come from a source that makes them as time passes: a sensor behind stdin or a function."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

_LIVE = 0.8  # of the time is spent waiting for rows: the source is what sets the pace
_SECONDS = 3.0  # of a stretch that is measured; two in a row must agree, as what had piled up comes at once
_BLOCKS = 10  # in a stretch
TOLERANCE = 0.1  # of the rate: rows come in bursts


class Arrival:
    """Blocks (rows, channels) as they come, and when. Iterated once, by the thread that reads them."""

    def __init__(self, blocks: Iterable[NDArray], clock: Callable[[], float] = time.monotonic) -> None:
        self._blocks = iter(blocks)
        self._clock = clock
        self._before: float | None = None  # rate of the stretch before
        self.rate: float | None = None
        """Rows per second; None where it is not known, or not the source sets the pace but who takes the rows."""

    def __iter__(self) -> Iterator[NDArray]:
        count = rows = 0
        waited, first = 0.0, None
        began = self._clock()
        for block in self._blocks:
            now = self._clock()
            if first is None:
                first = now
            else:
                count, rows, waited = count + 1, rows + len(np.atleast_2d(block)), waited + now - began
            if now - first >= _SECONDS:
                live = count >= _BLOCKS and waited >= _LIVE * (now - first)
                self._judge(rows / (now - first) if live else None)
                count, rows, waited, first = 0, 0, 0.0, now
            yield block
            began = self._clock()

    def _judge(self, rate: float | None) -> None:
        agree = rate and self._before and abs(rate / self._before - 1) <= TOLERANCE
        self.rate, self._before = rate if agree else None, rate

    def problem(self, wanted: float) -> str | None:
        """What is to be said where rows come at another rate than ``wanted``, the model's; 0: it does not say."""
        rate = self.rate
        if not wanted or rate is None or abs(rate / wanted - 1) <= TOLERANCE:
            return None
        return f"rows come at {rate:.1f} a second, the model was made for {wanted:g}: its answers are worth nothing"
