"""Start and stop an emulated board in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ditmos.emulator.clock import CORE_HZ
from ditmos.errors import DitmosError
from ditmos.simulated.process import STOP_TIMEOUT, BoardProcess, ending_with_us
from ditmos.simulated.terminals import hold_line

START_TIMEOUT = 30.0  # seconds until the prompt, on a busy machine
SILENCE = 1.0  # seconds


class EmulatedBoard(BoardProcess):
    """An emulated NUCLEO-F767ZI, running inside a ``with`` block.

    Args:
        firmware: .bin or .dfu.
        flash: file that keeps the flash from one start to the next, made if absent; by default it starts blank.
        romfs: ROMFS image file to be found at /rom.
        profile: file for what the board's program asks to be measured (``profile.py``).
        cut: the power fails in the erasure or store of this number to the flash.
        sound: .wav file that the microphone at I2S2 hears, over and over.
        hurry: while the board takes in sound, emulated time does not wait for the clock on the wall.
        lose: while :meth:`disturb` is on, the USART loses one received byte in so many.

    Attributes:
        boot_seconds, boot_cpu_seconds: from starting the process to the board's prompt, by the clock on the wall and of
            the processor (0 where the system does not tell).

    Raises:
        DitmosError: on entering: no such firmware, or no prompt.
    """

    def __init__(
        self,
        firmware: Path,
        *,
        flash: Path | None = None,
        romfs: Path | None = None,
        profile: Path | None = None,
        lose: int = 0,
        cut: int = 0,
        sound: Path | None = None,
        hurry: bool = False,
    ) -> None:
        super().__init__()
        self._command = [sys.executable, "-m", "ditmos.emulator", str(firmware)]
        for option, path in (("--flash", flash), ("--romfs", romfs), ("--profile", profile), ("--sound", sound)):
            self._command += [option, str(path)] if path else []
        self._command += ["--lose", str(lose), "--cut", str(cut), *(["--hurry"] if hurry else [])]
        self._clock = tempfile.NamedTemporaryFile(suffix=".clock")  # noqa: SIM115
        self._command += ["--clock", self._clock.name]
        self.boot_seconds = self.boot_cpu_seconds = 0.0
        self._messages = tempfile.TemporaryFile("a+")  # noqa: SIM115

    def messages(self) -> list[str]:
        """What the emulator reported so far: accesses that are not modelled, faults, lost bytes."""
        self._messages.seek(0)
        return self._messages.read().splitlines()

    @property
    def seconds(self) -> float:
        """Of the board's own time since it was started; a busy machine has it pass slowly."""
        self._clock.seek(0)
        return int.from_bytes(self._clock.read(8), "little") / CORE_HZ

    def wait_while_running(self, seconds: float) -> None:
        """Wait until so much of the board's own time has passed, or the board has ended."""
        end = self.seconds + seconds
        while self.running and self.seconds < end:
            time.sleep(0.02)

    def disturb(self) -> None:
        """Switch the loss of bytes on, or off again."""
        if self._process:
            self._process.send_signal(signal.SIGUSR1)

    def _start(self) -> None:
        start = time.monotonic()
        self._process = subprocess.Popen(
            ending_with_us(self._command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._messages
        )
        assert self._process.stdout
        self.port = self._process.stdout.readline().decode().strip()
        if not self.port:
            self._process.wait(STOP_TIMEOUT)
            raise DitmosError(f"the board did not start: {self._last_words()}")
        line = hold_line(self.port)
        try:
            self._await_prompt(line, START_TIMEOUT, SILENCE)
        finally:
            os.close(line)
        self.boot_seconds = time.monotonic() - start
        stat = Path(f"/proc/{self._process.pid}/stat")
        if stat.exists():
            user, system = stat.read_text().rpartition(")")[2].split()[11:13]
            self.boot_cpu_seconds = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _last_words(self) -> str:
        return (self.messages() or ["no message"])[-1]
