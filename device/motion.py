"""Sensors of movement on I2C or SPI, read from their FIFOs: so a program may be busy for a while and no row is lost.

What a driver is: sensors.py. Wiring: docs/howto/sensors.md. A bus is a number, or a machine.I2C or SPI of yours.
"""

import time


class I2cRegisters:
    """Registers of a device on I2C."""

    def __init__(self, bus, address):
        if isinstance(bus, int):
            from machine import I2C

            bus = I2C(bus)
        self.bus = bus
        self.address = address

    def read(self, register, data):
        self.bus.readfrom_mem_into(self.address, register, data)

    def write(self, register, value):
        self.bus.writeto_mem(self.address, register, bytes((value,)))

    def one(self, register):
        data = bytearray(1)
        self.read(register, data)
        return data[0]


class SpiRegisters(I2cRegisters):
    """Registers of a device on SPI (mode 3, up to 10 MHz), chip select at the pin `cs`: bit 7 of the address reads."""

    def __init__(self, bus, cs):
        if isinstance(bus, int):
            from machine import SPI

            bus = SPI(bus, baudrate=8000000, polarity=1, phase=1)
        if isinstance(cs, str):
            from machine import Pin

            cs = Pin(cs, Pin.OUT, value=1)
        self.bus, self.cs = bus, cs

    def read(self, register, data):
        self.cs.value(0)
        self.bus.write(bytes((0x80 | register,)))
        self.bus.readinto(data)
        self.cs.value(1)

    def write(self, register, value):
        self.cs.value(0)
        self.bus.write(bytes((register, value)))
        self.cs.value(1)


class Fifo:
    """What drivers of chips with a FIFO have in common: rows of three values, asked for as long as some are missing.

    A subclass has `waiting()`, rows in the FIFO, or -1 where it ran over and was emptied; `fetch(count)`, which reads
    rows of `bytes_a_row` into `data`; `value(at)`, the value whose bytes are there; and where in a row values begin.
    """

    channels = ("ax", "ay", "az")
    units = "g"
    lost = 0
    clipped = 0
    bytes_a_row = 6
    begins = 0
    room = 16  # rows read at a time

    def __init__(self):
        self.data = bytearray(self.room * self.bytes_a_row)
        self.view = memoryview(self.data)
        self.last = time.ticks_ms()  # when the FIFO was read

    def start(self):
        self.empty()

    def readinto(self, block):
        from ditmos.capture import pause

        at = quiet = 0
        while at < len(block):
            count = min(self.waiting(), (len(block) - at) // 3, self.room)
            now = time.ticks_ms()
            if count < 0:
                self.lost += max(1, int(time.ticks_diff(now, self.last) * self.rate) // 1000)
                self.last, count = now, 0
            self.last = now if count else self.last
            if count:
                self.fetch(self.view[: count * self.bytes_a_row])
                for row in range(count):
                    for i in range(3):
                        value = self.value(row * self.bytes_a_row + self.begins + 2 * i)
                        self.clipped += value in (-32768, 32767)
                        block[at] = value
                        at += 1
                quiet = 0
            elif at < len(block):
                quiet += 1
                if quiet > 100:
                    raise OSError("%s: no row for %d rows' time" % (type(self).__name__, quiet))
                pause(int(1000000 / self.rate))


class MPU6050(Fifo):
    """Acceleration of an InvenSense MPU-6050 on I2C, +-8 g (registers: its register map, revision 4.2)."""

    scale = 8 / 32768

    def __init__(self, bus=1, address=0x68, rate=50):
        self.registers = registers = I2cRegisters(bus, address)
        if not 4 <= rate <= 1000 or 1000 % rate:
            raise ValueError("MPU6050: rate is %s, expected 1000 Hz or a whole part of it, from 4" % rate)
        self.rate = rate
        if registers.one(0x75) != 0x68:  # WHO_AM_I
            raise OSError("no MPU-6050 at address 0x%02x" % address)
        registers.write(0x6B, 0x01)  # PWR_MGMT_1: awake, clock from the gyroscope
        registers.write(0x1A, 0x04 if rate <= 50 else 0x02)  # CONFIG: low-pass at 21 or 94 Hz
        registers.write(0x19, int(1000 // rate) - 1)  # SMPLRT_DIV
        registers.write(0x1C, 0x10)  # ACCEL_CONFIG: 8 g
        registers.write(0x23, 0x08)  # FIFO_EN: acceleration
        registers.write(0x38, 0x10)  # INT_ENABLE: tell when the FIFO runs over
        self.count = bytearray(2)
        self.newest = bytearray(6)
        super().__init__()
        self.empty()

    def empty(self):
        self.registers.write(0x6A, 0x04)  # USER_CTRL: FIFO reset
        self.registers.write(0x6A, 0x40)  # and on
        self.registers.one(0x3A)  # INT_STATUS: read, it is clear

    def waiting(self):
        if self.registers.one(0x3A) & 0x10:  # FIFO_OFLOW: what is there starts anywhere in a row
            self.empty()
            return -1
        self.registers.read(0x72, self.count)  # FIFO_COUNTH
        return (self.count[0] << 8 | self.count[1]) // 6

    def fetch(self, data):
        self.registers.read(0x74, data)  # FIFO_R_W

    def value(self, at):
        value = self.data[at] << 8 | self.data[at + 1]
        return value - 65536 if value & 0x8000 else value

    def read(self, row):
        """The newest row, whatever the FIFO holds."""
        self.registers.read(0x3B, self.newest)  # ACCEL_XOUT_H, big-endian
        for i in range(3):
            value = self.newest[2 * i] << 8 | self.newest[2 * i + 1]
            row[i] = value - 65536 if value & 0x8000 else value


LSM6DSO_RATES = {12.5: 1, 26: 2, 52: 3, 104: 4, 208: 5}  # and their codes


class LSM6DSO(Fifo):
    """Acceleration of an ST LSM6DSO, +-8 g, on I2C, or on SPI where a chip select is given (registers: its data sheet,
    DS12140)."""

    scale = 0.000244  # g a step at +-8 g
    bytes_a_row = 7  # a tag, three values
    begins = 1

    def __init__(self, bus=1, address=0x6A, rate=52, cs=None):
        self.registers = registers = I2cRegisters(bus, address) if cs is None else SpiRegisters(bus, cs)
        if rate not in LSM6DSO_RATES:
            raise ValueError("LSM6DSO: rate is %s, expected %s" % (rate, sorted(LSM6DSO_RATES)))
        self.rate = rate
        code = LSM6DSO_RATES[rate]
        if registers.one(0x0F) != 0x6C:  # WHO_AM_I
            raise OSError("no LSM6DSO at " + ("address 0x%02x" % address if cs is None else "chip select %s" % cs))
        registers.write(0x12, 0x44)  # CTRL3_C: block data update, addresses that count on
        registers.write(0x10, code << 4 | 0x0C)  # CTRL1_XL: rate, 8 g
        registers.write(0x09, code)  # FIFO_CTRL3: acceleration at this rate
        self.status = bytearray(2)
        self.newest = bytearray(6)
        super().__init__()
        self.empty()

    def empty(self):
        self.registers.write(0x0A, 0x00)  # FIFO_CTRL4: bypass, which empties it
        self.registers.write(0x0A, 0x06)  # continuous

    def waiting(self):
        self.registers.read(0x3A, self.status)  # FIFO_STATUS1 and 2
        if self.status[1] & 0x48:  # overrun, now or since the last look
            self.empty()
            return -1
        return (self.status[1] & 0x03) << 8 | self.status[0]

    def fetch(self, data):
        self.registers.read(0x78, data)  # FIFO_DATA_OUT_TAG to _Z_H, and round again

    def value(self, at):
        value = self.data[at] | self.data[at + 1] << 8
        return value - 65536 if value & 0x8000 else value

    def read(self, row):
        """The newest row, whatever the FIFO holds."""
        self.registers.read(0x28, self.newest)  # OUTX_L_A, little-endian
        for i in range(3):
            value = self.newest[2 * i] | self.newest[2 * i + 1] << 8
            row[i] = value - 65536 if value & 0x8000 else value
