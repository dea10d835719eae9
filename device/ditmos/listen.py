"""A sensor's samples to answers, for as long as it gives any: sample, slide, decide.

    for event in ditmos.listen(ditmos.load(), microphone, hop=4, events=events(on=0.9)):
        print(event)

A sensor is a driver as in device/sensors.py, of the rate, scale and channels that the model was made for. Models with a
front end (docs/frontends.md) are fed; the window of others slides.
"""

import time
from array import array

from .capture import Watch, check, reader, start
from .events import Watched
from .routing import NOBODY, Counter, verdict
from .window import Sliding, Window


class Listener:
    """What `listen` does, block by block. Windows move on by `hop` rows of the model.

    gate: loudness, in steps of raw samples, below which nothing is decided, so that silence costs no inference; a
    window is decided on as long as any of it was louder. 0: always. calibrate: seconds at the start, in which nothing
    is decided, that put the front end on the wearer's scale. Raises ValueError where the sensor is not for the model.
    """

    def __init__(self, engine, sensor, hop=4, gate=0, calibrate=0):
        model = engine.model
        check(model, sensor)
        if not 1 <= hop <= model.kept_rows:
            raise ValueError("hop is %d, expected 1 to %d rows" % (hop, model.kept_rows))
        self.engine = engine
        self.watch = Watch(sensor)
        self.hop = hop
        self.gate = gate
        self.windows = self.gated = 0  # due so far; of which silence spared the inference
        self.rows = 0  # taken in so far
        self.ended = False
        self.uncalibrated = int(calibrate * sensor.rate)  # rows of the sensor that are still to come
        self.newest = None  # samples of the newest block, until the next step
        self.began = 0  # ticks_us() when the samples of the newest block were there
        fed = model.raw_window > 0
        self._window = None if fed else Window(model)
        self.counted = Counter(model) if fed else Sliding(model)
        self._watched = Watched(self.counted)
        rows, width = (model.raw_hop, model.raw_channels) if fed else (hop, len(model.inputs))
        self._block = array("h", bytes(2 * rows * width))
        self._view = memoryview(self._block)
        self._readinto = reader(sensor)
        self._silence = bytes(model.classes)
        # Of the classes, 0 to 255, for `ditmos.events`: all 0 in silence, None where nobody answered.
        self.scores = None
        self.restart()
        start(sensor)

    def restart(self):
        """Nothing of before is in the next window."""
        self._missing = self.engine.model.kept_rows  # rows until it
        self._loud = 0  # rows until all that was loud has left the window
        self._lost = self.watch.lost
        self._fresh = True  # the model has not seen the window before the next one
        if self._window is None:
            self.engine.model.feed_reset()

    def step(self):
        """Take in one block of samples. None until a window is due, then (class index or None, who answered).

        Raises OSError where the sensor sends nothing, and whatever sensor and policy raise.
        """
        count = self._readinto(self._block)
        self.began = time.ticks_us()
        if count == 0:
            self.ended = True
            self.newest = None
            return None
        block = self._block if count is None else self._view[:count]
        self.newest = block
        self.watch(block)
        if self.watch.lost != self._lost:  # there is a gap before these samples, or in them
            self.restart()
        model = self.engine.model
        if self.uncalibrated > 0:
            model.calibrate(block)
            self.uncalibrated -= len(block) // model.raw_channels
            if self.uncalibrated <= 0:
                self.restart()
            return None
        window = None
        if self._window is None:
            rows = model.feed(block)
        else:
            window, new = self._window.push(block)
            rows = len(new) // model.channels
        self.rows += rows
        self._missing -= rows
        if self.gate:
            self._loud = model.kept_rows + rows if self.watch.loudness >= self.gate else max(0, self._loud - rows)
        if self._missing > 0:
            return None
        self._missing += self.hop
        self.windows += 1
        closed = self.gate and not self._loud
        if window is None:
            self.counted.begin()
        else:
            self.counted.move(new if rows == self.hop and not closed and not self._fresh else None)
        self._fresh = False
        if closed:
            self.gated += 1
            self.scores = self._silence
            return None, NOBODY
        label, who = verdict(model, self.engine.policy(self._watched, window))
        self.scores = None if label is None else self._watched.scores()
        return label, who


def listen(engine, sensor, hop=4, events=None, gate=0, calibrate=0):
    """Yields `(class name, who answered)` of each window; the name is None where the policy abstains, and in silence.
    Windows move on by `hop` rows. With `events` (`ditmos.events`, made with settings) the name of each class that it
    says, instead. `gate`, `calibrate`: see `Listener`.

    Raises ValueError where the sensor is not for the model, OSError where it sends nothing, and whatever it raises.
    """
    listener = Listener(engine, sensor, hop, gate, calibrate)
    names = engine.model.class_names
    while not listener.ended:
        answer = listener.step()
        if answer is None:
            continue
        label, who = answer
        if events is None:
            yield None if label is None else names[label], who
        elif listener.scores is not None:
            said = events(listener.scores)
            if said is not None:
                yield names[said]
