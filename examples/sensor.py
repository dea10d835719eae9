"""A driver for a sensor on the board; this one needs no wires: it computes a pendulum.

    ditmos record --port PORT --sensor examples/sensor.py:Pendulum --labels slow,fast --out my.npz

A driver says what its rows are, and fills one when asked. For a real sensor on I2C see `MPU6050` in device/sensors.py.
The file is sent to the board as it is: MicroPython, no imports of the host.
"""

import math


class Pendulum:
    """Angle and speed of a pendulum without friction."""

    channels = ("angle", "speed")
    units = ("rad", "rad/s")  # one a channel; where all have the same, a string
    scale = 1 / 1000  # real units per unit of a raw value
    rate = 20  # rows per second

    def __init__(self, length=1.0):
        self.length = length  # m
        self._swing(length)

    def _swing(self, length):
        self.pull = 9.81 / length
        self.angle, self.speed = 1.0, 0.0

    def expect(self, label):
        """What is recorded next: a fast pendulum is a short one. Sensors that measure need no such method."""
        self._swing(self.length / 4 if label == "fast" else self.length)

    def read(self, row):
        """One raw value a channel into `row`: integers of 16 bits."""
        self.speed -= self.pull * math.sin(self.angle) / self.rate
        self.angle += self.speed / self.rate
        row[0] = int(self.angle / self.scale)
        row[1] = int(self.speed / self.scale)
