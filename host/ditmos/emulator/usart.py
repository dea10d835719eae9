"""USART: bytes take their time, and a byte that comes while the last one was not fetched is lost."""

from __future__ import annotations

from collections.abc import Callable

from ditmos.emulator.bus import Peripheral
from ditmos.emulator.clock import NEVER, Clock
from ditmos.emulator.nvic import Nvic

CR1, BRR, RQR, ISR, ICR, RDR, TDR = 0x00, 0x0C, 0x18, 0x1C, 0x20, 0x24, 0x28
_UE, _RE, _TE, _RXNEIE, _TCIE, _TXEIE = 1, 1 << 2, 1 << 3, 1 << 5, 1 << 6, 1 << 7
_ORE, _IDLE, _RXNE, _TC, _TXE, _TEACK, _REACK = 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 21, 1 << 22
_FRAME_BITS = 10  # start, 8 data, stop


class Usart(Peripheral):
    """RM0410 section 34, 8 data bits, no parity, oversampling by 16.

    ``source`` gives the next byte that the other side sends, or None; ``sink`` takes what is sent to it.
    ``bus_divider``: core cycles for each cycle of the peripheral's bus.
    ``overruns`` counts the bytes that were lost, as the status bit ORE tells the software. ``disturbed`` makes it lose
    a byte that comes even though there is room, for tests of programs that must live with that.
    """

    names = {
        CR1: "CR1", 0x04: "CR2", 0x08: "CR3", BRR: "BRR", 0x10: "GTPR", 0x14: "RTOR", RQR: "RQR", ISR: "ISR",
        ICR: "ICR", RDR: "RDR", TDR: "TDR",
    }  # fmt: skip

    def __init__(
        self,
        name: str,
        base: int,
        irq: int,
        bus_divider: int,
        clock: Clock,
        nvic: Nvic,
        source: Callable[[], int | None] = lambda: None,
        sink: Callable[[int], None] = lambda byte: None,
    ) -> None:
        self.name, self.base, self._irq, self._bus_divider = name, base, irq, bus_divider
        self._clock, self._nvic, self._source, self._sink = clock, nvic, source, sink
        self.disturbed: Callable[[], bool] = lambda: False
        self.overruns = 0
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self.due = NEVER
        self._status = 0
        self._received = 0
        self._incoming: int | None = None  # the byte on the line
        self._sent = 0  # when the transmitter has sent everything
        self._update_line()

    @property
    def frame_cycles(self) -> int:
        """Core cycles that one byte takes on the line."""
        return _FRAME_BITS * max(16, self.registers.get(BRR, 0) & 0xFFFF) * self._bus_divider

    @property
    def receiving(self) -> bool:
        return self._incoming is not None

    def poll(self) -> None:
        """Ask ``source`` for a byte if the line is free and the receiver listens."""
        listening = self.registers.get(CR1, 0) & (_UE | _RE) == _UE | _RE
        if self._incoming is None and listening and (byte := self._source()) is not None:
            self._incoming = byte
            self.due = self._clock.now + self.frame_cycles

    def fire(self) -> None:
        """The byte on the line is complete."""
        byte, self._incoming, self.due = self._incoming, None, NEVER
        if byte is None:
            return
        if self._status & _RXNE or self.disturbed():  # the last one is still there: this one is lost
            self._status |= _ORE
            self.overruns += 1
        else:
            self._status |= _RXNE
            self._received = byte
        self._update_line()
        self.poll()

    def read(self, offset: int) -> int:
        if offset == ISR:
            return self._read_status()
        if offset == RDR:
            self._status &= ~_RXNE
            self._update_line()
            return self._received
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        if offset == TDR:
            self._sent = max(self._sent, self._clock.now) + self.frame_cycles
            self._sink(value & 0xFF)
        elif offset == ICR:
            self._status &= ~(value & (_ORE | _IDLE))
        elif offset == RQR:
            self._status &= ~_RXNE if value & 1 << 3 else ~0
        else:
            super().write(offset, value)
        self._update_line()

    def _read_status(self) -> int:
        control = self.registers.get(CR1, 0)
        status = self._status | (_TEACK if control & _TE else 0) | (_REACK if control & _RE else 0)
        left = self._sent - self._clock.now
        if left > 0:
            # Software that sees a busy transmitter asks again until it is not.
            self._clock.wait_until(self._sent - (self.frame_cycles if left > self.frame_cycles else 0))
            left = self._sent - self._clock.now
        if left <= self.frame_cycles:  # the data register is empty, the shift register may not be
            status |= _TXE
        return status | (_TC if left <= 0 else 0)

    def _update_line(self) -> None:
        control = self.registers.get(CR1, 0)
        wanted = (control & _RXNEIE and self._status & (_RXNE | _ORE)) or control & (_TXEIE | _TCIE)
        self._nvic.set_line(self._irq, bool(wanted and control & _UE))
