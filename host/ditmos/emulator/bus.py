"""Peripheral registers: which model answers for which address, and what is told of accesses that none answers for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ditmos.firmware.memorymap import place


class Peripheral:
    """A block of 32-bit registers from ``base`` on.

    Registers hold what was written to them; a subclass overrides ``read`` and ``write`` for those that do more, and
    calls these methods for the rest. ``names`` lists the registers that are modelled, by offset.
    """

    name = ""
    base = 0
    names: Mapping[int, str] = {}
    reset_values: Mapping[int, int] = {}

    def __init__(self) -> None:
        self.registers: dict[int, int] = {}
        self.reset()

    def reset(self) -> None:
        self.registers = dict(self.reset_values)

    def read(self, offset: int) -> int:
        """Value of the register at ``offset``, a multiple of 4."""
        return self.registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        self.registers[offset] = value

    def write_part(self, offset: int, size: int, value: int) -> None:
        """An 8 or 16 bit write: by default the other bits of the register are written with what they read as."""
        shift = 8 * (offset & 3)
        mask = ((1 << 8 * size) - 1) << shift
        word = offset & ~3
        self.write(word, self.registers.get(word, 0) & ~mask | value << shift & mask)


class Bus:
    """All register blocks. ``report`` is told, once for each register, of accesses that are not modelled."""

    def __init__(self, report: Callable[[str], None], where: Callable[[], str]) -> None:
        self._report = report
        self._where = where
        self._owners: dict[int, Peripheral] = {}  # by word address
        self._peripherals: list[Peripheral] = []
        self._unknown: dict[int, int] = {}  # what was written where nobody answers
        self._reported: set[tuple[bool, int]] = set()

    def attach(self, peripheral: Peripheral) -> None:
        self._peripherals.append(peripheral)
        for offset in peripheral.names:
            self._owners[peripheral.base + offset] = peripheral

    def reset(self) -> None:
        self._unknown.clear()
        for peripheral in self._peripherals:
            peripheral.reset()

    def read(self, address: int, size: int) -> int:
        word = address & ~3
        owner = self._owners.get(word)
        if owner is None:
            value = self._unmodelled(False, word, self._unknown.get(word, 0))
        else:
            value = owner.read(word - owner.base)
        return value >> 8 * (address & 3) & (1 << 8 * size) - 1

    def write(self, address: int, size: int, value: int) -> None:
        owner = self._owners.get(address & ~3)
        if owner is None:
            self._unknown[address & ~3] = self._unmodelled(True, address & ~3, value)
        elif size == 4:
            owner.write(address - owner.base, value)
        else:
            owner.write_part(address - owner.base, size, value)

    def _unmodelled(self, writing: bool, address: int, value: int) -> int:
        if (writing, address) not in self._reported:
            self._reported.add((writing, address))
            doing = "write" if writing else "read"
            self._report(f"{doing} of {value:#x}, {place(address)}: not modelled, {self._where()}")
        return value
