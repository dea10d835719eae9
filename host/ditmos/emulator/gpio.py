"""General purpose inputs and outputs."""

from __future__ import annotations

from ditmos.emulator.bus import Peripheral

IDR, ODR, BSRR = 0x10, 0x14, 0x18


class Gpio(Peripheral):
    """RM0410 section 6. An output pin reads back what it drives; ``inputs`` is what the other pins see."""

    names = {
        0x00: "MODER", 0x04: "OTYPER", 0x08: "OSPEEDR", 0x0C: "PUPDR", IDR: "IDR", ODR: "ODR", BSRR: "BSRR",
        0x1C: "LCKR", 0x20: "AFRL", 0x24: "AFRH",
    }  # fmt: skip

    def __init__(self, port: str, inputs: int = 0) -> None:
        self.name = f"GPIO{port}"
        self.base = 0x4002_0000 + 0x400 * (ord(port) - ord("A"))
        self.inputs = inputs
        super().__init__()

    def read(self, offset: int) -> int:
        if offset != IDR:
            return super().read(offset)
        modes = super().read(0x00)
        driven = sum(1 << pin for pin in range(16) if modes >> 2 * pin & 3 == 1)
        return self.inputs & ~driven | super().read(ODR) & driven

    def write(self, offset: int, value: int) -> None:
        if offset == BSRR:  # lower half sets, upper half clears, setting wins
            super().write(ODR, super().read(ODR) & ~(value >> 16) | value & 0xFFFF)
        else:
            super().write(offset, value)
