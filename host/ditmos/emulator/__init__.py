"""The NUCLEO-F767ZI without the board: the image that would be flashed runs on a CPU emulator.

``Machine`` wires a Cortex-M7 (``core.py``, on unicorn) to small models of the peripherals that MicroPython's stm32 port
uses, one file each. An access to anything that is not modelled is reported by name. ``server.py`` puts USART3, the
ST-LINK's serial port, on a pty, where mpremote and all of ``ditmos`` take it for a board.

Modelled: memories, flash erase and program, interrupts, SysTick, USART with its baud rate and receive overrun, clock
and power flags, RTC, RNG, GPIO, watchdog, I2S2 as receiver with its DMA and a microphone that plays a .wav file. Not
modelled: caches, wait states, pipelines (one instruction takes one cycle), USB, other DMA, timers, Ethernet.
"""

from ditmos.emulator.launcher import EmulatedBoard
from ditmos.emulator.machine import Machine
from ditmos.firmware.image import Segment, read_image

__all__ = ["EmulatedBoard", "Machine", "Segment", "read_image"]
