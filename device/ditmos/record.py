"""Rows of a sensor on their way to the host, at the sensor's own rate (docs/protocol.md)."""

import gc
import time
from array import array

import uctypes

from .capture import Watch, start
from .framing import PAYLOAD, SAMPLES
from .serve import Server

_FULL = 100  # frames waiting for the host before rows are lost: 10 KB
_SENDING = 8  # frames handed to the line at a time, of what waits in RAM
_RESERVE = 65536  # bytes of heap left to everything else while rows wait in RAM
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


def about(sensor):
    """What the first message says of a sensor."""
    return {
        "channels": list(sensor.channels),
        "units": sensor.units,
        "scale": sensor.scale,
        "rate": sensor.rate,
    }


def room():
    """Bytes of heap in which rows can wait for the line."""
    gc.collect()
    return max(0, gc.mem_free() - _RESERVE)


class Recorder(Server):
    """Reads `sensor` (device/sensors.py) `rows` times, then ends; 0: until the host ends it.

    The last message says how many rows were `lost`, for want of room on the line, how many values were `clipped`, and
    the `span` from the first row to the last one, in microseconds.
    """

    def __init__(self, sensor, rows):
        self.sensor = sensor
        self.rows = rows
        self.done = self.lost = self.span = 0
        self._row = Row(sensor)
        self._watch = Watch(sensor)
        values = self._row.values
        self._bytes = uctypes.bytearray_at(uctypes.addressof(values), 2 * len(values))
        # Some rows go in one frame, but none waits for longer than a tenth of a second.
        self._most = max(1, min(PAYLOAD // len(self._bytes), int(sensor.rate / 10)))
        self._waiting = bytearray()
        self._period = int(1000000 / sensor.rate)
        super().__init__(about(sensor))
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
        self._watch(self._row.values)
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
            self.finish()
        return 0

    def status(self):
        counts = super().status()
        counts.update(lost=self.lost, span=self.span, clipped=self._watch.clipped)
        return counts


class Blocks(Server):
    """The same of a sensor that gives blocks (`readinto`), which may be faster than the line: rows wait in RAM. So a
    recording that fits into it (`room`) comes whole, at the line's pace. `clipped`: values that were limited.
    """

    def __init__(self, sensor, rows):
        width = len(sensor.channels)
        self.sensor = sensor
        self.rows = rows
        self.done = self.lost = self.span = 0
        self._first = 0  # rows of the first block
        self._watch = Watch(sensor)
        self._row = 2 * width  # bytes
        block = array("h", bytes(self._row * max(1, int(sensor.rate) // 50)))
        self._block = memoryview(block)
        self._bytes = memoryview(uctypes.bytearray_at(uctypes.addressof(block), 2 * len(block)))
        size = min(room(), self._row * rows) if rows else room() // 2
        self._ring = memoryview(bytearray(max(len(self._bytes), size // self._row * self._row)))
        self._head = self._waiting = 0  # next byte to be sent; bytes that wait
        self._before = getattr(sensor, "lost", 0)
        self._ended = False
        super().__init__(about(sensor))
        self._began = None
        start(sensor)

    def step(self):
        if self.over:
            return 5
        if not self._ended:
            self._read()
        self._send()
        if self._ended and not self._waiting:
            self.finish()
        return 5 if self._ended else 0

    def status(self):
        counts = super().status()
        counts.update(lost=self.lost, span=self.span, clipped=self._watch.clipped)
        return counts

    def _read(self):
        width = self._row // 2
        block = self._block
        if self.rows and (self.rows - self.done) * width < len(block):
            block = block[: (self.rows - self.done) * width]
        self._began = time.ticks_us() if self._began is None else self._began
        count = self.sensor.readinto(block)
        count = len(block) if count is None else count
        if self.done and count:  # the first block may have waited in the driver
            now = time.ticks_us()
            self.span += time.ticks_diff(now, self._began)
            self._began = now
        elif count:
            self._began, self._first = time.ticks_us(), count // width
        self._watch(block[:count])
        self._keep(self._bytes[: 2 * count])
        self.done += count // width
        self.lost += self._watch.lost - self._before
        self._before = self._watch.lost
        self._ended = count == 0 or self.done == self.rows
        if self._ended and self.done > self._first:
            self.span = self.span * (self.done - 1) // (self.done - self._first)  # of all but the first row

    def _keep(self, data):
        size = len(self._ring)
        fits = min(len(data), size - self._waiting)
        self.lost += (len(data) - fits) // self._row
        at = (self._head + self._waiting) % size
        first = min(fits, size - at)
        self._ring[at : at + first] = data[:first]
        self._ring[: fits - first] = data[first:fits]
        self._waiting += fits

    def _send(self):
        most = max(1, PAYLOAD // self._row) * self._row
        while self._waiting and self.link.queued() < _SENDING:
            count = min(most, self._waiting, len(self._ring) - self._head)
            if count < most and not self._ended and count == self._waiting:
                return  # more is coming
            self.link.send(SAMPLES, bytes(self._ring[self._head : self._head + count]))
            self._head = (self._head + count) % len(self._ring)
            self._waiting -= count


def record(sensor, rows=0):
    """Send `rows` rows of a sensor to the host; 0: until the host ends it, is gone for 10 s, or Ctrl-C."""
    (Blocks if hasattr(sensor, "readinto") else Recorder)(sensor, rows).run()
