"""Rows of a sensor on their way to the host, at the sensor's own rate (docs/protocol.md)."""

import time
from array import array

import uctypes

from .framing import PAYLOAD, SAMPLES
from .serve import Server

_FULL = 100  # frames waiting for the host before rows are lost: 10 KB


class Recorder(Server):
    """Reads `sensor` (device/sensors.py) `rows` times, then ends; 0: until the host ends it."""

    def __init__(self, sensor, rows):
        self.sensor = sensor
        self.rows = rows
        self.done = self.lost = 0
        self._row = array("h", [0] * len(sensor.channels))
        self._bytes = uctypes.bytearray_at(uctypes.addressof(self._row), 2 * len(self._row))
        # Some rows go in one frame, but none waits for longer than a tenth of a second.
        self._most = max(1, min(PAYLOAD // len(self._bytes), int(sensor.rate / 10)))
        self._waiting = bytearray()
        self._period = int(1000000 / sensor.rate)
        super().__init__(
            {
                "channels": list(sensor.channels),
                "units": sensor.units,
                "scale": sensor.scale,
                "rate": sensor.rate,
            }
        )
        self._due = time.ticks_us()

    def step(self):
        if self.over:
            return 5
        left = time.ticks_diff(self._due, time.ticks_us())
        if left > 0:
            return min(5, left // 1000)
        self._due = time.ticks_add(self._due, self._period)
        self.sensor.read(self._row)
        if self.link.queued() > _FULL:
            self.lost += 1
        else:
            self._waiting += self._bytes
        self.done += 1
        last = self.done == self.rows
        if self._waiting and (last or len(self._waiting) >= self._most * len(self._bytes)):
            self.link.send(SAMPLES, self._waiting)
            self._waiting = bytearray()
        if last:
            self.finish(lost=self.lost)
        return 0


def record(sensor, rows=0):
    """Send `rows` rows of a sensor to the host; 0: until the host ends it, is gone for 10 s, or Ctrl-C."""
    Recorder(sensor, rows).run()
