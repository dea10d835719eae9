"""A program on the board that speaks frames, and the host's end of the line to it (docs/protocol.md)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ditmos.errors import DitmosError
from ditmos.framing import CREDIT, END, HELLO, PROTOCOL, STATUS, Link
from ditmos.link.repl import BoardError, Repl

POLL = 0.004  # seconds to wait for a byte
SILENCE = 1.8  # seconds without a good frame before the board is looked at
START = 2.8  # seconds until a program that was just started says something
LOAD = 15.0  # seconds it may then be busy with what it was told to load
ANSWER = 0.7  # seconds it then has to show its REPL
_ENDED = b"\x04>"  # what the raw REPL prints when a program has ended


def clock() -> int:
    """Milliseconds, for `Link`."""
    return time.monotonic_ns() // 1_000_000


class Disturbed(DitmosError):
    """A program did not start as it was meant to, as may be where the line is noisy: to be tried again."""


@dataclass
class Counts:
    """What happened on the line, both ways: frames, those that came damaged, those sent again; starts over."""

    sent: int = 0
    received: int = 0
    bad: int = 0
    resent: int = 0
    restarts: int = 0
    device: dict[str, Any] = field(default_factory=dict)  # the board's own, when the stream has ended

    def __add__(self, later: Counts) -> Counts:
        """Of a stream that was interrupted and went on."""
        return Counts(
            self.sent + later.sent,
            self.received + later.received,
            self.bad + later.bad,
            self.resent + later.resent,
            self.restarts + later.restarts,
            later.device or self.device,
        )


class Conversation:
    """A program on the board that speaks frames, from `start` to `stop`, and the pumping in between.

    A board that was reset, or that a disturbance on the line threw back to its REPL, is at the raw REPL again after
    `stop`, ready for `start`; one that does not even answer Ctrl-C is reported.
    """

    def __init__(self, board: Repl, deliver: Callable[[int, memoryview], Any]) -> None:
        self.board = board
        self.counts = Counts()
        self.hello: dict[str, Any] = {}
        self.ended: dict[str, Any] | None = None
        self.line: Any = None
        self._deliver = deliver
        self._link: Link | None = None
        self._seen = (0, 0, 0, 0)  # the link's own counts when they were last added to ours
        self._tail = b""
        self._timeouts: tuple[float | None, float | None] = (None, None)

    @property
    def link(self) -> Link:
        assert self._link
        return self._link

    def start(self, code: str, messages: Sequence[tuple[int, bytes]] = (), credit: int = CREDIT) -> None:
        """Start ``code`` on the board, send it ``messages``, and wait for its HELLO.

        Raises:
            Disturbed: it did not start, or said nothing.
            DitmosError: it raised, or speaks another protocol; the line broke.
        """
        try:
            self.board.start(code)
        except DitmosError as error:
            self.board.regain()
            raise Disturbed(str(error)) from None
        port = self.board.serial
        self._timeouts = port.timeout, port.write_timeout
        with self._line():
            port.timeout, port.write_timeout = POLL, SILENCE
        self.line = port
        self.hello, self.ended, self._tail = {}, None, b""
        self._link = Link(self._write, clock, self._message, credit)
        self._seen = (0, 0, 0, 0)
        for kind, payload in messages:
            self._link.send(kind, payload)
        while not self.hello and not self.ended:
            self.pump()
            if self._link.gone(int((LOAD if self._link.received else START) * 1000)) or self.dropped:
                said = self._said()
                self.stop()
                raise Disturbed(f"{self.board.port}: the stream's program did not start: {said}")
        self.check()
        if self.hello.get("protocol") != PROTOCOL:
            self.stop()
            raise DitmosError(
                f"{self.board.port}: the board speaks protocol {self.hello.get('protocol')}, this program {PROTOCOL}; "
                "build and flash this project's firmware (ditmos firmware build)"
            )

    def pump(self) -> None:
        """Take what the line has, waiting a few milliseconds for it."""
        with self._line():
            data = self.line.read(self.line.in_waiting or 1)
            while more := self.line.in_waiting:
                data += self.line.read(more)
        if data:
            received = self.link.received
            self.link.receive(data, len(data))
            self._tail = b"" if self.link.received != received else (self._tail + data)[-400:]
        self.link.poll()
        self._count()

    def _write(self, data: bytes) -> None:
        with self._line():
            self.line.write(data)

    @contextmanager
    def _line(self) -> Iterator[None]:
        """A line that broke is named, and not used again."""
        try:
            with self.board.line_errors():
                yield
        except DitmosError:
            self._link = None
            raise

    def _count(self) -> None:
        """Bring the counts up to date with the link's, which start anew with every link."""
        link = self.link
        now = link.frames, link.received, link.decoder.bad, link.resent
        sent, received, bad, resent = (new - old for new, old in zip(now, self._seen, strict=True))
        self._seen = now
        self.counts.sent += sent
        self.counts.received += received
        self.counts.bad += bad
        self.counts.resent += resent

    def _message(self, kind: int, payload: memoryview) -> Any:
        if kind in (HELLO, END, STATUS):
            text = json.loads(bytes(payload))
            if kind == HELLO:
                self.hello = text
            elif kind == END:
                self.ended = text
            self.counts.device = text if kind != HELLO else self.counts.device
            return True
        return self._deliver(kind, payload)

    def check(self) -> None:
        """Raises BoardError where the board's program ended with an exception."""
        if self.ended and "error" in self.ended:
            error = self.ended["error"]
            self.stop()
            raise BoardError(self.board.port, error)

    @property
    def dropped(self) -> bool:
        """Whether the program has ended without saying so: a stray Ctrl-C, a reset, somebody at another terminal."""
        return self.link.gone(300) and (self.link.echoes > 0 or _ENDED in self._tail)

    @property
    def silent(self) -> bool:
        return self.dropped or self.link.gone(int(SILENCE * 1000))

    def finish(self) -> None:
        """Ask the program to end, and wait for its last message. Nothing where it has been stopped."""
        if self._link is None:
            return
        self.link.send(END, b"")
        while self.ended is None and not self.silent:
            self.pump()
        self.check()
        deadline = time.monotonic() + 0.2  # for our last acknowledgement, which lets the board go
        while time.monotonic() < deadline and _ENDED not in self._tail:
            self.pump()
        self.stop()

    def stop(self) -> None:
        """Leave the board at its raw REPL, whatever it does now.

        Raises:
            DitmosError: it does not even answer Ctrl-C.
        """
        if self._link:
            self._count()
            self._link = None
            with self.board.line_errors():
                self.board.serial.timeout, self.board.serial.write_timeout = self._timeouts
            self.board.regain(ANSWER)

    def _said(self) -> str:
        text = self._tail.replace(_ENDED, b"").replace(b"\x04", b"").decode(errors="replace").strip().splitlines()
        return text[-1] if text else "nothing heard"
