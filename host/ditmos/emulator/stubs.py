"""Blocks that the image sets up or shuts down and that have no effect here: they remember what is written."""

from __future__ import annotations

from ditmos.emulator.bus import Peripheral


class Syscfg(Peripheral):
    name = "SYSCFG"
    base = 0x4001_3800
    names = {0x00: "MEMRMP", 0x04: "PMC", 0x08: "EXTICR1", 0x0C: "EXTICR2", 0x10: "EXTICR3", 0x14: "EXTICR4"}


class Exti(Peripheral):
    name = "EXTI"
    base = 0x4001_3C00
    names = {0x00: "IMR", 0x04: "EMR", 0x08: "RTSR", 0x0C: "FTSR", 0x10: "SWIER", 0x14: "PR"}

    def write(self, offset: int, value: int) -> None:
        if offset == 0x14:  # cleared by writing ones
            value = self.registers.get(0x14, 0) & ~value
        super().write(offset, value)


class OtgFs(Peripheral):
    """USB core with no cable plugged in: it can be set up, and nothing ever comes."""

    name = "OTG_FS"
    base = 0x5000_0000
    names = (
        {offset: f"G{offset:03x}" for offset in (*range(0x00, 0x64, 4), *range(0x100, 0x140, 4))}
        | {offset: f"D{offset:03x}" for offset in range(0x800, 0x83C, 4)}
        | {base + offset: f"D{base + offset:03x}" for base in range(0x900, 0xC00, 0x20) for offset in range(0, 0x20, 4)}
        | {0xE00: "PCGCCTL"}
    )

    def read(self, offset: int) -> int:
        value = super().read(offset)
        if offset == 0x10:  # GRSTCTL: AHB idle, resets and FIFO flushes done
            return value & ~0x31 | 1 << 31
        return value


# The control register that a soft reset of MicroPython clears, of blocks with nothing connected.
_SHUT_DOWN = {
    "SPI1": 0x4001_3000, "SPI3": 0x4000_3C00, "SPI4": 0x4001_3400, "SPI5": 0x4001_5000,
    "SPI6": 0x4001_5400, "I2C1": 0x4000_5400, "I2C2": 0x4000_5800, "I2C3": 0x4000_5C00, "I2C4": 0x4000_6000,
    "DAC": 0x4000_7400,
}  # fmt: skip


class Disconnected(Peripheral):
    """A block of which only the first register, its control register, is there."""

    names = {0x00: "CR1"}

    def __init__(self, name: str, base: int) -> None:
        self.name, self.base = name, base
        super().__init__()


def disconnected() -> list[Disconnected]:
    return [Disconnected(name, base) for name, base in _SHUT_DOWN.items()]
