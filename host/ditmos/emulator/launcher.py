"""Start and stop an emulated board in a process of its own."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ditmos.errors import DitmosError

START_TIMEOUT = 30.0  # seconds until the prompt, on a busy machine
STOP_TIMEOUT = 5.0


class EmulatedBoard:
    """An emulated NUCLEO-F767ZI, running inside a ``with`` block.

    Args:
        firmware: .bin or .dfu.
        flash: file that keeps the flash from one start to the next, made if absent; by default it starts blank.
        romfs: ROMFS image file to be found at /rom.
        profile: file for what the board's program asks to be measured (``profile.py``).
        lose: while :meth:`disturb` is on, the USART loses one received byte in so many.

    Attributes:
        port: what to hand to ``mpremote connect`` or :class:`ditmos.board.Board`.
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
    ) -> None:
        self._command = [sys.executable, "-m", "ditmos.emulator", str(firmware)]
        for option, path in (("--flash", flash), ("--romfs", romfs), ("--profile", profile)):
            self._command += [option, str(path)] if path else []
        self._command += ["--lose", str(lose)]
        self.port = ""
        self.boot_seconds = self.boot_cpu_seconds = 0.0
        self._process: subprocess.Popen[str] | None = None
        self._messages = tempfile.TemporaryFile("w+")  # noqa: SIM115

    def __enter__(self) -> EmulatedBoard:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def messages(self) -> list[str]:
        """What the emulator reported so far: accesses that are not modelled, faults, lost bytes."""
        self._messages.seek(0)
        return self._messages.read().splitlines()

    def disturb(self) -> None:
        """Switch the loss of bytes on, or off again."""
        if self._process:
            self._process.send_signal(signal.SIGUSR1)

    def stop(self) -> None:
        """End the process; the flash is saved. May be called twice."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._process = None

    def _start(self) -> None:
        start = time.monotonic()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._messages, text=True
        )
        assert self._process.stdout
        self.port = self._process.stdout.readline().strip()
        if not self.port:
            self._process.wait(STOP_TIMEOUT)
            raise DitmosError(f"the emulated board did not start: {' '.join(self.messages()[-1:]) or 'no message'}")
        self._await_prompt(start + START_TIMEOUT)
        self.boot_seconds = time.monotonic() - start
        stat = Path(f"/proc/{self._process.pid}/stat")
        if stat.exists():
            user, system = stat.read_text().rpartition(")")[2].split()[11:13]
            self.boot_cpu_seconds = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _await_prompt(self, end: float) -> None:
        """Return at the prompt, or where a main.py runs, once it has printed something and fallen silent."""
        line = os.open(self.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            output = b""
            while time.monotonic() < end and self.running:
                ready = select.select([line], [], [], 1.0)[0]
                if ready:
                    output += os.read(line, 4096)
                if output.endswith(b">>> ") or (output and not ready):
                    return
        finally:
            os.close(line)
        raise DitmosError(f"the emulated board printed no prompt: {' '.join(self.messages()[-1:]) or output!r}")
