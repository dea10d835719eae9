"""Recordings without a host: takes of a sensor into files that `ditmos data import` reads.

from ditmos.files import record
record(MPU6050(), "walk", seconds=20, takes=10, folder="/sd")
"""

import gc
import os
import struct
import time
from array import array

from .capture import Watch, name_of, reader, start

RESERVE = 49152  # bytes of heap left to everything else
NO_ROOM = 28  # ENOSPC, which `errno` here does not name


def record(sensor, label, seconds=20, takes=1, folder="/flash", gap=2):
    """Record takes of `label`, `gap` seconds apart, each into a file when it is complete: LABEL-000.csv and so on, raw
    values below the names of the channels; sound of one channel into .wav. The names of the files.

    Raises MemoryError where a take does not fit into RAM, OSError where the sensor sends nothing, loses rows, or there
    is no room for the file: a half-written one is removed.
    """
    width = len(sensor.channels)
    rows = int(seconds * sensor.rate)
    gc.collect()
    most = (gc.mem_free() - RESERVE) // (2 * width)
    if rows > most:
        raise MemoryError("a take of %d rows, RAM has room for %d: %.1f s" % (rows, most, most / sensor.rate))
    names = []
    number = _next(folder, label)
    for take in range(number, number + takes):
        if hasattr(sensor, "expect"):
            sensor.expect(label)
        name = "%s/%s-%03d.%s" % (folder, label, take, "wav" if _is_sound(sensor) else "csv")
        samples = _take(sensor, rows)
        try:
            (_write_wav if _is_sound(sensor) else _write_csv)(name, sensor, samples)
        except OSError as error:
            _remove(name)
            if error.args[0] == NO_ROOM:
                error = OSError("%s: no room there for %d rows; take another folder, such as /sd" % (name, rows))
            raise error
        del samples
        gc.collect()
        print(name)
        names.append(name)
        if take < number + takes - 1:
            time.sleep(gap)
    return names


def _is_sound(sensor):
    return len(sensor.channels) == 1 and sensor.rate >= 4000


def _next(folder, label):
    """The first number that no file has."""
    numbers = [name[len(label) + 1 : -4] for name in os.listdir(folder) if _is_take(name, label)]
    return max([int(number) for number in numbers if number.isdigit()] + [-1]) + 1


def _is_take(name, label):
    return name.startswith(label + "-") and name[-4:] in (".csv", ".wav")


def _take(sensor, rows):
    width = len(sensor.channels)
    samples = array("h", bytes(2 * width * rows))
    view = memoryview(samples)
    step = width * max(1, int(sensor.rate) // 50)
    watch, readinto = Watch(sensor), reader(sensor)
    start(sensor)
    before = watch.lost
    at = 0
    while at < len(samples):
        block = view[at : at + step]
        count = readinto(block)
        watch(block[:count] if count is not None else block)
        at += len(block) if count is None else count
        if count == 0:
            raise OSError("%s ended after %d of %d rows" % (name_of(sensor), at // width, rows))
    if watch.lost != before:
        raise OSError("%s lost %d rows" % (name_of(sensor), watch.lost - before))
    if watch.clipped:
        print("%d values were clipped" % watch.clipped)
    return samples


def _write_csv(name, sensor, samples):
    width = len(sensor.channels)
    with open(name, "w") as file:
        file.write(",".join(sensor.channels) + "\n")
        for at in range(0, len(samples), width):
            file.write(",".join(str(value) for value in samples[at : at + width]) + "\n")


def _write_wav(name, sensor, samples):
    rate, size = int(sensor.rate), 2 * len(samples)
    with open(name, "wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt ")
        file.write(struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16) + b"data" + struct.pack("<I", size))
        file.write(samples)


def _remove(name):
    try:
        os.remove(name)
    except OSError:
        pass
