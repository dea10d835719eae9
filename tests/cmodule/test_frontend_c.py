"""Front ends in C: the rows that the specification gives, however samples are cut; and sections nobody vouches for.

The long version: `python tests/cmodule/test_frontend_c.py FIRST_SEED LAST_SEED`.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from struct import pack

import numpy as np
import pytest
from ditmos.bench import baremetal, frontends
from ditmos.bench.golden_fronts import random_affine, random_front, random_samples, random_spectrum
from ditmos.frontends import constants
from ditmos.frontends.frontend import FrontEnd, Stream
from ditmos.frontends.memory import memory
from ditmos.frontends.operations import Affine, Norm, Split
from ditmos.frontends.section import SectionError, decode, encode
from ditmos.frontends.spectrum import hann
from drivers import CMODULE, FrontDriver, compile_driver
from numpy.random import Generator

PUSH, CALIBRATE, RESET = 0, 1 << 24, 2 << 24


@pytest.fixture(scope="module")
def driver(build_driver) -> Iterator[FrontDriver]:
    running = FrontDriver(build_driver("frontend_driver.c"))
    yield running
    running.close()


def cut(rng: Generator, front: FrontEnd, samples: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Commands that take in all samples, in pieces, and the rows that the specification makes of them."""
    stream = Stream(front)
    calibrates = any(isinstance(o, Affine) and o.own for o in front.operations)
    commands, rows, at = [], [np.empty((0, front.channels_out), np.int16)], 0
    while at < len(samples):
        n = min(len(samples) - at, int(2 ** rng.uniform(0, 11)))
        kind = rng.random()
        if kind < 0.03:
            commands.append(RESET)
            stream.reset()
        if calibrates and kind > 0.8:
            commands.append(CALIBRATE | n)
            stream.calibrate(samples[at : at + n])
        else:
            commands.append(PUSH | n)
            rows.append(stream.push(samples[at : at + n]))
        at += n
    return commands, np.concatenate(rows)


def check(driver: FrontDriver, rng: Generator, front: FrontEnd) -> int:
    """Values that were compared."""
    samples = random_samples(rng, int(rng.integers(1, 4 * front.samples(3))), front.channels)
    window = int(rng.integers(1, 6))
    commands, expected = cut(rng, front, samples)
    if front.centre and len(expected) >= window:
        expected[-window:] = front.centre(expected[-window:])
    needed = memory(front, window)
    section = encode(front, 0, needed.kept)
    answer, rows = driver.ask(section, window, front.channels_out, samples, commands, int(rng.integers(4)))
    assert answer.split()[:4] == ["ok", str(len(expected)), str(needed.kept), str(needed.work)], (answer, front)
    np.testing.assert_array_equal(rows, expected)
    return rows.size


def check_seeds(driver: FrontDriver, seeds: range) -> int:
    return sum(
        check(driver, rng, random_front(rng, longest=2048 if seed % 8 == 0 else 256))
        for seed, rng in ((seed, np.random.default_rng(seed)) for seed in seeds)
    )


def test_random_front_ends(driver):
    assert check_seeds(driver, range(150)) > 10_000


def test_a_calibration_on_loud_samples(driver):
    """The sum of their squares is longer than 32 bits."""
    rng = np.random.default_rng(4)
    front = FrontEnd((random_affine(rng, 2, own=True),), 1.0, 1.0, "", ("a", "b"))
    samples = rng.choice(np.array([-32768, -20000, 32767], np.int16), (300, 2))
    stream = Stream(front)
    stream.calibrate(samples[:200])
    section = encode(front, 0, memory(front, 1).kept)
    answer, rows = driver.ask(section, 1, 2, samples, [CALIBRATE | 200, PUSH | 100])
    assert answer.startswith("ok"), answer
    np.testing.assert_array_equal(rows, stream.push(samples[200:]))


def test_every_number_of_points(driver):
    """Even and odd numbers of stages, full scale."""
    rng = np.random.default_rng(3)
    for points in (8, 16, 32, 64, 128, 256, 512, 1024, 2048):
        spectrum = random_spectrum(rng, longest=points)
        while spectrum.points != points:
            spectrum = random_spectrum(rng, longest=points)
        check(driver, rng, FrontEnd((spectrum,), 1.0, 1.0, "", ("a", "b")))


def test_the_tables_are_those_of_the_specification():
    assert (CMODULE / "spectrum_tables.c").read_text() == constants.source()


MISSING = pytest.mark.skipif(bool(baremetal.missing_tools()), reason=f"not installed: {baremetal.missing_tools()}")


@MISSING
@pytest.mark.parametrize("portable", [False, True])
def test_simulated_m7(tmp_path, portable):
    """Rows are equal, memory is what the plan says, nothing is written beyond it."""
    jobs = []
    for seed in range(40):
        rng = np.random.default_rng(1000 + seed)
        front = random_front(rng, longest=2048 if seed % 8 == 0 else 256)
        samples = random_samples(rng, int(rng.integers(1, 2 * front.samples(3))), front.channels)
        jobs.append(frontends.Job(front, samples, int(rng.integers(1, 400)), int(rng.integers(1, 6))))
    runs = frontends.run(frontends.build(portable=portable, folder=tmp_path), jobs)
    for job, run in zip(jobs, runs, strict=True):
        needed = memory(job.front, job.window)
        assert (run.differing, run.kept, run.work) == (0, needed.kept, needed.work), job.front


# ----- sections that nobody vouches for ---------------------------------------------------------------------------


def some_section(seed: int) -> tuple[FrontEnd, bytes, int]:
    rng = np.random.default_rng(seed)
    front = random_front(rng, longest=32)
    window = int(rng.integers(1, 6))
    return front, encode(front, 0, memory(front, window).kept), window


NOTHING = np.empty((0, 1), np.int16)


def refusal(section: bytes, channels: int) -> SectionError | None:
    try:
        front = decode(section).front
    except SectionError as error:
        return error
    return None if front.channels_out == channels else SectionError("FRNT", 0, "other channels")


def test_every_truncation(driver):
    front, section, window = some_section(1)
    for size in range(len(section)):
        answer, _ = driver.ask(section[:size], window, front.channels_out, NOTHING, [], size % 4)
        assert answer.startswith("bad"), size
        assert refusal(section[:size], front.channels_out), size


def test_mutations_are_judged_as_the_host_does(driver):
    verdicts = Counter()
    for seed in range(60):
        front, section, window = some_section(seed)
        rng = np.random.default_rng(seed)
        for i in range(40):
            damaged = bytearray(section)
            for _ in range(int(rng.integers(1, 3))):
                at = int(rng.integers(len(damaged)) if rng.random() < 0.5 else rng.integers(min(len(damaged), 80)))
                damaged[at] = rng.integers(256) if rng.random() < 0.5 else damaged[at] ^ 1 << int(rng.integers(8))
            error = refusal(bytes(damaged), front.channels_out)
            answer, _ = driver.ask(bytes(damaged), window, front.channels_out, NOTHING, [], i % 4)
            assert answer.startswith("bad") == (error is not None), (seed, i, answer, error)
            verdicts["refused" if error else "accepted"] += 1
    assert min(verdicts.values()) > 200, verdicts


@pytest.mark.parametrize(
    ("operation", "offset", "value", "field"),
    [
        (None, 0, pack("<H", 0), "FRNT.channels"),
        (None, 2, bytes([9]), "FRNT.operations"),
        (None, 3, bytes([1]), "FRNT.reserved"),
        (None, 4, pack("<f", float("nan")), "FRNT.fs"),
        (None, 8, pack("<f", -1.0), "FRNT.scale"),
        (None, 12, pack("<I", 2), "FRNT.kept"),
        (None, 20, pack("<H", 9999), "FRNT.names"),
        (None, 24, b"\xff", "FRNT.names"),
        (0, 0, bytes([77]), "FRNT.kind"),
        (0, 1, bytes([0]), "FRNT.k"),
        (0, 4, pack("<I", 12), "FRNT.bytes"),
        (1, 2, pack("<H", 3), "FRNT.first"),
        (2, 1, bytes([32]), "FRNT.wide"),
        (2, 8, pack("<H", 15), "FRNT.frame"),
        (2, 10, pack("<H", 0), "FRNT.hop"),
        (2, 12, pack("<H", 15), "FRNT.points"),
        (2, 28, pack("<i", 1 << 30), "FRNT.window"),
        (2, 28 + 4 * 16, pack("<H", 9), "FRNT.bank"),
        (3, 10, bytes([32]), "FRNT.shift"),
        (3, 12, pack("<i", -1), "FRNT.multiplier"),
    ],
)
def test_messages_name_the_field(driver, operation, offset, value, field):
    """And its offset, the same in C and on the host."""
    rng = np.random.default_rng(0)
    front, places = named_places(rng)
    section = bytearray(encode(front, 0, memory(front, 3).kept))
    at = offset if operation is None else places[operation] + offset
    section[at : at + len(value)] = value
    _, name, where, *_ = driver.ask(bytes(section), 3, front.channels_out, NOTHING, [])[0].split()
    error = refusal(bytes(section), front.channels_out)
    assert (name, int(where)) == (field, at)
    assert error is not None and error.offset == at, error


def named_places(rng: Generator) -> tuple[FrontEnd, list[int]]:
    """Split, Norm, Spectrum, Affine; and where their records start."""
    names = ("x",)
    spectrum = replace(random_spectrum(rng, longest=16), frame=16, hop=8, points=16, window=hann(16))
    spectrum = replace(spectrum, starts=np.array([1]), weights=(np.array([1, 2], np.uint16),))
    front = FrontEnd((Split(1), Norm(0, 2), spectrum, random_affine(rng, 3)), 1.0, 1.0, "u", names)
    section = encode(front, 0, 0)
    places = [28]
    while places[-1] < len(section):
        places.append(places[-1] + int.from_bytes(section[places[-1] + 4 : places[-1] + 8], "little"))
    return front, places[:-1]


def main(first: int, last: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        driver = FrontDriver(compile_driver("frontend_driver.c", Path(folder)))
        for seed in range(first, last, 50):
            values = check_seeds(driver, range(seed, min(seed + 50, last)))
            print(f"seeds {seed} to {min(seed + 50, last) - 1}: {values} values equal", flush=True)
        driver.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
