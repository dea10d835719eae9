"""The power of the emulated NUCLEO fails in an erasure or a store of its flash while a model goes into ROM."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from deployed import Models, crc_of, loads, models_in
from ditmos.atomic import read_json, write_json
from ditmos.emulator import EmulatedBoard
from ditmos.errors import DitmosError
from ditmos.link.board import Board
from ditmos.link.deploy import Place, deploy
from firmwares import nucleo
from longrun import LongRun, Piece

CLASSIFIERS = 2


def cut(dfu: Path, folder: Path, models: Models, number: int) -> tuple[int, dict[str, Any]]:
    """What the cut before has left is loaded, then the next model is deployed, up to the cut."""
    flash, kept, chance = folder / "flash.bin", folder / "models.json", random.Random(number)
    new = models(CLASSIFIERS, 1 + number % 2)
    erasure = number % 4 == 0
    at = 1 if erasure else chance.randrange(2, new.stat().st_size // 4)  # a word is stored at a time
    with EmulatedBoard(dfu, flash=flash, cut=at) as emulated:
        with Board(emulated.port) as board:
            old = loads(board)
            assert old in read_json(kept), "the board has neither model"
            write_json(kept, [old, crc_of(new)])
        with suppress(DitmosError), Board(emulated.port) as board:
            deploy(board, new, Place.rom)
        failed = emulated.wait(2)  # where the number is beyond the last store, it did not
    return int(failed), {("in an erasure" if erasure else "in a store") if failed else "no cut": 1}


@contextmanager
def opened(folder: Path) -> Iterator[Piece]:
    dfu, models = nucleo(), models_in(folder)
    if not (folder / "models.json").is_file():
        (folder / "flash.bin").unlink(missing_ok=True)
        first = models(CLASSIFIERS, 0)
        with EmulatedBoard(dfu, flash=folder / "flash.bin") as emulated, Board(emulated.port) as board:
            deploy(board, first, Place.rom)
        write_json(folder / "models.json", [crc_of(first)])
    yield lambda number: cut(dfu, folder, models, number)


RUNS = [LongRun("power-cuts", 200, "cuts", opened)]
