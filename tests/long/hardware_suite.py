"""tests/hardware on the emulated board: on the machine as it is, and beside four processes that keep it busy."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ditmos.emulator import EmulatedBoard
from ditmos.paths import SOURCES
from firmwares import nucleo
from longrun import LongRun, Piece

BUSY = 4  # processes
LONGEST = 3 * 3600  # seconds


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    with ExitStack() as stack:
        for _ in range(processes):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def suite(folder: Path, number: int) -> tuple[int, dict[str, Any]]:
    """All of it, once."""
    others = BUSY * (number % 2)
    report = folder / f"report-{others}.json"
    with EmulatedBoard(nucleo(), flash=folder / "flash.bin") as board, busy(others):
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-o",
            "addopts=",
            "-m",
            "hardware",
            "-p",
            "no:cacheprovider",
            "tests/hardware",
        ]
        command += ["--port", board.port, "--report", str(report), "--timeout", str(LONGEST)]
        done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, timeout=LONGEST)
    said = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    assert done.returncode == 0 and re.search(r"\d+ passed", said), f"beside {others} processes: {done.stdout[-2000:]}"
    return 1, {f"beside {others} processes": said.strip("= ")}


@contextmanager
def opened(folder: Path) -> Iterator[Piece]:
    yield lambda number: suite(folder, number)


RUNS = [LongRun("hardware-suite", 2, "suites", opened)]
