"""What the scripts in device/ share: options, and a stopwatch."""

import sys
import time


def option(name, default=None):
    """Value behind `name` in sys.argv; True for a bare --json. ValueError where one is due, which has a default."""
    if name not in sys.argv:
        return default
    rest = sys.argv[sys.argv.index(name) + 1 :]
    if rest and not rest[0].startswith("--"):
        return rest[0]
    if default is None or default is False:
        return True
    raise ValueError("%s lacks its value, such as %s %s" % (name, name, default))


class Stopwatch:
    """Ticks of `time.ticks_cpu()` between start() and stop(), less what the two cost themselves."""

    def __init__(self):
        self.cost = 0
        self.cost = min(self.measure(lambda: None) for _ in range(3))

    def start(self):
        self.began = time.ticks_cpu()

    def stop(self):
        return time.ticks_diff(time.ticks_cpu(), self.began) - self.cost

    def measure(self, work, *arguments):
        self.start()
        work(*arguments)
        return self.stop()
