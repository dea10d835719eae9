"""DMA controller: what a peripheral hands over goes to memory; interrupts tell of a buffer that is half or all full."""

from __future__ import annotations

from collections.abc import Callable

from ditmos.emulator.bus import Peripheral
from ditmos.emulator.nvic import Nvic

LISR, HISR, LIFCR, HIFCR = 0x00, 0x04, 0x08, 0x0C
_STREAM, _SIZE = 0x10, 0x18  # of stream 0; from one to the next
CR, NDTR, PAR, M0AR, M1AR, FCR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14
_EN, _HTIE, _TCIE, _CIRC = 1, 1 << 3, 1 << 4, 1 << 8
_HTIF, _TCIF = 1 << 4, 1 << 5
_SHIFTS = (0, 6, 16, 22)  # of the flags of streams 0 to 3 in LISR, 4 to 7 in HISR
_STREAM_NAMES = ((CR, "CR"), (NDTR, "NDTR"), (PAR, "PAR"), (M0AR, "M0AR"), (M1AR, "M1AR"), (FCR, "FCR"))


class Dma(Peripheral):
    """RM0410 section 8: from peripheral to memory in halfwords, once or in a circle, without the FIFO.

    ``store(address, data)`` writes to memory. ``overruns`` counts the halves of a buffer that were filled again before
    the interrupt that tells of the last time had been answered: what was in them is lost.
    """

    names = {LISR: "LISR", HISR: "HISR", LIFCR: "LIFCR", HIFCR: "HIFCR"} | {
        _STREAM + _SIZE * stream + offset: f"S{stream}{name}" for stream in range(8) for offset, name in _STREAM_NAMES
    }

    def __init__(
        self, name: str, base: int, irqs: tuple[int, ...], nvic: Nvic, store: Callable[[int, bytes], None]
    ) -> None:
        self.name, self.base, self._irqs, self._nvic, self._store = name, base, irqs, nvic, store
        self.overruns = 0
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self._flags = [0] * 8
        self._lengths = [0] * 8  # of each stream's buffer, as it was started with
        for irq in self._irqs:
            self._nvic.set_line(irq, False)

    def _register(self, stream: int, offset: int) -> int:
        return self.registers.get(_STREAM + _SIZE * stream + offset, 0)

    def room(self, stream: int) -> int:
        """Halfwords until the next interrupt; 0 where the stream is off."""
        if not self._register(stream, CR) & _EN:
            return 0
        left, half = self._register(stream, NDTR), self._lengths[stream] // 2
        return left - half if left > half else left

    def take(self, stream: int, data: bytes) -> None:
        """Halfwords from a peripheral, at most `room`."""
        left, length = self._register(stream, NDTR), self._lengths[stream]
        self._store(self._register(stream, M0AR) + 2 * (length - left), data)
        left -= len(data) // 2
        if left == length // 2:
            self._raise(stream, _HTIF)
        elif left == 0:
            self._raise(stream, _TCIF)
            if self._register(stream, CR) & _CIRC:
                left = length
            else:
                self.registers[_STREAM + _SIZE * stream + CR] &= ~_EN
        self.registers[_STREAM + _SIZE * stream + NDTR] = left

    def _raise(self, stream: int, flag: int) -> None:
        self.overruns += bool(self._flags[stream] & flag)
        self._flags[stream] |= flag
        self._update_line(stream)

    def _update_line(self, stream: int) -> None:
        control, flags = self._register(stream, CR), self._flags[stream]
        wanted = (control & _HTIE and flags & _HTIF) or (control & _TCIE and flags & _TCIF)
        self._nvic.set_line(self._irqs[stream], bool(wanted))

    def read(self, offset: int) -> int:
        if offset in (LISR, HISR):
            first = 4 * (offset == HISR)
            return sum(self._flags[first + i] << shift for i, shift in enumerate(_SHIFTS))
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        if offset in (LIFCR, HIFCR):
            first = 4 * (offset == HIFCR)
            for i, shift in enumerate(_SHIFTS):
                self._flags[first + i] &= ~(value >> shift)
                self._update_line(first + i)
            return
        stream, register = divmod(offset - _STREAM, _SIZE)
        if register == CR and value & _EN and not self._register(stream, CR) & _EN:
            self._lengths[stream] = self._register(stream, NDTR)
        super().write(offset, value)
        if register == CR:
            self._update_line(stream)
