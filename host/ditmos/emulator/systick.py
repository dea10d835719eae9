"""SysTick: the millisecond interrupt."""

from __future__ import annotations

from ditmos.emulator.bus import Peripheral
from ditmos.emulator.clock import NEVER, Clock
from ditmos.emulator.nvic import SYSTICK, Nvic

CTRL, LOAD, VAL, CALIB = 0x10, 0x14, 0x18, 0x1C
_ENABLE, _TICKINT, _COUNTFLAG = 1, 1 << 1, 1 << 16


class SysTick(Peripheral):
    """Counts core cycles down from LOAD to 0, then starts again."""

    name = "SysTick"
    base = 0xE000_E000
    names = {CTRL: "CTRL", LOAD: "LOAD", VAL: "VAL", CALIB: "CALIB"}

    def __init__(self, clock: Clock, nvic: Nvic) -> None:
        self._clock = clock
        self._nvic = nvic
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self.due = NEVER

    @property
    def _period(self) -> int:
        return (self.registers.get(LOAD, 0) & 0xFF_FFFF) + 1

    def fire(self) -> None:
        self.due += self._period
        self.registers[CTRL] |= _COUNTFLAG
        if self.registers[CTRL] & _TICKINT:
            self._nvic.system_pending.add(SYSTICK)

    def read(self, offset: int) -> int:
        value = super().read(offset)
        if offset == CTRL:
            self.registers[CTRL] = value & ~_COUNTFLAG
        elif offset == VAL:
            return max(0, self.due - self._clock.now) % self._period if self.due != NEVER else 0
        return value

    def write(self, offset: int, value: int) -> None:
        if offset == CTRL:
            super().write(CTRL, value & 7)
            if not value & _ENABLE:
                self.due = NEVER
            elif self.due == NEVER:
                self.due = self._clock.now + self._period
        elif offset == VAL:
            self.registers[CTRL] = self.registers.get(CTRL, 0) & ~_COUNTFLAG
            if self.due != NEVER:
                self.due = self._clock.now + self._period
        else:
            super().write(offset, value)
