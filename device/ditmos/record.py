"""Rows of a sensor on their way to the host, at the sensor's own rate (docs/protocol.md)."""

import time
from array import array

import uctypes

from .framing import PAYLOAD, SAMPLES
from .serve import Server

_FULL = 100  # frames waiting for the host before rows are lost: 10 KB
_BEHIND = 60000000  # us that reading may be late and catch up; beyond, the time that passed is given up


class Row:
    """What a driver writes a row's values to: raw integers of 16 bits with a sign, nothing else."""

    def __init__(self, sensor):
        self._sensor = sensor
        self.values = array("h", [0] * len(sensor.channels))

    def __len__(self):
        return len(self.values)

    def __getitem__(self, i):
        return self.values[i]

    def __setitem__(self, i, value):
        if isinstance(i, slice):
            value = list(value)
            if len(self.values[i]) != len(value):
                raise ValueError(
                    "%s: %d values, expected %d" % (type(self._sensor).__name__, len(value), len(self.values[i]))
                )
            for k, each in zip(list(range(len(self.values)))[i], value):
                self[k] = each
        elif isinstance(value, int) and -32768 <= value <= 32767:
            self.values[i] = value
        else:
            raise ValueError(
                "%s: channel %s is %s, expected an integer from -32768 to 32767"
                % (type(self._sensor).__name__, self._sensor.channels[i], value)
            )


class Recorder(Server):
    """Reads `sensor` (device/sensors.py) `rows` times, then ends; 0: until the host ends it.

    The last message says how many rows were `lost`, for want of room on the line, and the `span` from the first to the
    last one, in microseconds.
    """

    def __init__(self, sensor, rows):
        self.sensor = sensor
        self.rows = rows
        self.done = self.lost = self.span = 0
        self._row = Row(sensor)
        values = self._row.values
        self._bytes = uctypes.bytearray_at(uctypes.addressof(values), 2 * len(values))
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
        self._due = self._last = time.ticks_us()

    def step(self):
        if self.over:
            return 5
        now = time.ticks_us()
        late = time.ticks_diff(now, self._due)
        if late < 0:
            return min(5, -late // 1000)
        if late > _BEHIND:
            self._due = now
        self._due = time.ticks_add(self._due, self._period)
        if self.done:
            self.span += time.ticks_diff(now, self._last)
        self._last = now
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
            self.finish(lost=self.lost, span=self.span)
        return 0


def record(sensor, rows=0):
    """Send `rows` rows of a sensor to the host; 0: until the host ends it, is gone for 10 s, or Ctrl-C."""
    Recorder(sensor, rows).run()
