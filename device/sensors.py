"""Sensors that `ditmos record`, `ditmos stream --source sensor` and `ditmos deploy --run` read: copy this file and
write your own. Wiring of those that are here: docs/howto/sensors.md. Movement: motion.py.

A driver is a class with

    channels  names, one per value of a row
    units     of a value times `scale`; one for all channels, or a tuple
    scale     real units per unit of a raw value; one for all channels, or a tuple
    rate      rows per second

and one of

    read(row)        put one raw value per channel into `row`: integers from -32768 to 32767, all others are refused. An
                     unsigned 16-bit converter gives `value - 32768`
    readinto(block)  fill an array('h') with rows, and sleep (`ditmos.capture.pause`) until they are there; returns how
                     many values it gave where those are fewer, 0 at the end

It may have `expect(label)`, which is told what is recorded next, `rescale(scale)`, which is told the scale of the
model's samples, `start()`, which is told that samples are wanted from now on, `close()`, and counts of what went wrong:
`lost` rows, `clipped` values.
"""

import math
from array import array


class Simulated:
    """An accelerometer that feigns the movement it is told to expect: no board needs a sensor to try a recording."""

    channels = ("ax", "ay", "az")
    units = "g"
    scale = 1 / 4096
    rate = 50

    def __init__(self):
        self.time = 0
        self.noise = 1
        self.expect("rest")

    def expect(self, label):
        # Each label has a frequency, an amplitude and a posture of its own.
        seed = sum((i + 1) * c for i, c in enumerate(label.encode()))
        self.step = 2 * math.pi * (0.5 + seed % 7 * 0.5) / self.rate
        self.swing = 400 + seed % 5 * 500
        self.tilt = seed % 11 * 0.25

    def read(self, row):
        self.time += 1
        swing = self.swing * math.sin(self.step * self.time)
        for i in range(3):
            self.noise = self.noise * 1103515245 + 12345 & 0x3FFFFFFF
            posture = 4096 * math.cos(self.tilt + i * 2.1)
            row[i] = int(posture + swing * math.cos(self.tilt + i) + (self.noise >> 20) / 4 - 128)


def halvings(scale):
    """Bits that samples of the full scale 32768 lose to be of `scale`: ValueError where that is no power of two."""
    bits = 0
    while 2**bits < scale * 32768:
        bits += 1
    if 2**bits != scale * 32768 or bits > 15:
        raise ValueError("scale is %g, expected 1/32768 or a power of two times that" % scale)
    return bits


class WavFile:
    """A .wav file of 16 bits at its own pace, as a microphone gives it; `loop`: over and over."""

    units = "full scale"
    scale = 1 / 32768

    def __init__(self, path, loop=False):
        from ditmos.capture import Pace

        self.file = open(path, "rb")
        self.loop = loop
        count = self._header(path)
        self.channels = ("mic",) if count == 1 else tuple("channel_%d" % (i + 1) for i in range(count))
        self._left = self._bytes
        self._shift = 0
        self._watch = array("i", bytes(4 * (4 + count)))
        self._pace = Pace(self.rate)

    def _header(self, path):
        """Read up to the samples; the number of channels."""
        from struct import unpack

        file, count = self.file, 0
        if file.read(4) != b"RIFF" or file.read(8)[4:] != b"WAVE":
            raise ValueError("%s: no WAV file" % path)
        while True:
            head = file.read(8)
            if len(head) < 8:
                raise ValueError("%s: no samples in it" % path)
            size = unpack("<I", head[4:])[0]
            if head[:4] == b"data":
                break
            chunk = file.read(size + size % 2)
            if head[:4] == b"fmt ":
                kind, count, self.rate, _, _, bits = unpack("<HHIIHH", chunk[:16])
                if kind not in (1, 0xFFFE) or bits != 16:
                    raise ValueError("%s: format %d of %d bits, expected PCM of 16" % (path, kind, bits))
        if not count:
            raise ValueError("%s: no format in it" % path)
        self._start, self._bytes = file.tell(), size
        return count

    def rescale(self, scale):
        self._shift, self.scale = halvings(scale), scale

    @property
    def clipped(self):
        """Values at the ends of the file's 16 bits."""
        return self._watch[0]

    def start(self):
        self._pace.restart()

    def readinto(self, block):
        import _ditmos

        if not self._left and self.loop:
            self.file.seek(self._start)
            self._left = self._bytes
        wanted = min(len(block), self._left // 2)
        part = memoryview(block)[:wanted]
        count = self.file.readinto(part) // 2 if wanted else 0
        count -= count % len(self.channels)
        self._left = self._left - 2 * count if count == wanted else 0
        if count:
            _ditmos.watch(part[:count], self._watch)
        if count and self._shift:
            _ditmos.narrow(part[:count], part[:count], self._shift)
        self._pace.wait(count // len(self.channels))
        return count

    def read(self, row):
        self.readinto(row)

    def close(self):
        self.file.close()


class Inmp441:
    """An INMP441 microphone on I2S2 (SCK D18, WS D19, SD D17, L/R to ground): the left channel, 24 bits.

    gain: a power of two. Its full scale is 120 dB of sound pressure, speech at a metre some 60. ring: bytes kept while
    the program is busy, 8 a sample: 256 ms at 16 kHz; what finds no room there is lost, and counted.
    """

    channels = ("mic",)
    units = "full scale"
    scale = 1 / 32768

    def __init__(self, rate=16000, gain=16, ring=32768, sck="D18", ws="D19", sd="D17"):
        import select
        import time

        from machine import I2S, Pin

        self.rate = rate
        self.lost = self.clipped = 0
        self._gain = halvings(gain / 32768)
        self._room = ring // 8 - 32  # samples
        self._words = array("i")
        self._shift = 16 - self._gain
        pins = {"sck": Pin(sck), "ws": Pin(ws), "sd": Pin(sd)}
        self._i2s = I2S(2, mode=I2S.RX, bits=32, format=I2S.MONO, rate=rate, ibuf=ring, **pins)
        poll = select.poll()
        poll.register(self._i2s, select.POLLIN)
        poll.poll(0)  # from now on reading does not wait
        self._time = time
        self._empty = None  # when the ring was empty; what is there before the first reading is dropped
        self._taken = 0  # samples since

    def rescale(self, scale):
        self._shift, self.scale = 16 - self._gain + halvings(scale), scale

    def start(self):
        self._empty = None

    def _count_lost(self):
        """The ring drops in silence what it has no room for: so time has to tell."""
        time = self._time
        now = time.ticks_us()
        behind = time.ticks_diff(now, self._empty) * self.rate // 1000000 - self._taken
        if behind > self._room:
            self.lost += behind - self._room
            self._empty, self._taken = time.ticks_add(now, -self._room * 1000000 // self.rate), 0

    def readinto(self, block):
        import _ditmos
        from ditmos.capture import pause

        if len(self._words) != len(block):
            self._words = array("i", bytes(4 * len(block)))
        if self._empty is None:
            while self._i2s.readinto(self._words):
                pass
            self._empty = self._time.ticks_us()
        self._count_lost()
        rest = memoryview(self._words)
        idle = 0
        while True:
            count = self._i2s.readinto(rest) // 4
            self._taken += count
            if count == len(rest):
                break
            rest = rest[count:]
            self._empty, self._taken = self._time.ticks_us(), 0
            idle = 0 if count else idle + 1
            if idle > 100:
                raise OSError("Inmp441: I2S gives no samples")
            pause(max(1000, len(rest) * 1000000 // self.rate))
        self.clipped += _ditmos.narrow(self._words, block, self._shift)

    def read(self, row):
        self.readinto(row)

    def close(self):
        self._i2s.deinit()


class Adc:
    """A voltage at a pin with a converter, such as that of a skin conductance amplifier; `rate` up to some 500 Hz. A
    value is the voltage less half of the reference: 0 is 1.65 V."""

    channels = ("adc",)
    units = "V"
    scale = 3.3 / 65536

    def __init__(self, pin="A0", rate=50, name="adc"):
        from machine import ADC, Pin

        self.converter = ADC(Pin(pin))
        self.rate = rate
        self.channels = (name,)

    def read(self, row):
        row[0] = self.converter.read_u16() - 32768


class Combined:
    """Several sensors on the clock of the first one, whose rate must be the highest: each of its rows gets the newest
    one of all others, which are read at rates of their own. So no two clocks drift apart."""

    def __init__(self, first, *others):
        from ditmos.capture import each, reader

        self.sensors = (first,) + others
        for sensor in others:
            if sensor.rate > first.rate:
                raise ValueError("Combined: a sensor of %g Hz behind one of %g Hz" % (sensor.rate, first.rate))
        self.rate = first.rate
        self.channels = tuple(name for sensor in self.sensors for name in sensor.channels)
        self.units = sum((each(sensor.units, len(sensor.channels)) for sensor in self.sensors), ())
        self.scale = sum((each(sensor.scale, len(sensor.channels)) for sensor in self.sensors), ())
        self._rows = [array("h", bytes(2 * len(sensor.channels))) for sensor in self.sensors]
        self._due = [0] * len(others)  # of each, in parts of its own rate
        self._readinto = reader(first)

    def expect(self, label):
        for sensor in self.sensors:
            if hasattr(sensor, "expect"):
                sensor.expect(label)

    def start(self):
        from ditmos.capture import start

        for sensor in self.sensors:
            start(sensor)

    def read(self, row):
        rows = self._rows
        if self._readinto(rows[0]) == 0:
            return 0
        for i, sensor in enumerate(self.sensors[1:]):
            if self._due[i] <= 0:
                self._due[i] += self.rate
                sensor.read(rows[i + 1])
            self._due[i] -= sensor.rate
        at = 0
        for part in rows:
            row[at : at + len(part)] = part
            at += len(part)
        return at

    def readinto(self, block):
        width = len(self.channels)
        view = memoryview(block)
        for at in range(0, len(block), width):
            if not self.read(view[at : at + width]):
                return at
        return len(block)

    @property
    def lost(self):
        return sum(getattr(sensor, "lost", 0) for sensor in self.sensors)

    def close(self):
        for sensor in self.sensors:
            if hasattr(sensor, "close"):
                sensor.close()
