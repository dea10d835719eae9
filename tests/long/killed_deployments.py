"""A model goes into a board's ROM when the board, or the command, is killed: the board has the old or the new one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from deployed import crc_of, loads, models_in
from ditmos.errors import DitmosError
from ditmos.link.board import Board
from ditmos.link.deploy import Place, deploy
from ditmos.simulated.qemu import Simulator
from firmwares import simulated
from longrun import LongRun, Piece

CLASSIFIERS = 2
SECONDS = (0.3, 4.0)  # from the start of the deployment to the kill


def kill(folder: Path, number: int) -> tuple[int, dict[str, Any]]:
    """By turns the board and the command."""
    models, flash, chance = models_in(folder), folder / f"flash-{number}.bin", random.Random(number)
    old, new = models(CLASSIFIERS, 0), models(CLASSIFIERS, 1 + number % 2)
    with Simulator(simulated(), flash=flash) as simulator, Board(simulator.port) as board:
        deploy(board, old, Place.rom)
    with Simulator(simulated(), flash=flash) as simulator:
        if number % 2:
            command = [sys.executable, "-m", "ditmos", "deploy", str(new), "--port", simulator.port, "--to", "rom"]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(*SECONDS))
            process.kill()
            process.wait()
        else:
            timer = threading.Timer(chance.uniform(*SECONDS), os.kill, (simulator.pid, signal.SIGKILL))
            timer.start()
            try:
                with Board(simulator.port) as board:
                    deploy(board, new, Place.rom)
            except DitmosError as error:
                assert "\n" not in str(error), error
            finally:
                timer.cancel()
    with Simulator(simulated(), flash=flash) as simulator, Board(simulator.port) as board:
        found = loads(board)
    flash.unlink()
    assert found in (crc_of(old), crc_of(new)), "the board has neither model"
    word = "new" if found == crc_of(new) else "old"
    return 1, {f"{'command' if number % 2 else 'board'} killed, {word} model": 1}


@contextmanager
def opened(folder: Path) -> Iterator[Piece]:
    yield lambda number: kill(folder, number)


RUNS = [LongRun("killed-deploy", 50, "kills", opened)]
