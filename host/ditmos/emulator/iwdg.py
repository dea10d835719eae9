"""Independent watchdog: resets the board unless it is fed; nothing but a reset stops it."""

from __future__ import annotations

from collections.abc import Callable

from ditmos.emulator.bus import Peripheral
from ditmos.emulator.clock import CORE_HZ, NEVER, Clock

_KR, _PR, _RLR, _SR, _WINR = 0x00, 0x04, 0x08, 0x0C, 0x10
_RELOAD, _START = 0xAAAA, 0xCCCC
_LSI_HZ = 32000


class Iwdg(Peripheral):
    """RM0410 section 29, without the window. ``on_reset`` is called where it was not fed in time."""

    name = "IWDG"
    base = 0x4000_3000
    names = {_KR: "KR", _PR: "PR", _RLR: "RLR", _SR: "SR", _WINR: "WINR"}
    reset_values = {_RLR: 0xFFF, _WINR: 0xFFF}

    def __init__(self, clock: Clock, on_reset: Callable[[], None]) -> None:
        self._clock, self._on_reset = clock, on_reset
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self.due = NEVER

    def fire(self) -> None:
        self.due = NEVER
        self._on_reset()

    def write(self, offset: int, value: int) -> None:
        if offset != _KR:
            super().write(offset, value)
        elif value == _START or (value == _RELOAD and self.due != NEVER):
            divider = 4 << min(self.registers.get(_PR, 0) & 7, 6)
            ticks = (self.registers[_RLR] & 0xFFF) + 1
            self.due = self._clock.now + ticks * divider * CORE_HZ // _LSI_HZ
