"""Pseudo-terminals, on which a process of this machine looks like a board on a serial port: the one door to them."""

from __future__ import annotations

import os
import select
from typing import NamedTuple

from ditmos.errors import DitmosError

try:
    import pty
    import tty
except ImportError:  # Windows
    pty = tty = None  # type: ignore[assignment]


class Terminal(NamedTuple):
    """Descriptors of both ends, and the name under which other programs open the far one."""

    master: int
    slave: int
    port: str


def open_terminal() -> Terminal:
    """A terminal that changes no byte; reading from its master does not wait.

    Raises:
        DitmosError: this system has none.
    """
    if not pty:
        raise DitmosError("boards on this machine need pseudo-terminals, which Windows lacks; run this under WSL")
    master, slave = pty.openpty()  # the slave stays open: no hang-up when a client leaves
    tty.setraw(slave)
    os.set_blocking(master, False)
    return Terminal(master, slave, os.ttyname(slave))


def hold_line(port: str) -> int:
    """Open a terminal's far end without taking it over. The caller closes it."""
    return os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


def readable(descriptor: int, seconds: float) -> bool:
    """Whether there is something to read within ``seconds``."""
    return bool(select.select([descriptor], [], [], seconds)[0])
