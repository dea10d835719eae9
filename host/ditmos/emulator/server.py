"""Serve an emulated board on a pty: to every program it is a board on a serial port."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ditmos.emulator.clock import CORE_HZ
from ditmos.emulator.machine import Machine
from ditmos.errors import DitmosError
from ditmos.locks import try_lock
from ditmos.simulated.terminals import open_terminal

_SLICE = CORE_HZ // 1000  # cycles between two looks at the pty
_TAKE = 64  # bytes taken from the pty at a time: the rest waits there, as it would in the ST-LINK
_KEEP = 1 << 20  # bytes kept for a client that does not read; older ones are dropped
_SAVE_AFTER = 0.3  # seconds without a change of the flash until it is saved


class Server:
    """The pty and the loop that keeps the board going.

    While the core sleeps with nothing on the line, emulated time passes at the pace of the clock on the wall, unless it
    hurries. It passes as fast as this machine manages while the core is busy or bytes are on the line.

    ``shown``: file whose first eight bytes are the emulated time, in core cycles.
    """

    def __init__(
        self, board: Machine, flash: Path | None, report: Callable[[str], None], shown: Path | None = None
    ) -> None:
        self._board, self._flash, self._report = board, flash, report
        self._shown = os.open(shown, os.O_WRONLY) if shown else None
        self._master, self._slave, self.port = open_terminal()
        self._changed = 0.0
        self._lost = self._halves = 0

    def close(self) -> None:
        """Save the flash and give the pty back."""
        self._save()
        os.close(self._master)
        os.close(self._slave)

    def run(self, until: Callable[[], bool]) -> None:
        """Keep the board going until ``until()``.

        Raises:
            DitmosError: the core locked up.
        """
        board = self._board
        while not until():
            sleeping = board.run(_SLICE)
            if self._shown is not None:
                os.pwrite(self._shown, board.clock.now.to_bytes(8, "little"), 0)
            self._transfer()
            if sleeping and not board.incoming:
                self._idle()

    def _transfer(self) -> None:
        board = self._board
        if not board.incoming:
            with suppress(BlockingIOError):
                board.incoming.extend(os.read(self._master, _TAKE))
        if board.outgoing:
            del board.outgoing[:-_KEEP]
            with suppress(BlockingIOError):  # the client will read
                del board.outgoing[: os.write(self._master, board.outgoing)]

    def _idle(self) -> None:
        board = self._board
        start = time.perf_counter()
        until_next = max(0, board.clock.horizon - board.clock.now) / CORE_HZ
        select.select([self._master], [self._master] if board.outgoing else [], [], min(until_next, 0.01))
        board.sleep(int((time.perf_counter() - start) * CORE_HZ))
        if board.usart.overruns != self._lost:
            self._report(f"USART3: {board.usart.overruns - self._lost} bytes lost, the receive buffer was full")
            self._lost = board.usart.overruns
        if board.dma.overruns != self._halves:
            lost = board.dma.overruns - self._halves
            self._report(f"DMA1: {lost} halves of a buffer lost, nobody emptied them in time")
            self._halves = board.dma.overruns
        if board.flash.dirty:
            board.flash.dirty = False
            self._changed = start
        elif self._changed and start - self._changed > _SAVE_AFTER:
            self._save()

    def _save(self) -> None:
        if self._flash and (self._changed or self._board.flash.dirty):
            self._board.flash.save(self._flash)
        self._changed = 0.0


@contextmanager
def held(flash: Path | None) -> Iterator[None]:
    """Keep other emulated boards away from a flash file.

    Raises:
        DitmosError: another one has it.
    """
    if flash is None:
        yield
        return
    lock = flash.with_name(flash.name + ".lock")
    with lock.open("w") as file:
        if not try_lock(file.fileno()):
            raise DitmosError(f"{flash}: in use by another emulated board")
        yield  # the lock's file stays: of one that goes, somebody may hold a lock while another makes it anew
