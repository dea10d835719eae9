"""The NUCLEO-F767ZI: core, memories and peripherals wired together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from ditmos.emulator.bus import Bus
from ditmos.emulator.clock import Clock
from ditmos.emulator.core import Core
from ditmos.emulator.debug import Dbgmcu, Dwt, Itm
from ditmos.emulator.dma import Dma
from ditmos.emulator.flash import Flash
from ditmos.emulator.gpio import Gpio
from ditmos.emulator.i2s import I2s, Microphone
from ditmos.emulator.iwdg import Iwdg
from ditmos.emulator.nvic import Nvic
from ditmos.emulator.profile import Profile
from ditmos.emulator.rcc import Pwr, Rcc
from ditmos.emulator.rng import Rng
from ditmos.emulator.rtc import Rtc
from ditmos.emulator.scb import Scb
from ditmos.emulator.stubs import Exti, OtgFs, Syscfg, disconnected
from ditmos.emulator.systick import SysTick
from ditmos.emulator.usart import Usart
from ditmos.firmware.image import Segment
from ditmos.firmware.memorymap import DTCM, FLASH_SIZE, SYSTEM, UNIQUE_ID

_SD_CARD_ABSENT = {"G": 1 << 2}  # PG2, pulled up
# Base address, interrupt, core cycles per bus cycle (APB1: 54 MHz, APB2: 108 MHz).
_USARTS = {
    "USART1": (0x4001_1000, 37, 2), "USART2": (0x4000_4400, 38, 4), "UART4": (0x4000_4C00, 52, 4),
    "UART5": (0x4000_5000, 53, 4), "USART6": (0x4001_1400, 71, 2), "UART7": (0x4000_7800, 82, 4),
    "UART8": (0x4000_7C00, 83, 4),
}  # fmt: skip
_DMA1_IRQS = (11, 12, 13, 14, 15, 16, 17, 47)
_SPI2_RESET = (0x20, 14)  # APB1RSTR
_I2S2_STREAM = 3  # of DMA1, where MicroPython has what I2S2 receives


class Machine:
    """A board that ``run`` brings forward.

    ``incoming``: bytes for USART3, the ST-LINK's serial port, taken at its baud rate. ``outgoing``: what it sent.
    ``report`` is told, a line at a time, of what the emulator does not model and of faults. ``sound``: a .wav file that
    the microphone at I2S2 hears, over and over. ``hurry``: while it runs, sleep takes no time on the wall.
    """

    def __init__(
        self,
        image: Sequence[Segment],
        kept: Path | None = None,
        report: Callable[[str], None] = lambda line: None,
        sound: Path | None = None,
        hurry: bool = False,
    ) -> None:
        self._hurry = hurry
        self.incoming: deque[int] = deque()
        self.outgoing = bytearray()
        self._reset_asked = False
        self.clock = Clock()
        self.nvic = Nvic()
        self._bus = Bus(report, lambda: self.core.where())
        self.core = Core(self.clock, self.nvic, self._bus, report)
        self.core.scb = Scb(self._ask_reset)
        self.flash = Flash(self.core.flash, self.clock, report, self.core.forget_code)
        self.core.watch_flash(self.flash.programmed)
        self.profile = Profile(self.core, self.clock)
        self.rcc = Rcc()
        systick = SysTick(self.clock, self.nvic)
        self.usart = Usart(
            "USART3", 0x4000_4800, 39, 4, self.clock, self.nvic, self._next_incoming, self.outgoing.append
        )
        self.dma = Dma("DMA1", 0x4002_6000, _DMA1_IRQS, self.nvic, self._store)
        self.i2s = I2s(self.clock, self.rcc, self.dma, _I2S2_STREAM, Microphone(sound), report)
        self.rcc.resets[_SPI2_RESET] = self.i2s.reset
        watchdog = Iwdg(self.clock, self._ask_reset)
        for peripheral in (
            self.nvic, self.core.scb, systick, self.usart, self.rcc, self.dma, self.i2s, watchdog, Pwr(), self.flash,
            Rtc(self.clock), Rng(), Syscfg(), Exti(), OtgFs(), Dwt(self.clock), Itm(self.profile.command), Dbgmcu(),
            *disconnected(),
            *(Gpio(port, _SD_CARD_ABSENT.get(port, 0)) for port in "ABCDEFGHIJK"),
            *(Usart(name, *where, self.clock, self.nvic) for name, where in _USARTS.items()),
        ):  # fmt: skip
            self._bus.attach(peripheral)
        for timed in (systick, self.usart, self.i2s, watchdog):
            self.clock.add(timed)
        self._write_identity()
        self.flash.load(image, kept)
        self.core.reset()

    def run(self, cycles: int) -> bool:
        """Run for ``cycles``, or until the core sleeps with nothing to do: then True. Events come at their time."""
        end = self.clock.now + cycles
        while self.clock.now < end:
            self.usart.poll()
            self.clock.fire()
            sleeping = self.core.execute(min(self.clock.horizon, end) - self.clock.now)
            if self._reset_asked:
                self._reset()
            elif sleeping:
                if not self.usart.receiving and not (self._hurry and self.i2s.running):
                    return True
                self.sleep(self.clock.horizon - self.clock.now)
        return False

    def sleep(self, cycles: int) -> int:
        """Let time pass while the core sleeps, at most to the next event. Returns the cycles that passed."""
        passed = max(0, min(cycles, self.clock.horizon - self.clock.now))
        self.clock.now += passed
        return passed

    def _store(self, address: int, data: bytes) -> None:
        """What a DMA writes: to RAM."""
        at = address - DTCM.start
        self.core.ram[at : at + len(data)] = data

    def _next_incoming(self) -> int | None:
        return self.incoming.popleft() if self.incoming else None

    def _ask_reset(self) -> None:
        self._reset_asked = True

    def _reset(self) -> None:
        self._reset_asked = False
        clocks = dict(self.rcc.registers)
        self._bus.reset()
        self.rcc.registers = clocks
        self.rcc.software_reset()
        self.core.reset()

    def _write_identity(self) -> None:
        unique = UNIQUE_ID - SYSTEM.start
        self.core.system[unique : unique + 12] = b"DiTMoS-F767 "
        size = FLASH_SIZE - SYSTEM.start
        self.core.system[size : size + 2] = (2048).to_bytes(2, "little")
