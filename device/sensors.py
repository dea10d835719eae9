"""Sensors that `ditmos record` and `ditmos stream --source sensor` read: copy this file and write your own.

A driver is a class with

    channels  names, one per value of a row
    units     of a value times `scale`
    scale     real units per unit of a raw value
    rate      rows per second
    read(row) put one raw value per channel into `row`: integers from -32768 to 32767, all others are refused. An
              unsigned 16-bit converter gives `value - 32768`

and, where it makes sense, `expect(label)`, which is told what is recorded next.
"""

import math


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


class MPU6050:
    """Acceleration of an InvenSense MPU-6050 on I2C, +-8 g (registers: its register map, revision 4.2)."""

    channels = ("ax", "ay", "az")
    units = "g"
    scale = 8 / 32768
    rate = 50

    def __init__(self, bus=1, address=0x68):
        from machine import I2C

        self.i2c = I2C(bus)
        self.address = address
        self.data = bytearray(6)
        if self.i2c.readfrom_mem(address, 0x75, 1)[0] != 0x68:  # WHO_AM_I
            raise OSError("no MPU-6050 at address 0x%02x" % address)
        self.i2c.writeto_mem(address, 0x6B, b"\x01")  # PWR_MGMT_1: awake, clock from the gyroscope
        self.i2c.writeto_mem(address, 0x1A, b"\x04")  # CONFIG: low-pass at 21 Hz
        self.i2c.writeto_mem(address, 0x1C, b"\x10")  # ACCEL_CONFIG: 8 g

    def read(self, row):
        self.i2c.readfrom_mem_into(self.address, 0x3B, self.data)  # ACCEL_XOUT_H, big-endian
        data = self.data
        for i in range(3):
            value = data[2 * i] << 8 | data[2 * i + 1]
            row[i] = value - 65536 if value & 0x8000 else value
