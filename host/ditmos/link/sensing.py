"""Results of what a sensor on the board gives: a stream in which no samples go to the board."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.framing import RESULT, SAMPLES
from ditmos.link.repl import Repl
from ditmos.link.stream import Result, Stream

Show = Literal["samples", "level"]


class SensorStream(Stream):
    """Of the sensor that `ditmos.link.record.Sensor` has made on the board; other arguments as of `Stream`.

    show: what the host sees of the sensor: its raw samples, or the level of each hop (root of the mean square about the
    mean, in raw steps, of the channel that has most); None: nothing.
    """

    def __init__(self, board: Repl, *, show: Show | None = None, **options: Any) -> None:
        super().__init__(board, **options)
        self._show = show
        self._heard: list[bytes] = []  # since the last result
        self._behind: list[bytes] = []  # before each of the results that wait

    def results(self) -> Generator[Result]:
        """Results, until the sensor ends or the caller stops iterating. Their latency is the time on the device.
        Nothing is begun again where the line breaks: those samples are gone.

        Raises:
            DitmosError: the sensor is not for the model, raised, or sends nothing; the board has fallen silent.
        """
        for result, _ in self.seen():
            yield result

    def seen(self) -> Generator[tuple[Result, NDArray[np.int16]]]:
        """The same, each with the rows (some, channels) that are shown, up to the last one of its window: those since
        the result before it. Raises as `results`."""
        self._next = 0
        self._handed.clear()
        talk = self._talk
        try:
            self._start("h")
            while talk.ended is None and not self._left:
                self._offers.send(talk.link)
                talk.pump()
                if talk.silent:
                    raise DitmosError(f"{self.board.port}: the board stopped sending results; it was reset, or stopped")
                while self._results:
                    yield self._next_seen()
            talk.check()
            while self._results:
                yield self._next_seen()
        finally:
            talk.stop()

    def finish(self) -> None:
        """Have the board say its last counts, which are then in `counts.device`, and end."""
        self._talk.finish()

    def _next_seen(self) -> tuple[Result, NDArray[np.int16]]:
        width = 1 if self._show == "level" else self.channels
        rows = np.frombuffer(self._behind.pop(0), "<i2").astype(np.int16)
        return self._results.popleft(), rows.reshape(-1, width)

    def _deliver(self, kind: int, payload: memoryview) -> bool:
        if kind == SAMPLES:
            self._heard.append(bytes(payload))
            return True
        if kind == RESULT:
            self._behind.append(b"".join(self._heard))
            self._heard.clear()
        return super()._deliver(kind, payload)

    def _wanted(self, expression: str, typecode: str) -> dict[str, Any]:
        return super()._wanted(expression, typecode) | {"sensor": True, "show": self._show}
