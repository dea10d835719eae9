"""A board that is a process of this machine: what the simulated and the emulated one have in common."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from ditmos.errors import DitmosError
from ditmos.simulated.terminals import readable

STOP_TIMEOUT = 5.0  # seconds from SIGTERM to SIGKILL


def ending_with_us(command: Sequence[str]) -> list[str]:
    """The command of a process that ends when this one does, even where this one is killed: on Linux, by a tool that
    every distribution has. Of threads only the main one may ask for that: it is the thread's end that counts."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    alone = setpriv is None or threading.current_thread() is not threading.main_thread()
    return [*command] if alone else [str(setpriv), "--pdeathsig", "KILL", *command]


class BoardProcess(ABC):
    """Runs inside a ``with`` block.

    Attributes:
        port: what to hand to ``mpremote connect`` or :class:`ditmos.link.board.Board`.
    """

    def __init__(self) -> None:
        self.port = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
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

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """End the process; may be called twice."""
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

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the board ends by itself; False when it still runs after ``timeout`` seconds."""
        try:
            if self._process:
                self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    @abstractmethod
    def _start(self) -> None:
        """Start the process, set ``_process`` and ``port``, and wait for the prompt."""

    @abstractmethod
    def _last_words(self) -> str:
        """Why the process ended: the last line of what it said."""

    def _await_prompt(self, line: int, seconds: float, silence: float) -> None:
        """Read from a descriptor up to the prompt, or where a main.py runs, until some output is followed by silence.

        Raises:
            DitmosError: the process ended, or nothing came.
        """
        output = b""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ready = readable(line, silence)
            if ready:
                output += os.read(line, 4096)
            if output.endswith(b">>> ") or (output and not ready):
                return
            if not self.running:
                raise DitmosError(f"the board did not start: {self._last_words()}")
        raise DitmosError(f"the board printed no prompt in {seconds:.0f} s: {output[-80:]!r}")
