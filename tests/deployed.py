"""Steps of tests that put one model after the other onto a board, simulated or emulated."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ditmos.bench.golden import Style, random_model
from ditmos.link.board import Board
from ditmos.link.deploy import installed
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan


def small_spec(classifiers: int = 6, window: int = 151, channels: int = 3) -> NetworkSpec:
    """Routed and sliced as the reference network is, in a file of a few thousand bytes: a line carries it soon."""
    branch = BranchSpec((ConvSpec(4, 9, stride=2), ConvSpec(4, 5)), ())
    return NetworkSpec(window, channels, 6, classifiers, branch, branch, aggregate=(1,))


Models = Callable[[int, int], Path]


def models_in(folder: Path, shape: Callable[[int], NetworkSpec] = small_spec) -> Models:
    """Files of models, by number of classifiers and seed; each is made once."""

    def make(classifiers: int, seed: int) -> Path:
        path = folder / f"{classifiers}-{seed}.dtm"
        if not path.exists():
            spec = shape(classifiers)
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
