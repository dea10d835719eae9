"""Models in ROM, on a memory of the real board's size: any two that fit together, cut at any moment."""

from __future__ import annotations

import importlib.util
import random
import sys
from binascii import crc32
from contextlib import suppress
from types import ModuleType, SimpleNamespace

import pytest
from ditmos.paths import SOURCES

ROOM = 1 << 20
UNIT = 256 << 10
PLAIN = b"\xd2\xcd\x31"


class PowerFailed(Exception):
    pass


class Chip:
    """Flash of four sectors: erased to ones, programmed towards zeros, a word at a time."""

    def __init__(self) -> None:
        self.memory = bytearray(b"\xff" * ROOM)
        self.left = 1 << 62  # operations until the power fails

    def _spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise PowerFailed

    def ioctl(self, command, segment=0, *arguments):
        if command == 1:
            return 1
        if command == 2:
            return memoryview(self.memory)
        if command == 3:
            length, offset = arguments if len(arguments) == 2 else (arguments[0], 0)
            if offset % UNIT or offset + length > ROOM:
                return -22
            for at in range(offset, offset + length, UNIT):
                self.memory[at : at + UNIT // 2] = b"\xff" * (UNIT // 2)
                self._spend()
                self.memory[at : at + UNIT] = b"\xff" * UNIT
            return 16
        if command == 4:
            offset, data = arguments
            assert offset % 4 == 0 and len(data) % 4 == 0
            for i in range(0, len(data), 4):
                self._spend()
                for k in range(i, i + 4):
                    self.memory[offset + k] &= data[k]
        return 0


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Chip:
    return Chip()


@pytest.fixture
def rom(chip: Chip, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "vfs", SimpleNamespace(rom_ioctl=chip.ioctl))
    spec = importlib.util.spec_from_file_location("device_rom", SOURCES / "device" / "ditmos" / "rom.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def units(size: int) -> int:
    return -(-(size + 32) // UNIT)


def image(size: int, seed: int) -> bytes:
    """Mostly blank, so that writing takes no time; the seed makes it one of its kind."""
    return (seed.to_bytes(4, "little") * 8).ljust(size // 32 * 32, b"\xff")


def write(rom: ModuleType, data: bytes, **options) -> None:
    offset = rom.place(len(data), **options)
    assert offset is not None
    writer = rom.Writer(offset, len(data))
    for at in range(0, len(data), 1 << 16):
        part = data[at : at + (1 << 16)]
        if part.strip(b"\xff"):
            writer.write(at, part[:64] if not part[64:].strip(b"\xff") else part)
    assert writer.crc() == crc32(data)
    writer.finish()


def in_use(rom: ModuleType) -> bytes | None:
    memory = rom.segment()
    found = rom.newest(memory)
    if found is None:
        return None
    _, offset, size, crc = found
    data = bytes(memory[offset + 32 : offset + 32 + size])
    assert crc32(data) == crc
    return data


@pytest.mark.parametrize("seed", range(20))
def test_any_two_that_fit_together_follow_each_other(rom, seed):
    chance = random.Random(seed)
    old = image(chance.randrange(64, 700_000), 0)
    write(rom, old)
    for number in range(1, 12):
        free = ROOM // UNIT - units(len(old))
        new = image(chance.randrange(64, free * UNIT - 32) if free else 64, number)
        if not free:
            assert rom.place(64) is None and rom.place(64, model=False) is not None
            return
        write(rom, new)
        assert in_use(rom) == new
        old = new


def test_what_does_not_fit_beside_is_refused_and_may_take_its_place(rom):
    write(rom, image(700_000, 1))
    new = image(300_000, 2)
    assert rom.place(len(new)) is None and rom.sectors(len(new)) == (4, 2, 3)
    write(rom, new, model=False)
    assert in_use(rom) == new
    assert len(rom.models(rom.segment())) == 1, "what lost its sectors is no model any more"
    assert rom.place(ROOM) is None and rom.place(ROOM, model=False, plain=False) is None
    assert rom.place(ROOM - 32, model=False) == 0


@pytest.mark.parametrize("seed", range(60))
def test_power_that_fails_at_any_moment_leaves_the_old_or_the_new(rom, chip, seed):
    chance = random.Random(seed)
    write(rom, image(chance.randrange(64, 500_000), 1))
    write(rom, image(chance.randrange(64, 200_000), 2))
    old, new = in_use(rom), image(chance.randrange(64, 500_000), 3)
    if rom.place(len(new)) is None:
        new = image(64, 3)
    chip.left = chance.randrange(40)
    with suppress(PowerFailed):
        write(rom, new)
    chip.left = 1 << 62
    assert in_use(rom) in (old, new)
    write(rom, new)
    assert in_use(rom) == new


def test_a_plain_romfs_keeps_its_sectors(rom, chip):
    plain = PLAIN + bytes((0x80 | 300_000 >> 14, 0x80 | 300_000 >> 7 & 0x7F, 300_000 & 0x7F))
    chip.memory[: len(plain)] = plain
    assert rom.plain_size(rom.segment()) == 300_006
    assert rom.place(400_000) == 2 * UNIT
    write(rom, image(100_000, 1))
    write(rom, image(100_000, 2))
    assert bytes(chip.memory[: len(plain)]) == plain
    assert rom.place(600_000) is None
    assert rom.place(1_000_000, model=False, plain=False) == 0


def test_headers_that_are_damaged_are_no_models(rom, chip):
    write(rom, image(1000, 1))
    whole = bytes(chip.memory[:32])
    for i in range(32):
        chip.memory[i] ^= 0x10
        assert rom.newest(rom.segment()) is None
        chip.memory[:32] = whole
    assert in_use(rom) == image(1000, 1)
