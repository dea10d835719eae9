"""Flash memory: erase, program, and the file that keeps it from one run to the next."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ditmos.emulator.bus import Peripheral
from ditmos.emulator.clock import CORE_HZ, Clock
from ditmos.errors import DitmosError
from ditmos.firmware.image import Segment
from ditmos.firmware.memorymap import FLASH, SECTORS, sector_start

ACR, KEYR, OPTKEYR, SR, CR, OPTCR, OPTCR1 = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18
_KEYS = (0x4567_0123, 0xCDEF_89AB)
_PG, _SER, _MER, _START, _LOCK = 1, 1 << 1, 1 << 2, 1 << 16, 1 << 31
_BUSY, _PROGRAM_ERROR = 1 << 16, 1 << 6
_ERASE_SECONDS_PER_KIB = 0.004  # of the order that the data sheet gives as typical; programming takes no time here
_ERASED = 0xFF


class Flash(Peripheral):
    """RM0410 section 3, one bank. ``memory`` is the 2 MiB; ``dirty`` says that it changed since ``save``."""

    name = "FLASH"
    base = 0x4002_3C00
    names = {ACR: "ACR", KEYR: "KEYR", OPTKEYR: "OPTKEYR", SR: "SR", CR: "CR", OPTCR: "OPTCR", OPTCR1: "OPTCR1"}
    reset_values = {CR: _LOCK, OPTCR: 0xFFFF_AAFD, OPTCR1: 0x0040_0080}

    def __init__(
        self,
        memory: memoryview,
        clock: Clock,
        report: Callable[[str], None],
        on_erase: Callable[[int, int], None],
    ) -> None:
        self._memory, self._clock, self._report, self._on_erase = memory, clock, report, on_erase
        self.dirty = False
        self._operations = self._cut_at = 0
        self._power_fails: Callable[[], None] = lambda: None
        super().__init__()

    def cut(self, after: int, power_fails: Callable[[], None]) -> None:
        """Call ``power_fails`` in the midst of the erasure, or before the store, of this number from now on."""
        self._operations, self._cut_at, self._power_fails = 0, after, power_fails

    def _operation(self) -> bool:
        """Whether the power fails in this one."""
        self._operations += 1
        return self._operations == self._cut_at

    def reset(self) -> None:
        super().reset()
        self._keys: list[int] = []
        self._busy_until = 0
        self._status = 0

    def read(self, offset: int) -> int:
        if offset != SR:
            return super().read(offset)
        if self._busy_until > self._clock.now:
            self._clock.wait_until(self._busy_until)
        return self._status | (_BUSY if self._busy_until > self._clock.now else 0)

    def write(self, offset: int, value: int) -> None:
        if offset == KEYR:
            self._keys = [*self._keys, value][-2:]
            if tuple(self._keys) == _KEYS:
                self.registers[CR] &= ~_LOCK
        elif offset == SR:  # error flags are cleared by writing ones
            self._status &= ~value
        elif offset == CR:
            if not self.registers[CR] & _LOCK or value & _LOCK:
                super().write(CR, value & ~_START)
                if value & _START:
                    self._erase(value)
        else:
            super().write(offset, value)

    def _erase(self, control: int) -> None:
        if control & _MER:
            sectors = list(range(len(SECTORS)))
        elif control & _SER and (sector := control >> 3 & 0x1F) < len(SECTORS):
            sectors = [sector]
        else:
            self._status |= _PROGRAM_ERROR
            return
        for sector in sectors:
            start, size = sector_start(sector) - FLASH.start, SECTORS[sector]
            if self._operation():
                self._memory[start : start + size // 2] = bytes([_ERASED]) * (size // 2)
                self._power_fails()
            self._memory[start : start + size] = bytes([_ERASED]) * size
            self._on_erase(FLASH.start + start, size)
            busy = int(_ERASE_SECONDS_PER_KIB * size / 1024 * CORE_HZ)
            self._busy_until = max(self._busy_until, self._clock.now) + busy
        self.dirty = True

    def programmed(self, address: int, size: int, value: int) -> None:
        """Called before the core's store to ``address`` takes place."""
        if self._operation():
            self._power_fails()
        value &= (1 << 8 * size) - 1
        if self.registers[CR] & (_PG | _LOCK) != _PG:
            self._report(f"store to flash {address:#010x} while CR.PG is not set: stored here, refused by the chip")
        start = address - FLASH.start
        old = int.from_bytes(self._memory[start : start + size], "little")
        if old & value != value:
            self._report(f"programming {value:#x} over {old:#x} at {address:#010x}: bits can only be cleared")
        self.dirty = True

    def load(self, segments: Sequence[Segment], kept: Path | None) -> None:
        """Fill the memory: what ``kept`` held after the last run, then the image, flashed over it.

        Raises:
            DitmosError: ``kept`` has another size than the flash.
        """
        self._memory[:] = bytes([_ERASED]) * FLASH.size
        if kept is not None and kept.exists():
            content = kept.read_bytes()
            if len(content) != FLASH.size:
                raise DitmosError(f"{kept}: flash contents of {len(content)} bytes, expected {FLASH.size}")
            self._memory[:] = content
        for address, data in segments:
            self._flash(address, data)

    def _flash(self, address: int, data: bytes) -> None:
        """Erase and program; sectors of a .bin that are blank, such as the filesystem between its parts, are left."""
        for sector, size in enumerate(SECTORS):
            start = sector_start(sector)
            part = data[max(0, start - address) : max(0, start + size - address)]
            if part.strip(b"\xff"):
                base = start - FLASH.start
                offset = max(0, address - start)
                blank = bytes([_ERASED])
                self._memory[base : base + size] = (blank * offset + part).ljust(size, blank)

    def save(self, path: Path) -> None:
        """Write the memory to ``path``, at once and whole."""
        temporary = path.with_name(path.name + ".partial")
        temporary.write_bytes(self._memory)
        os.replace(temporary, path)
        self.dirty = False
