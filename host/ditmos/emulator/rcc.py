"""Reset and clock control, power control: every clock that is switched on is ready at once."""

from __future__ import annotations

from collections.abc import Callable

from ditmos.emulator.bus import Peripheral

CR, CFGR, BDCR, CSR = 0x00, 0x08, 0x70, 0x74
_PLLCFGR, _PLLI2SCFGR = 0x04, 0x84
HSE_HZ = 8_000_000  # from the ST-LINK
_HSI, _HSE, _PLLS = 1, 1 << 16, (1 << 24, 1 << 26, 1 << 28)  # enable bits; the ready bit is the next one
_RESET_FLAGS = 0x0C00_0000  # CSR: NRST pin and brown-out, as after power on
_RMVF = 1 << 24
_SOFTWARE_RESET = 1 << 28


class Rcc(Peripheral):
    """RM0410 section 5. ``resets`` has the blocks that a bit of a reset register resets, by (offset, bit)."""

    name = "RCC"
    base = 0x4002_3800
    names = {
        CR: "CR", 0x04: "PLLCFGR", CFGR: "CFGR", 0x0C: "CIR", 0x10: "AHB1RSTR", 0x14: "AHB2RSTR", 0x18: "AHB3RSTR",
        0x20: "APB1RSTR", 0x24: "APB2RSTR", 0x30: "AHB1ENR", 0x34: "AHB2ENR", 0x38: "AHB3ENR", 0x40: "APB1ENR",
        0x44: "APB2ENR", 0x50: "AHB1LPENR", 0x54: "AHB2LPENR", 0x58: "AHB3LPENR", 0x60: "APB1LPENR",
        0x64: "APB2LPENR", BDCR: "BDCR", CSR: "CSR", 0x80: "SSCGR", 0x84: "PLLI2SCFGR", 0x88: "PLLSAICFGR",
        0x8C: "DCKCFGR1", 0x90: "DCKCFGR2",
    }  # fmt: skip
    reset_values = {CR: 0x83, 0x04: 0x2400_3010, 0x30: 0x0010_0000, CSR: _RESET_FLAGS}

    def __init__(self) -> None:
        self.resets: dict[tuple[int, int], Callable[[], None]] = {}
        super().__init__()

    @property
    def i2s_hz(self) -> float:
        """Of the clock that I2S peripherals divide: PLLI2S, from the crystal."""
        pll, i2s = self.registers.get(_PLLCFGR, 0), self.registers.get(_PLLI2SCFGR, 0)
        return HSE_HZ / max(1, pll & 0x3F) * (i2s >> 6 & 0x1FF) / max(1, i2s >> 28 & 7)

    def software_reset(self) -> None:
        """After a reset that software asked for: the flags tell, and the backup domain is kept."""
        backup = self.registers.get(BDCR, 0)
        self.reset()
        self.registers |= {BDCR: backup, CSR: _SOFTWARE_RESET}

    def read(self, offset: int) -> int:
        value = super().read(offset)
        if offset == CR:
            for enable in (_HSI, _HSE, *_PLLS):
                value = value & ~(enable << 1) | (value & enable) << 1
        elif offset == CFGR:
            value = value & ~0xC | (value & 3) << 2  # SWS follows SW
        elif offset in (BDCR, CSR):
            value = value & ~2 | (value & 1) << 1
        return value

    def write(self, offset: int, value: int) -> None:
        for (register, bit), reset in self.resets.items():
            if register == offset and value & 1 << bit:
                reset()
        if offset == CSR and value & _RMVF:
            value &= 0x00FF_FFFF
        elif offset == CSR:
            value = value & 1 | self.registers[CSR] & 0xFE00_0000
        super().write(offset, value)


class Pwr(Peripheral):
    """RM0410 section 4: voltage scaling, over-drive and backup regulator are ready at once."""

    name = "PWR"
    base = 0x4000_7000
    names = {0x00: "CR1", 0x04: "CSR1", 0x08: "CR2", 0x0C: "CSR2"}
    reset_values = {0x00: 0xC000}

    def read(self, offset: int) -> int:
        value = super().read(offset)
        if offset == 0x04:
            over_drive = self.registers[0x00] & 0x3_0000  # ODEN, ODSWEN; ready flags are the same bits
            backup = value >> 9 & 1  # BRE; BRR is the ready flag
            value = value & ~0x3_0008 | 1 << 14 | over_drive | backup << 3
        return value
