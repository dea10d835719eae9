"""A simulated board with a small model, which streams run on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ditmos.bench.golden import Style, random_model
from ditmos.bench.link import small_spec
from ditmos.link.board import Board
from ditmos.link.deploy import Place, deploy
from ditmos.model.reference import Model
from ditmos.model.spec import NetworkSpec
from ditmos.model.writer import write_model
from ditmos.planner import stream_plan
from ditmos.simulated.qemu import Simulator
from firmwares import simulated


@contextmanager
def small_board(folder: Path, spec: NetworkSpec | None = None) -> Iterator[tuple[Board, Model]]:
    """The board, and the reference of its model, whose file goes into ``folder``. spec: `small_spec` by default."""
    model = random_model(np.random.default_rng(0), spec or small_spec(), Style.TRAINED)
    write_model(folder / "small.dtm", model, stream_plan(model.spec))
    with Simulator(simulated()) as simulator, Board(simulator.port) as board:
        deploy(board, folder / "small.dtm", Place.flash)
        yield board, Model(model)
