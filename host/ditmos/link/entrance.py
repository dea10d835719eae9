"""The way into a board's raw REPL, whatever the board does and however noisy the line is."""

from __future__ import annotations

import time
from typing import Any

from mpremote.transport_serial import SerialTransport

READ_TIMEOUT = 1.5  # seconds one read on the line may block
_RESET_TIMEOUT = 10.0  # seconds that boot.py may take
_RAW_REPL = b"raw REPL; CTRL-B to exit\r\n"  # a prompt follows, which the next command waits for
_KNOCKS = 2  # noise may hit the first;
_NOISY = 6  # more of them where the board says something
_INTERRUPT = bytes(8) + b"\r\x03\x03"  # zeros first: where a program reads a number from the line, it is 0
_QUIET = 0.03  # seconds without a byte after which none is on its way

# A mounted folder, on the board's side: it sends the first byte, waits for the same one (30 others are dropped), then
# reads numbers and bytes. Ctrl-C is off meanwhile. It gives up when it waits for a number for a second.
_MOUNT = b"\x18"
_ANSWER = 80  # zeros that answer any of its questions
_BLOCK = 1024  # zeros that fill any block that it reads
_PATIENCE = 1.1  # seconds


class Entrance:
    """Of a board behind mpremote's transport."""

    def __init__(self, transport: SerialTransport) -> None:
        self._transport = transport

    @property
    def _line(self) -> Any:
        return self._transport.serial

    def enter(self, soft_reset: bool, timeout: float, release: bool) -> bytes | None:
        """Interrupt what runs and be at the raw REPL. None when it is there, else what was heard instead.

        ``timeout``: seconds that a board has to answer; the same once more if ``release`` asks to free it from a mount
        whose host was killed, which takes a soft reset.
        """
        # A mount takes what interrupts for its answer, and is lost where it takes it for a number: at first but once.
        heard = self._knock(soft_reset, timeout, 1 if release else _KNOCKS)
        if heard is not None and release:
            self._release()
            heard = self._knock(True, timeout, _KNOCKS)  # the folder is still mounted, and the current one
        self._transport.in_raw_repl = self._transport.use_raw_paste = True
        return heard

    def _knock(self, soft_reset: bool, timeout: float, knocks: int) -> bytes | None:
        heard = b""
        for knock in range(_NOISY):
            if knock >= knocks and not heard:
                break
            self._line.write(_INTERRUPT)
            time.sleep(0.05)
            self._line.reset_input_buffer()
            self._line.write(b"\r\x01")
            answer = self._heard(_RAW_REPL, timeout / knocks)
            if answer.endswith(_RAW_REPL) and self._settled(timeout) and (not soft_reset or self._restart()):
                return None
            heard = answer or heard
        return heard

    def _settled(self, timeout: float) -> bool:
        """Whether the raw REPL shows itself once more when nothing is left of what was said to it before."""
        while self._read(_QUIET):
            pass
        self._line.write(b"\x01")
        return self._heard(_RAW_REPL, timeout).endswith(_RAW_REPL)

    def _restart(self) -> bool:
        """Soft reset from the raw REPL into the raw REPL; False when that is not what the board says."""
        self._line.write(b"\x04")
        ends = (b"soft reboot\r\n", _RAW_REPL)
        return all(self._heard(end, _RESET_TIMEOUT).endswith(end) for end in ends)

    def _release(self) -> None:
        """Answer a mount with zeros until it asks again: it has read them all. Begin an answer, and say no more."""
        if not self._asked():
            self._line.write(bytes(_BLOCK))
            time.sleep(0.2)
            if not (self._read(_QUIET) and self._asked()):
                return
        self._line.write(_MOUNT)
        time.sleep(_PATIENCE)

    def _asked(self) -> bool:
        for _ in range(_ANSWER):
            self._line.write(b"\0")
            if _MOUNT in self._read(0.003):
                return True
        return False

    def _read(self, seconds: float) -> bytes:
        self._line.timeout = seconds
        data: bytes = self._line.read(1 << 12)
        self._line.timeout = READ_TIMEOUT
        return data

    def _heard(self, end: bytes, timeout: float) -> bytes:
        """What comes up to ``end``, for ``timeout`` seconds at most."""
        self._line.timeout = 0.1  # on a pty each read blocks that long, whatever read_until is told
        answer: bytes = self._transport.read_until(1, end, timeout=timeout, timeout_overall=timeout)
        self._line.timeout = READ_TIMEOUT
        return answer
