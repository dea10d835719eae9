"""Drivers of movement sensors and of several sensors at once, on the unix port, with chips made after register maps."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ditmos.paths import SOURCES

Run = Callable[[str], list[str]]

# Chips whose time passes when the driver sleeps: row n is (n, -n, 3 * n), at `rate` rows a second.
CHIPS = """
import struct
from array import array
from ditmos import capture

class Chip:
    def __init__(self, size):
        self.registers, self.fifo, self.size, self.n, self.over = {}, b"", size, 0, False
        self.on = False

    def tick(self, rows):
        for _ in range(rows):
            self.n += 1
            if self.on:
                self.fifo += self.row()
                if len(self.fifo) > self.size:
                    self.fifo, self.over = self.fifo[-self.size:], True

    def sleep(self, us):
        self.tick(max(1, round(us * self.rate() / 1000000)))

    def readfrom_mem_into(self, address, register, data):
        assert address == self.address
        data[:] = self.get(register, len(data))

    def writeto_mem(self, address, register, value):
        assert address == self.address and len(value) == 1
        self.put(register, value[0])

class Mpu(Chip):
    address = 0x68
    def rate(self):
        return 1000 / (1 + self.registers[0x19])
    def row(self):
        return struct.pack(">3h", self.n, -self.n, 3 * self.n)
    def get(self, register, count):
        if register == 0x75: return b"\\x68"
        if register == 0x3A:
            over, self.over = self.over, False
            return bytes((0x10 if over and self.registers.get(0x38, 0) & 0x10 else 0,))
        if register == 0x72: return struct.pack(">H", len(self.fifo))
        if register == 0x74:
            out, self.fifo = self.fifo[:count], self.fifo[count:]
            return out
        if register == 0x3B: return self.row()
        raise ValueError(register)
    def put(self, register, value):
        self.registers[register] = value
        if register == 0x6A:
            if value & 4: self.fifo = b""
            self.on = bool(value & 0x40) and self.registers.get(0x23) == 8 and self.registers.get(0x1C) == 0x10

class Lsm(Chip):
    address = 0x6A
    def rate(self):
        return {1: 12.5, 2: 26, 3: 52, 4: 104, 5: 208}[self.registers[0x10] >> 4]
    def row(self):
        return bytes((2 << 3,)) + struct.pack("<3h", self.n, -self.n, 3 * self.n)
    def get(self, register, count):
        if register == 0x0F: return b"\\x6C"
        if register == 0x3A:
            rows = len(self.fifo) // 7
            return bytes((rows & 255, rows >> 8 | (0x48 if self.over else 0)))
        if register == 0x78:
            out, self.fifo = self.fifo[:count], self.fifo[count:]
            return out
        if register == 0x28: return self.row()[1:]
        raise ValueError(register)
    def put(self, register, value):
        self.registers[register] = value
        if register == 0x0A:
            self.on = value == 6 and self.registers[0x09] == self.registers[0x10] >> 4 and self.registers[0x12] == 0x44
            if value == 0: self.fifo, self.over = b"", False

class Spi:
    # The same chip behind SPI: an address with bit 7 reads.
    def __init__(self, chip):
        self.chip, self.at = chip, 0
    def write(self, data):
        if len(data) == 1: self.at = data[0]; assert self.at & 0x80
        else: self.chip.put(data[0], data[1])
    def readinto(self, data):
        data[:] = self.chip.get(self.at & 0x7F, len(data))

class Pin:
    def value(self, v): pass
"""
DRIVERS = {
    "MPU6050": ("chip = Mpu(1024)\nsensor = MPU6050(chip)", 170, 50),
    "LSM6DSO": ("chip = Lsm(3 * 1024)\nsensor = LSM6DSO(chip)", 438, 52),
    "LSM6DSO on SPI": ("chip = Lsm(3 * 1024)\nsensor = LSM6DSO(Spi(chip), cs=Pin())", 438, 52),
    "MPU6050 at 200 Hz": ("chip = Mpu(1024)\nsensor = MPU6050(chip, rate=200)", 170, 200),
}


@pytest.fixture
def run(micropython: Path, tmp_path: Path) -> Run:
    shutil.copytree(SOURCES / "device" / "ditmos", tmp_path / "ditmos")
    for path in ("sensors.py", "motion.py"):
        shutil.copy(SOURCES / "device" / path, tmp_path)

    def start(program: str) -> list[str]:
        (tmp_path / "run.py").write_text(CHIPS + "from motion import *\nfrom sensors import *\n" + program)
        done = subprocess.run([micropython, "run.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    return start


@pytest.mark.parametrize("name", DRIVERS)
def test_rows_come_once_and_in_order(run: Run, name: str) -> None:
    """Also after the program was busy for two thirds of what the FIFO holds."""
    made, room, rate = DRIVERS[name]
    said = run(f"""{made}
capture.pause = chip.sleep
block, rows = array("h", bytes(6 * 20)), []
for i in range(40):
    if i in (5, 20): chip.tick({room * 2 // 3})
    sensor.readinto(block)
    rows += [list(block[at:at + 3]) for at in range(0, 60, 3)]
print(rows, sensor.lost, sensor.rate)
row = array("h", bytes(6))
chip.tick(3)
sensor.read(row)
print(list(row) == [chip.n, -chip.n, 3 * chip.n])
""")
    rows, _, tail = said[0].rpartition("] ")
    first = json.loads(rows + "]")[0][0]
    assert json.loads(rows + "]") == [[n, -n, 3 * n] for n in range(first, first + 800)]
    assert tail.split() == ["0", str(rate)] and said[1] == "True"


@pytest.mark.parametrize("name", DRIVERS)
def test_a_fifo_that_ran_over_is_counted_and_rows_stay_whole(run: Run, name: str) -> None:
    made, room, _ = DRIVERS[name]
    said = run(f"""{made}
capture.pause = chip.sleep
block = array("h", bytes(6 * 20))
sensor.readinto(block)
chip.tick({3 * room})
sensor.readinto(block)
print(sensor.lost > 0, all(block[at] == -block[at + 1] and block[at + 2] == 3 * block[at] for at in range(0, 60, 3)))
""")
    assert said == ["True True"]


def test_a_chip_that_is_not_there_or_stops(run: Run) -> None:
    said = run("""
chip = Mpu(1024)
chip.get = lambda register, count: bytes(count)
for made in (lambda: MPU6050(chip), lambda: LSM6DSO(Spi(chip), cs=Pin()), lambda: MPU6050(chip, rate=60),
             lambda: LSM6DSO(chip, rate=50)):
    try:
        made()
    except (OSError, ValueError) as error:
        print(error)
chip = Mpu(1024)
sensor = MPU6050(chip)
capture.pause = lambda us: None
try:
    sensor.readinto(array("h", bytes(60)))
except OSError as error:
    print(error)
""")
    assert said[0] == "no MPU-6050 at address 0x68" and said[1].startswith("no LSM6DSO at chip select")
    assert said[2] == "MPU6050: rate is 60, expected 1000 Hz or a whole part of it, from 4"
    assert said[3] == "LSM6DSO: rate is 50, expected [12.5, 26, 52, 104, 208]"
    assert said[4] == "MPU6050: no row for 101 rows' time"


def test_several_sensors_on_one_clock(run: Run) -> None:
    """Rows of the first; the others hold their newest row until their next one is due."""
    said = run("""
class Counter:
    def __init__(self, name, rate, units="V", scale=0.5, width=1):
        self.channels, self.rate, self.units, self.scale, self.n = (name,) * width, rate, units, scale, 0
    def read(self, row):
        self.n += 1
        for i in range(len(row)): row[i] = self.n

capture.pause = lambda us: None
both = Combined(Counter("a", 64, width=2), Counter("b", 4, "uS", 0.25), Counter("c", 24, "degC", 2))
print(both.channels, both.units, both.scale, both.rate)
block = array("h", bytes(2 * 4 * 128))
print(both.readinto(block), both.lost)
print([list(block[at:at + 4]) for at in range(0, len(block), 4)])
try:
    Combined(Counter("a", 4), Counter("b", 64))
except ValueError as error:
    print(error)
""")
    assert said[0] == "('a', 'a', 'b', 'c') ('V', 'V', 'uS', 'degC') (0.5, 0.5, 0.25, 2) 64"
    assert said[1] == "512 0"
    rows = json.loads(said[2])
    assert [row[:2] for row in rows] == [[n, n] for n in range(1, 129)]
    assert [row[2] for row in rows] == [1 + n // 16 for n in range(128)]
    assert [row[3] for row in rows] == [1 + n * 24 // 64 for n in range(128)]
    assert said[3] == "Combined: a sensor of 64 Hz behind one of 4 Hz"


def test_a_converter_gives_volts_less_half_of_its_range(run: Run) -> None:
    """MicroPython's `ADC.read_u16` is 0 to 65535 over 0 to 3.3 V, whatever the converter has of bits."""
    said = run("""
import sys
class Converter:
    values = [0, 32768, 65535, 0x4D94]
    def __init__(self, pin): assert pin == "pin A1"
    def read_u16(self): return self.values.pop(0)
class Machine:
    ADC = Converter
    Pin = staticmethod(lambda name: "pin " + name)
sys.modules["machine"] = Machine
sensor = Adc("A1", rate=64, name="eda")
row = array("h", bytes(2))
read = []
for _ in range(4):
    sensor.read(row)
    read.append(round(row[0] * sensor.scale + 1.65, 3))
print(sensor.channels, sensor.units, sensor.rate, read)
""")
    assert said == ["('eda',) V 64 [0.0, 1.65, 3.3, 1.0]"]
