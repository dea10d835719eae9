"""Ways to a board that may be away for a while: a serial port, and a simulated board that is started again."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Protocol

from ditmos.link.board import Board
from ditmos.simulated.qemu import Simulator


class Opener(Protocol):
    """Where a board is, now and after it was away."""

    def open(self) -> Board:
        """Raises DitmosError where it is not there."""

    def close(self) -> None: ...


class Plugged:
    """A board at a port, or the one that is plugged in (None)."""

    def __init__(self, port: str | None) -> None:
        self._port = port

    def open(self) -> Board:
        return Board(self._port, soft_reset=False)

    def close(self) -> None:
        """It stays where it is."""


class Simulated:
    """A simulated board that keeps its files while it lives here; ``model`` is in its ROM from the start."""

    def __init__(self, model: Path | None = None, firmware: Path | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ditmos-ui-"))
        rom = None
        if model:
            rom = self._folder / "rom"
            rom.mkdir()
            shutil.copyfile(model, rom / "model.dtm")
        self._flash, self._firmware = self._folder / "flash", firmware
        self._rom = rom
        self._simulator: Simulator | None = None

    @property
    def simulator(self) -> Simulator | None:
        """The one that runs, if any."""
        return self._simulator

    def open(self) -> Board:
        if self._simulator is None or not self._simulator.running:
            if self._simulator:
                self._simulator.stop()
            started = Simulator(self._firmware, flash=self._flash, romfs=self._rom)
            self._simulator = started.__enter__()
            self._rom = None  # it lies in the file from now on
        return Board(self._simulator.port, soft_reset=False)

    def close(self) -> None:
        if self._simulator:
            self._simulator.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
