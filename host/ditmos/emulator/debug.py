"""Debug registers: the cycle counter, and trace packets by which software talks to the emulator."""

from __future__ import annotations

from collections.abc import Callable

from ditmos.emulator.bus import Peripheral
from ditmos.emulator.clock import Clock

_CYCCNTENA = 1


class Dwt(Peripheral):
    """CYCCNT counts emulated cycles: instructions, since each takes one cycle here."""

    name = "DWT"
    base = 0xE000_1000
    names = {0x00: "CTRL", 0x04: "CYCCNT", 0xFB0: "LAR", 0xFB4: "LSR"}
    reset_values = {0x00: 0x4000_0000}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self._origin = 0

    def read(self, offset: int) -> int:
        if offset == 0x04 and self.registers[0x00] & _CYCCNTENA:
            return self._clock.now - self._origin & 0xFFFF_FFFF
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        if offset == 0x04:
            self._origin = self._clock.now - value
        super().write(offset, value)


class Itm(Peripheral):
    """Instrumentation trace: a word written to stimulus port 0 goes to ``on_word``.

    On a real board with no debugger such a write does nothing, so a benchmark may always make it.
    """

    name = "ITM"
    base = 0xE000_0000
    names = {0x00: "STIM0", 0xE00: "TER", 0xE80: "TCR"}

    def __init__(self, on_word: Callable[[int], None]) -> None:
        self._on_word = on_word
        super().__init__()

    def write(self, offset: int, value: int) -> None:
        if offset == 0x00:
            self._on_word(value)
        else:
            super().write(offset, value)


class Dbgmcu(Peripheral):
    name = "DBGMCU"
    base = 0xE004_2000
    names = {0x00: "IDCODE", 0x04: "CR", 0x08: "APB1FZ", 0x0C: "APB2FZ"}
    reset_values = {0x00: 0x1001_6451}  # STM32F76x, revision Z
