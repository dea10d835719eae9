"""What of a history one page shows: where it looks, and what it has not been told yet."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.routing import NAMES, name_of
from ditmos.ui.colours import colours_of
from ditmos.ui.history import Answer, History
from ditmos.ui.sonogram import BANDS, sonogram

SPANS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)  # seconds
SOUND = 2000.0  # rows a second from which a signal is shown as sound
BIN = 1.5  # pixels of a bin
WIDTH = 1000  # pixels, until the page says how wide it is


class Sight:
    """A stretch of ``span`` seconds that ends at row ``stop``, or follows the newest where that is None."""

    def __init__(self, history: History, span: float = 20.0) -> None:
        self.history = history
        wanted = max(span, 4 * history.window / history.rate)
        self.span = next((known for known in SPANS if known >= wanted), SPANS[-1])
        self.stop: int | None = None
        self._width = WIDTH
        self._told: int | None = None  # bins that the page has, up to this one
        self._number = -1  # of the last answer that it has

    @property
    def following(self) -> bool:
        return self.stop is None

    def setup(self) -> dict[str, Any]:
        """What does not change: names, colours, scales."""
        history = self.history
        signal = history.signal
        whos = [*range(history.classifiers), *NAMES]
        return {
            "names": list(signal.channels),
            "units": list(signal.units),
            "scales": list(signal.scales),
            "rate": history.rate,
            "hop": history.hop,
            "classes": list(signal.class_names),
            "colours": colours_of(history.classifiers),
            "whos": {who: str(who) if who < history.classifiers else name_of(who) for who in whos},
            "names_of_who": {who: name_of(who) for who in whos},
            "sound": self.is_sound,
            "truth": any(answer.truth is not None for answer in history.last(3)),
        }

    @property
    def is_sound(self) -> bool:
        return self.history.rate >= SOUND and self.history.ring.channels <= 2

    def change(self, asked: dict[str, Any]) -> None:
        """Look elsewhere: ``width`` of the page, ``zoom`` factor, ``stop`` row, ``follow``, or ``toggle`` that."""
        end = self.history.ring.end
        if width := asked.get("width"):
            self._width = max(100, min(8000, int(width)))
        if zoom := asked.get("zoom"):
            at = SPANS.index(self.span) + (1 if float(zoom) > 1 else -1)
            self.span = SPANS[min(max(at, 0), len(SPANS) - 1)]
        if (stop := asked.get("stop")) is not None:
            least = self.history.ring.first + self._rows
            self.stop = None if int(stop) >= end else max(int(stop), min(least, end))
        if asked.get("toggle"):
            self.stop = end if self.stop is None else None
        if asked.get("follow"):
            self.stop = None
        self._told, self._number = None, -1

    @property
    def _rows(self) -> int:
        return max(2, round(self.span * self.history.rate))

    def news(self) -> dict[str, Any] | None:
        """What the page does not have yet; None where that is nothing."""
        history = self.history
        ring = history.ring
        stop = ring.end if self.stop is None else self.stop
        step = max(1, round(self._rows / (self._width / BIN)))
        reset = self._told is None
        start = stop - self._rows
        if not reset and self.stop is not None:
            return None
        answers = history.between(max(0, start), stop) if reset else history.since(self._number + 1)
        answers = [answer for answer in answers if answer.stop <= stop]  # one that came since is told with its rows
        if self._told == stop and not answers:
            return None
        since = start if self._told is None else max(start, self._told // step * step)
        found = ring.envelope(max(0, since), stop, step)
        news = {
            "reset": reset,
            "view": {"start": start, "stop": stop, "step": step},
            "first": found.first,
            "low": packed(found.low),
            "high": packed(found.high),
            "answers": [_row(answer) for answer in answers],
        }
        if self.is_sound and len(found.low):
            full = 32768.0 if ring.rows(0, 0).dtype == np.int16 else 1.0
            first = max(found.first - 512 // step - 1, start // step, 0)  # those that lacked their second half
            values = sonogram(ring, first, found.first + len(found.low) - first, step, full)
            news |= {"firstSpectrum": first, "bands": BANDS, "spectrum": text_of(values)}
        self._told = stop
        if answers:
            self._number = answers[-1].result.number
        return news


def _row(answer: Answer) -> list[Any]:
    result = answer.result
    label = -1 if result.label is None else result.label
    sure = None if result.confidence is None else round(result.confidence, 3)
    truth = -1 if answer.truth is None else answer.truth
    return [result.number, answer.stop, label, result.who, sure, truth, -1 if answer.event is None else answer.event]


def packed(values: NDArray) -> str:
    """float32, for the page."""
    return text_of(values.astype("<f4"))


def text_of(values: NDArray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
