"""A board that works alone: samples, decides, says what it hears, and looks after itself. No host is needed.

    from ditmos.alone import run
    from ditmos.events import events
    from sensors import Inmp441

    run(Inmp441, hop=4, events=lambda: events(on=0.9), led="LED2")

This is what the main.py of `ditmos deploy --run` calls.
"""

import gc
import os
import sys
import time

from . import capture
from .engine import load
from .listen import Listener
from .routing import name_of

try:
    import machine
except ImportError:
    machine = None

LOG = "ditmos.log"
LOG_BYTES = 4096  # then the log becomes ditmos.log.old
RESTART = 10  # seconds from an error of a sensor to the next attempt
REPORT = 60  # seconds from one line on time and current to the next
WATCHDOG = 8  # seconds without a block of samples after which the board is reset
LEAST_HEAP = 16384  # bytes that stay free
ERROR_LED = "LED3"
ON_MS = 500  # that a LED shows an event
AWAKE_MA, ASLEEP_MA = 99, 24  # of a chip whose core runs, and sleeps: docs/board.md


class Log:
    """Lines in a file that stays small. What was said last is not said again, so that a fault wears out no flash."""

    def __init__(self, path):
        self.path = path
        self._last = None

    def __call__(self, text):
        if text == self._last:
            return
        self._last = text
        try:
            try:
                if os.stat(self.path)[6] > LOG_BYTES:
                    _remove(self.path + ".old")
                    os.rename(self.path, self.path + ".old")
            except OSError:
                pass
            with open(self.path, "a") as file:
                file.write("%d s after the start: %s\n" % (time.ticks_ms() // 1000, text))
        except OSError as error:  # a full filesystem keeps no board from its work
            print("log:", error)


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        pass


class Lamp:
    """A LED or pin by name, such as "LED2" or "D7"; nothing where there is no name, or where a board has no pins."""

    def __init__(self, name):
        self._pin = None
        self._until = None
        if name and hasattr(machine, "Pin"):
            self._pin = machine.Pin(name, machine.Pin.OUT, value=0)

    def set(self, on):
        if self._pin:
            self._pin.value(on)

    def flash(self, ms):
        self.set(1)
        self._until = time.ticks_add(time.ticks_ms(), ms)

    def tick(self):
        if self._until is not None and time.ticks_diff(time.ticks_ms(), self._until) >= 0:
            self.set(0)
            self._until = None


class Dog:
    """Resets the board where `feed` is not called for so many seconds, as long as it lives. It ends with the program:
    a board at its REPL is left alone. `hardware`: the chip's own watchdog, too, which nothing but a reset stops.
    """

    def __init__(self, seconds, log, hardware):
        self._log = log
        self._fed = True
        self._timer = self._chip = None
        if seconds and hasattr(machine, "Timer"):
            self._timer = machine.Timer(-1, period=int(seconds * 1000), callback=self._look)
        if seconds and hardware and hasattr(machine, "WDT"):
            self._chip = machine.WDT(timeout=min(32000, int(2000 * seconds)))

    def feed(self):
        self._fed = True
        if self._chip:
            self._chip.feed()

    def _look(self, timer):
        if not self._fed:
            self._log("no samples were taken in: the watchdog resets the board")
            machine.reset()
        self._fed = False

    def stop(self):
        if self._timer:
            self._timer.deinit()


class Duty:
    """The share of the time in which the core does not sleep, since it was last asked for."""

    def __init__(self):
        self.restart()

    def restart(self):
        self._began = time.ticks_us()
        capture.slept_us = 0

    def seconds(self):
        return time.ticks_diff(time.ticks_us(), self._began) / 1000000

    def share(self):
        return max(0.0, 1 - capture.slept_us / max(1.0, self.seconds() * 1000000))


def current(share, awake, asleep):
    """What a duty cycle comes to in mA, as text."""
    return "about %.1f mA" % (share * awake + (1 - share) * asleep)


class Station:
    """One run, from loading the model to the end of the sensor; `run` has the settings."""

    def __init__(self, engine, sensor, hop, events, gate, milliamps, calibrate):
        self.listener = Listener(engine, sensor, hop, gate, calibrate)
        self.names = engine.model.class_names
        self.heard = 0
        self._events = events
        self._milliamps = milliamps
        self._last = None
        model = engine.model
        rate = model.raw_rate / model.raw_hop if model.raw_window else model.rate or sensor.rate
        self.every = hop / rate  # seconds from one window to the next
        self._clock = rate, model.raw_hop if model.raw_window else 1  # rows a second, samples a row
        self._duty = Duty()

    def step(self):
        """Take in one block; the name of what was heard, printed, or None."""
        listener = self.listener
        answer = listener.step()
        if answer is None:
            return None
        label, who = answer
        if self._events is None:
            if label is None or label == self._last:
                return None
            self._last = label
        else:
            label = None if listener.scores is None else self._events(listener.scores)
            if label is None:
                return None
        self.heard += 1
        rate, samples = self._clock
        at = (listener.rows + listener.watch.lost / samples) / rate
        print("%.2f s: %s (%s)" % (at, self.names[label], name_of(who)))
        return self.names[label]

    def report(self):
        """A line on time and trouble, every `REPORT` seconds. Raises MemoryError where the heap fills up."""
        if self._duty.seconds() < REPORT:
            return
        gc.collect()
        free = gc.mem_free()
        share = self._duty.share()
        listener, watch = self.listener, self.listener.watch
        print(
            "%d windows, %d spared, %d events; awake %.1f %%, %s; %d clipped, %d lost; %d bytes free"
            % (
                listener.windows,
                listener.gated,
                self.heard,
                100 * share,
                current(share, *self._milliamps),
                watch.clipped,
                watch.lost,
                free,
            )
        )
        if free < LEAST_HEAP:
            raise MemoryError("%d bytes of heap are left, expected %d" % (free, LEAST_HEAP))
        self._duty.restart()


def run(
    sensor,
    hop=None,
    events=None,
    gate=0,
    led=None,
    error_led=ERROR_LED,
    policy=None,
    log="/flash/" + LOG,
    watchdog=WATCHDOG,
    hardware=False,
    restart=RESTART,
    milliamps=(AWAKE_MA, ASLEEP_MA),
    calibrate=0,
):
    """Listen until the sensor ends or Ctrl-C: prints each event, and lights `led` for half a second.

    sensor, events: functions that make a driver, and what `ditmos.events` makes; without events each change of class
    is one. hop: rows of the model from one window to the next; 4 of a front end, else half a window. gate: loudness
    below which nothing is decided. calibrate: seconds after the start that put the front end on the wearer's scale; it
    stays. milliamps: of the core awake and asleep. An error lights `error_led` and goes to `log`. One of the sensor is
    tried again after `restart` seconds (0: not at all); a ValueError, such as a sensor that is not for the model, is
    the end: nothing would change it.
    """
    log = Log(log)
    lamp, warning = Lamp(led), Lamp(error_led)
    engine = None
    while True:
        driver = dog = station = None
        try:
            engine = engine or load(policy=policy)
            driver = sensor()
            model = engine.model
            hop = hop or (4 if model.raw_window else max(1, model.window // 2))
            station = Station(engine, driver, hop, events and events(), gate, milliamps, calibrate)
            dog = Dog(max(watchdog, 3 * station.every) if watchdog else 0, log, hardware)
            print("listening to %s, every %g s" % (capture.name_of(driver), station.every))
            if calibrate:
                print("calibrating to the wearer for %g s" % calibrate)
            while not station.listener.ended:
                if station.listener.uncalibrated <= 0:
                    calibrate = 0  # once: an error of the sensor does not change who wears it
                if station.step() is not None:
                    lamp.flash(ON_MS)
                warning.set(0)
                lamp.tick()
                dog.feed()
                station.report()
            return
        except Exception as error:
            warning.set(1)
            text = "%s: %s" % (type(error).__name__, error)
            log(text)  # before anybody is told, who may interrupt
            print("error:", text)
            if isinstance(error, (ValueError, TypeError)) or not restart:
                sys.print_exception(error)
                return
        finally:
            lamp.set(0)
            if dog:
                dog.stop()
            if hasattr(driver, "close"):
                driver.close()
        capture.pause(restart * 1000000)
