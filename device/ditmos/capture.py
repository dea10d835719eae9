"""Samples of a sensor on their way to a model: at their pace, of what the model was made for, and alive.

A sensor is a driver as in device/sensors.py. It has `read(row)`, `readinto(block)`, or both.
"""

import time
from array import array

import _ditmos

RATE_TOLERANCE = 0.02  # of the rate: clocks of sensors differ by a per cent or so
SCALE_TOLERANCE = 1e-5
STILL = 32  # rows that have to be equal, at least, until a sensor is said to send nothing
SECONDS = 1.0  # and for so long

slept_us = 0  # in `pause`, since the start


def pause(us):
    """Sleep until so many microseconds are over: what a driver does that waits for its samples. The core sleeps, and
    the time counts as slept (`ditmos.alone` shows it)."""
    global slept_us
    if us > 0:
        began = time.ticks_us()
        if us >= 1000:
            time.sleep_ms(us // 1000)
        else:
            time.sleep_us(us)
        slept_us += time.ticks_diff(time.ticks_us(), began)


class Pace:
    """Tells when the next rows of a sensor of `rate` rows a second are due; `wait(rows)` sleeps until all are there.

    Who comes late finds rows that are due at once; of more than a second the time is given up.
    """

    MOST = 1000000  # us

    def __init__(self, rate):
        self._rate = rate
        self._begun = None  # with the first row that is waited for
        self._rows = 0  # since _begun

    def left(self, rows):
        """Microseconds until `rows` more rows are there; 0 or less: now."""
        if self._begun is None:
            self.restart()
        due = int((self._rows + rows) * 1000000 / self._rate)
        return due - time.ticks_diff(time.ticks_us(), self._begun)

    def wait(self, rows):
        left = self.left(rows)
        pause(left)
        if left < -self.MOST:
            self.restart()
        self.passed(rows)

    def passed(self, rows):
        self._rows += rows
        if self._rows >= self._rate * 60:  # ticks come round after some minutes
            took = int(self._rows * 1000000 / self._rate)
            self._begun = time.ticks_add(self._begun, took)
            self._rows = 0

    def restart(self):
        self._begun, self._rows = time.ticks_us(), 0


class Paced:
    """A driver that has `read(row)` only, with `readinto(block)`: row by row, at its rate."""

    def __init__(self, sensor):
        self.sensor = sensor
        self._row = array("h", bytes(2 * len(sensor.channels)))
        self._pace = None

    def readinto(self, block):
        width = len(self._row)
        self._pace = self._pace or Pace(self.sensor.rate)
        for at in range(0, len(block), width):
            self._pace.wait(1)
            self.sensor.read(self._row)
            block[at : at + width] = self._row


def reader(sensor):
    """`readinto` of a sensor, whichever way it is read."""
    return sensor.readinto if hasattr(sensor, "readinto") else Paced(sensor).readinto


def start(sensor):
    """Samples are wanted from now on: what has waited in a driver since the last time is old (`start()` of it)."""
    if hasattr(sensor, "start"):
        sensor.start()


def each(value, count):
    """One value a channel, of a sensor that says one for all of them or one for each."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * count


def raw_inputs(model):
    """What the raw samples of a model with a front end are, as `model.inputs` says it of rows: name, unit and so on of
    each channel. Its units are one for all, or one a channel apart by commas."""
    units = model.raw_units.split(", ")
    if len(units) != model.raw_channels:
        units = [model.raw_units] * model.raw_channels
    return [("", unit, 0, 0, model.raw_scale) for unit in units]


def name_of(sensor):
    return type(sensor).__name__


def check(model, sensor):
    """Raises ValueError where a sensor's samples are not those that the model was made for: by name, of which.

    A driver that can give samples of another scale has `rescale(scale)`, and is told the model's.
    """
    channels = sensor.channels
    count = len(channels)
    if hasattr(sensor, "rescale"):
        sensor.rescale(model.raw_scale if model.raw_window else model.inputs[0][4])
    scales, units = each(sensor.scale, count), each(sensor.units, count)
    fed = bool(model.raw_window)
    rate, wanted = (model.raw_rate, raw_inputs(model)) if fed else (model.rate, model.inputs)
    who = name_of(sensor)
    if count != len(wanted):
        raise ValueError("%s has %d channels, the model was made for %d" % (who, count, len(wanted)))
    if rate and abs(sensor.rate - rate) > RATE_TOLERANCE * rate:
        raise ValueError("rate of %s is %g Hz, the model was made for %g" % (who, sensor.rate, rate))
    for i, (name, unit, _, _, scale) in enumerate([channel[:5] for channel in wanted]):
        if name and channels[i] and name != channels[i]:
            raise ValueError("channel %d of %s is %s, the model was made for %s" % (i, who, channels[i], name))
        if unit and units[i] and unit != units[i]:
            raise ValueError("%s: %s is in %s, the model was made for %s" % (who, channels[i], units[i], unit))
        if abs(scales[i] - scale) > SCALE_TOLERANCE * scale:
            raise ValueError("%s: scale of %s is %g, the model was made for %g" % (who, channels[i], scales[i], scale))


class Watch:
    """Looks over the samples of a sensor: what was clipped, how loud they are, whether it sends anything at all."""

    def __init__(self, sensor):
        self.sensor = sensor
        self._state = array("i", bytes(4 * (4 + len(sensor.channels))))
        self._still = max(STILL, int(sensor.rate * SECONDS))

    def __call__(self, samples):
        """Raises OSError where all samples have been equal for a second."""
        state = self._state
        _ditmos.watch(samples, state)
        if state[1] + 1 >= self._still:
            values = ", ".join(str(value) for value in state[4:])
            raise OSError(
                "%s sends nothing: %d rows in a row are %s; check its wiring and supply"
                % (name_of(self.sensor), state[1] + 1, values)
            )

    @property
    def clipped(self):
        """Values that were limited: by the driver where it counts them, else those at the ends of 16 bits."""
        return getattr(self.sensor, "clipped", self._state[0])

    @property
    def lost(self):
        """Rows that were lost, where the driver counts them; else 0."""
        return getattr(self.sensor, "lost", 0)

    @property
    def loudness(self):
        """Of the newest samples: root of the mean square about the mean, of the channel that has most."""
        return self._state[2]
