"""Addresses of the STM32F767ZI (RM0410, memory map) and the names under which accesses are reported."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """Memory from ``start``, ``size`` bytes."""

    name: str
    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.end


ITCM = Region("ITCM", 0x0000_0000, 16 << 10)
FLASH = Region("flash", 0x0800_0000, 2 << 20)
SYSTEM = Region("system memory", 0x1FF0_0000, 1 << 20)  # boot loader, OTP, unique id, option bytes
DTCM = Region("DTCM", 0x2000_0000, 128 << 10)
SRAM = Region("SRAM", 0x2002_0000, 384 << 10)
ROMFS = Region("ROMFS", 0x0810_0000, 1 << 20)  # where boards/NUCLEO_F767ZI_DITMOS has it: the second half of flash
MEMORIES = (ITCM, FLASH, SYSTEM, DTCM, SRAM)

# Where registers are: APB and AHB1, AHB2, FMC and QUADSPI control, the core's private peripherals.
REGISTERS = (
    Region("AHB1", 0x4000_0000, 0x80000),
    Region("AHB2", 0x5000_0000, 0x80000),
    Region("FMC", 0xA000_0000, 0x2000),
    Region("PPB", 0xE000_0000, 0x100000),
)

UNIQUE_ID = 0x1FF0_F420
FLASH_SIZE = 0x1FF0_F442  # in KiB, 16 bits

# Flash sectors with one bank (option bit nDBANK set, as the board is delivered).
SECTORS = (0x8000,) * 4 + (0x20000,) + (0x40000,) * 7


def sector_start(sector: int) -> int:
    """Address of flash sector 0 to 11."""
    return FLASH.start + sum(SECTORS[:sector])


APB1, APB2, AHB1, AHB2 = 0x4000_0000, 0x4001_0000, 0x4002_0000, 0x5000_0000
_APB1_BLOCKS = [
    "TIM2",
    "TIM3",
    "TIM4",
    "TIM5",
    "TIM6",
    "TIM7",
    "TIM12",
    "TIM13",
    "TIM14",
    "LPTIM1",
    "RTC",
    "WWDG",
    "IWDG",
    "CAN3",
    "SPI2",
    "SPI3",
    "SPDIFRX",
    "USART2",
    "USART3",
    "UART4",
    "UART5",
    "I2C1",
    "I2C2",
    "I2C3",
    "I2C4",
    "CAN1",
    "CAN2",
    "CEC",
    "PWR",
    "DAC",
    "UART7",
    "UART8",
]
_OTHER_BLOCKS = {
    "TIM1": APB2 + 0x0000,
    "TIM8": APB2 + 0x0400,
    "USART1": APB2 + 0x1000,
    "USART6": APB2 + 0x1400,
    "SDMMC2": APB2 + 0x1C00,
    "ADC": APB2 + 0x2000,
    "SDMMC1": APB2 + 0x2C00,
    "SPI1": APB2 + 0x3000,
    "SPI4": APB2 + 0x3400,
    "SYSCFG": APB2 + 0x3800,
    "EXTI": APB2 + 0x3C00,
    "TIM9": APB2 + 0x4000,
    "TIM10": APB2 + 0x4400,
    "TIM11": APB2 + 0x4800,
    "SPI5": APB2 + 0x5000,
    "SPI6": APB2 + 0x5400,
    "SAI1": APB2 + 0x5800,
    "SAI2": APB2 + 0x5C00,
    "LTDC": APB2 + 0x6800,
    "DFSDM1": APB2 + 0x7400,
    "MDIOS": APB2 + 0x7800,
    "CRC": AHB1 + 0x3000,
    "RCC": AHB1 + 0x3800,
    "FLASH": AHB1 + 0x3C00,
    "BKPSRAM": AHB1 + 0x4000,
    "DMA1": AHB1 + 0x6000,
    "DMA2": AHB1 + 0x6400,
    "ETH": AHB1 + 0x8000,
    "DMA2D": AHB1 + 0xB000,
    "OTG_HS": AHB1 + 0x20000,
    "OTG_FS": AHB2,
    "DCMI": AHB2 + 0x50000,
    "JPEG": AHB2 + 0x51000,
    "RNG": AHB2 + 0x60800,
    "FMC": 0xA000_0000,
    "QUADSPI": 0xA000_1000,
    "ITM": 0xE000_0000,
    "DWT": 0xE000_1000,
    "FPB": 0xE000_2000,
    "SCS": 0xE000_E000,
    "TPIU": 0xE004_0000,
    "DBGMCU": 0xE004_2000,
}
BLOCKS = (
    {name: APB1 + 0x400 * index for index, name in enumerate(_APB1_BLOCKS)}
    | {f"GPIO{port}": AHB1 + 0x400 * index for index, port in enumerate("ABCDEFGHIJK")}
    | _OTHER_BLOCKS
)


def block_name(address: int) -> str:
    """Name of the register block that ``address`` lies in, with the offset: ``TIM2+0x24``."""
    name, start = max(
        ((name, start) for name, start in BLOCKS.items() if start <= address),
        key=lambda block: block[1],
        default=("?", 0),
    )
    return f"{name}+{address - start:#x}"


def place(address: int) -> str:
    """What lies at ``address``, for messages."""
    for memory in MEMORIES:
        if address in memory:
            return f"{memory.name} {address:#010x}"
    if any(address in registers for registers in REGISTERS):
        return f"{block_name(address)} ({address:#010x})"
    return f"nothing ({address:#010x})"
