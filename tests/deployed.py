"""Steps of tests that put one model after the other onto a board, simulated or emulated."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ditmos.bench.golden import Style, random_model
from ditmos.link.board import Board
from ditmos.link.deploy import installed
from ditmos.model.spec import reference_spec
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan

Models = Callable[[int, int], Path]


def models_in(folder: Path) -> Models:
    """Files of models of the reference's shape, by number of classifiers and seed; each is made once."""

    def make(classifiers: int, seed: int) -> Path:
        path = folder / f"{classifiers}-{seed}.dtm"
        if not path.exists():
            spec = reference_spec(classifiers=classifiers)
            write_model(path, random_model(np.random.default_rng(seed), spec, Style.TRAINED), whole_plan(spec))
        return path

    return make


def crc_of(path: Path) -> int:
    return zlib.crc32(path.read_bytes())


def loads(board: Board) -> int:
    """CRC of the model that the board finds, which it can load."""
    found = installed(board)
    assert found is not None
    board.exec("import ditmos\nditmos.load_model()")
    return found[1]
