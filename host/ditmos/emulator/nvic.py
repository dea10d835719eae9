"""Nested vectored interrupt controller: which exception comes next (Armv7-M architecture, B1.5 and B3.4)."""

from __future__ import annotations

from ditmos.emulator.bus import Peripheral

HARD_FAULT, PENDSV, SYSTICK = 3, 14, 15
FIRST_IRQ = 16
IRQS = 110
PRIORITY_MASK = 0xF0  # the STM32F7 implements the upper 4 bits
THREAD = 256  # lower than any priority

ICSR = 0xD04
SHPR = (0xD18, 0xD1C, 0xD20)
STIR = 0xF00
_WORDS = range(0, 4 * ((IRQS + 31) // 32), 4)
_ISER, _ICER, _ISPR, _ICPR, _IABR, _IPR = 0x100, 0x180, 0x200, 0x280, 0x300, 0x400
_PENDSVSET, _PENDSVCLR, _PENDSTSET, _PENDSTCLR = 1 << 28, 1 << 27, 1 << 26, 1 << 25


class Nvic(Peripheral):
    """Interrupts are level-sensitive: a line that is still high when its handler returns is taken again.

    ``active`` is the stack of exceptions being handled, as (number, priority).
    """

    name = "NVIC"
    base = 0xE000_E000
    names = (
        {bank + word: f"{name}{word // 4}" for bank, name in (
            (_ISER, "ISER"), (_ICER, "ICER"), (_ISPR, "ISPR"), (_ICPR, "ICPR"), (_IABR, "IABR")) for word in _WORDS}
        | {_IPR + word: f"IPR{word // 4}" for word in range(0, IRQS + 3 & ~3, 4)}
        | {ICSR: "ICSR", STIR: "STIR"}
        | {offset: f"SHPR{index + 1}" for index, offset in enumerate(SHPR)}
    )  # fmt: skip

    def reset(self) -> None:
        super().reset()
        self.enabled = self.pending = self.lines = 0  # one bit for each interrupt
        self.system_pending: set[int] = set()
        self.active: list[tuple[int, int]] = []
        self._irq_priority = bytearray(IRQS + 3 & ~3)
        self._system_priority = bytearray(12)  # of exceptions 4 to 15

    def set_line(self, irq: int, high: bool) -> None:
        if high:
            self.lines |= 1 << irq
        else:
            self.lines &= ~(1 << irq)

    def priority(self, exception: int) -> int:
        if exception >= FIRST_IRQ:
            return self._irq_priority[exception - FIRST_IRQ] & PRIORITY_MASK
        return self._system_priority[exception - 4] & PRIORITY_MASK if exception >= 4 else -1

    def next_exception(self) -> tuple[int, int] | None:
        """(priority, number) of the most urgent pending and enabled exception."""
        waiting = (self.pending | self.lines) & self.enabled
        numbers = list(self.system_pending)
        while waiting:
            lowest = waiting & -waiting
            numbers.append(FIRST_IRQ + lowest.bit_length() - 1)
            waiting ^= lowest
        return min(((self.priority(number), number) for number in numbers), default=None)

    def current_priority(self) -> int:
        return min((priority for _, priority in self.active), default=THREAD)

    def enter(self, exception: int, priority: int) -> None:
        if exception >= FIRST_IRQ:
            self.pending &= ~(1 << exception - FIRST_IRQ)
        else:
            self.system_pending.discard(exception)
        self.active.append((exception, priority))

    def leave(self) -> None:
        self.active.pop()

    def read(self, offset: int) -> int:
        if offset == ICSR:
            number = self.active[-1][0] if self.active else 0
            following = self.next_exception()
            return (
                number
                | (following[1] if following else 0) << 12
                | (_PENDSVSET if PENDSV in self.system_pending else 0)
                | (_PENDSTSET if SYSTICK in self.system_pending else 0)
            )
        if offset in SHPR:
            return int.from_bytes(self._system_priority[offset - SHPR[0] :][:4], "little")
        if _IPR <= offset < STIR:
            return int.from_bytes(self._irq_priority[offset - _IPR :][:4], "little")
        bits = {_ISER: self.enabled, _ISPR: self.pending | self.lines}
        bits |= {_ICER: bits[_ISER], _ICPR: bits[_ISPR]}
        bits[_IABR] = sum(1 << number - FIRST_IRQ for number, _ in self.active if number >= FIRST_IRQ)
        bank = offset & ~0x7F
        return bits.get(bank, 0) >> 8 * (offset - bank) & 0xFFFF_FFFF

    def write(self, offset: int, value: int) -> None:
        if offset == ICSR:
            self._set(PENDSV, value, _PENDSVSET, _PENDSVCLR)
            self._set(SYSTICK, value, _PENDSTSET, _PENDSTCLR)
        elif offset in SHPR:
            self._store(self._system_priority, offset - SHPR[0], 4, value)
        elif offset == STIR:
            self.pending |= 1 << (value & 0x1FF)
        elif offset >= _IPR:
            self._store(self._irq_priority, offset - _IPR, 4, value)
        else:
            bank = offset & ~0x7F
            bits = value << 8 * (offset - bank)
            if bank == _ISER:
                self.enabled |= bits
            elif bank == _ICER:
                self.enabled &= ~bits
            elif bank == _ISPR:
                self.pending |= bits
            elif bank == _ICPR:
                self.pending &= ~bits

    def write_part(self, offset: int, size: int, value: int) -> None:
        """Priorities are bytes."""
        if SHPR[0] <= offset < SHPR[-1] + 4:
            self._store(self._system_priority, offset - SHPR[0], size, value)
        elif _IPR <= offset < STIR:
            self._store(self._irq_priority, offset - _IPR, size, value)
        else:
            super().write_part(offset, size, value)

    @staticmethod
    def _store(priorities: bytearray, start: int, size: int, value: int) -> None:
        priorities[start : start + size] = value.to_bytes(size, "little")

    def _set(self, exception: int, value: int, set_bit: int, clear_bit: int) -> None:
        if value & set_bit:
            self.system_pending.add(exception)
        elif value & clear_bit:
            self.system_pending.discard(exception)
