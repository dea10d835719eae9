"""Real-time clock: starts at the host's time and date and runs with the emulated time."""

from __future__ import annotations

from datetime import datetime, timedelta

from ditmos.emulator.bus import Peripheral
from ditmos.emulator.clock import CORE_HZ, Clock

TR, DR, CR, ISR, PRER, SSR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x28
_INITS, _RSF, _INITF, _INIT = 1 << 4, 1 << 5, 1 << 6, 1 << 7
_WAKEUP_FLAGS = 0x7


def _bcd(value: int) -> int:
    return value // 10 << 4 | value % 10


def _number(bcd: int) -> int:
    return (bcd >> 4) * 10 + (bcd & 15)


class Rtc(Peripheral):
    """RM0410 section 29: calendar, sub-seconds and backup registers; no alarms, no wake-up timer."""

    name = "RTC"
    base = 0x4000_2800
    names = {
        TR: "TR", DR: "DR", CR: "CR", ISR: "ISR", PRER: "PRER", 0x14: "WUTR", 0x1C: "ALRMAR", 0x20: "ALRMBR",
        0x24: "WPR", SSR: "SSR", 0x2C: "SHIFTR", 0x30: "TSTR", 0x34: "TSDR", 0x38: "TSSSR", 0x3C: "CALR",
        0x40: "TAMPCR", 0x44: "ALRMASSR", 0x48: "ALRMBSSR", 0x4C: "OR",
    } | {0x50 + 4 * index: f"BKP{index}R" for index in range(32)}  # fmt: skip
    reset_values = {ISR: _WAKEUP_FLAGS, PRER: 0x007F_00FF}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = datetime.now().replace(microsecond=0)  # the time when the clock was at 0
        super().__init__()

    def reset(self) -> None:
        """The backup domain, which this block is in, is not reset with the core."""
        if not self.registers:
            super().reset()

    def _now(self) -> datetime:
        return self._start + timedelta(seconds=self._clock.now / CORE_HZ)

    def read(self, offset: int) -> int:
        now = self._now()
        if offset == TR:
            return _bcd(now.hour) << 16 | _bcd(now.minute) << 8 | _bcd(now.second)
        if offset == DR:
            return _bcd(now.year % 100) << 16 | now.isoweekday() << 13 | _bcd(now.month) << 8 | _bcd(now.day)
        if offset == SSR:  # counts down in each second
            prescaler = super().read(PRER) & 0x7FFF
            return prescaler - now.microsecond * (prescaler + 1) // 1_000_000
        value = super().read(offset)
        if offset == ISR:
            return value | _WAKEUP_FLAGS | _RSF | _INITS | (_INITF if value & _INIT else 0)
        return value

    def write(self, offset: int, value: int) -> None:
        if offset == TR:
            hour, minute, second = (_number(value >> shift & 0x7F) for shift in (16, 8, 0))
            self._set(self._now().replace(hour=hour & 31, minute=minute, second=second, microsecond=0))
        elif offset == DR:
            year, month, day = _number(value >> 16 & 0xFF), _number(value >> 8 & 0x1F), _number(value & 0x3F)
            self._set(self._now().replace(year=2000 + year, month=max(1, month), day=max(1, day)))
        else:
            super().write(offset, value)

    def _set(self, time: datetime) -> None:
        self._start = time - timedelta(seconds=self._clock.now / CORE_HZ)
