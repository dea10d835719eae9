"""System control block, MPU, FPU and cache maintenance registers of the Cortex-M7."""

from __future__ import annotations

from collections.abc import Callable

from ditmos.emulator.bus import Peripheral

VTOR, AIRCR = 0xD08, 0xD0C
_VECTKEY, _VECTKEYSTAT, _SYSRESETREQ = 0x05FA, 0xFA05, 1 << 2
_MPU_TYPE, _MPU_RNR, _MPU_RBAR, _MPU_RASR = 0xD90, 0xD98, 0xD9C, 0xDA0
_CACHE_MAINTENANCE = (0xF50, 0xF58, 0xF5C, 0xF60, 0xF64, 0xF68, 0xF6C, 0xF70, 0xF74, 0xF78)


class Scb(Peripheral):
    """Remembers what it is told; does resets (``on_reset``). Caches and memory protection have no effect here."""

    name = "SCB"
    base = 0xE000_E000
    names = {
        0x004: "ICTR", 0x008: "ACTLR", 0xD00: "CPUID", VTOR: "VTOR", AIRCR: "AIRCR", 0xD10: "SCR", 0xD14: "CCR",
        0xD24: "SHCSR", 0xD28: "CFSR", 0xD2C: "HFSR", 0xD34: "MMFAR", 0xD38: "BFAR", 0xD78: "CLIDR", 0xD7C: "CTR",
        0xD80: "CCSIDR", 0xD84: "CSSELR", 0xD88: "CPACR", _MPU_TYPE: "MPU_TYPE", 0xD94: "MPU_CTRL",
        _MPU_RNR: "MPU_RNR", _MPU_RBAR: "MPU_RBAR", _MPU_RASR: "MPU_RASR", 0xDF0: "DHCSR", 0xDFC: "DEMCR",
        0xF34: "FPCCR", 0xF38: "FPCAR", 0xF3C: "FPDSCR", 0xF90: "ITCMCR", 0xF94: "DTCMCR", 0xF9C: "CACR",
    } | {offset: f"CACHE{offset:x}" for offset in _CACHE_MAINTENANCE}  # fmt: skip
    reset_values = {
        0xD00: 0x411F_C270,  # Cortex-M7 r1p0
        VTOR: 0x0800_0000,  # BOOT_ADD0 as delivered
        0xD14: 0x0004_0200,  # CCR: 8-byte stack alignment, branch prediction
        _MPU_TYPE: 8 << 8,  # 8 regions
        0xD80: 0xF007_E019,  # CCSIDR: 16 KiB, 4 ways
        0xF90: 1,
        0xF94: 1,
    }

    def __init__(self, on_reset: Callable[[], None]) -> None:
        self._on_reset = on_reset
        super().__init__()

    @property
    def vector_table(self) -> int:
        return self.registers[VTOR]

    def read(self, offset: int) -> int:
        value = super().read(offset)
        return value & 0xFFFF | _VECTKEYSTAT << 16 if offset == AIRCR else value

    def write(self, offset: int, value: int) -> None:
        if offset == AIRCR:
            if value >> 16 != _VECTKEY:
                return
            if value & _SYSRESETREQ:
                self._on_reset()
                return
        super().write(offset, value)
