"""Results of what a sensor on the board gives: a stream in which no samples go to the board."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ditmos.errors import DitmosError
from ditmos.link.stream import Result, Stream


class SensorStream(Stream):
    """Of the sensor that `ditmos.link.record.Sensor` has made on the board; arguments as of `Stream`."""

    def results(self) -> Generator[Result]:
        """Results, until the sensor ends or the caller stops iterating. Their latency is the time on the device.
        Nothing is begun again where the line breaks: those samples are gone.

        Raises:
            DitmosError: the sensor is not for the model, raised, or sends nothing; the board has fallen silent.
        """
        self._next = 0
        self._handed.clear()
        talk = self._talk
        try:
            self._start("h")
            while talk.ended is None:
                talk.pump()
                if talk.silent:
                    raise DitmosError(f"{self.board.port}: the board stopped sending results; it was reset, or stopped")
                while self._results:
                    yield self._results.popleft()
            talk.check()
            yield from self._results
        finally:
            talk.stop()

    def finish(self) -> None:
        """Have the board say its last counts, which are then in `counts.device`, and end."""
        self._talk.finish()

    def _wanted(self, expression: str, typecode: str) -> dict[str, Any]:
        return super()._wanted(expression, typecode) | {"sensor": True}
