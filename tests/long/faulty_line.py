"""Streams over a line with faults of all kinds, both ways, from the first byte: each result once, right, in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ditmos.bench.golden import Style, random_model
from ditmos.bench.link import disturbed, small_spec
from ditmos.link.board import Board
from ditmos.link.deploy import Place, deploy
from ditmos.model.reference import Model
from ditmos.model.writer import write_model
from ditmos.planner import stream_plan
from ditmos.simulated.qemu import Simulator
from firmwares import simulated
from longrun import LongRun, Piece

RATES = (3e-4, 1e-3, 3e-3)  # faults per byte
FRAMES = 250  # sent to the board, of a stream
ALIVE = ("lost", "out_of_order", "wrong", "false_accepts", "undisturbed_missed")


def stream(board: Board, reference: Model, number: int) -> tuple[int, dict[str, Any]]:
    """One stream, from its start to its end."""
    figures = disturbed(board, reference, FRAMES, RATES[number % len(RATES)], number, lambda *_: None)
    wrong = {key: figures[key] for key in ALIVE if figures[key]}
    assert not wrong, f"{wrong} of {figures['windows']} windows"
    counted = {key: figures[key] for key in (*ALIVE, "frames", "frames_disturbed", "repeated", "restarts")}
    return figures["windows"], {"streams": 1, **counted, **figures["faults"]}


@contextmanager
def opened(folder: Path) -> Iterator[Piece]:
    model = random_model(np.random.default_rng(0), small_spec(), Style.TRAINED)
    write_model(folder / "small.dtm", model, stream_plan(model.spec))
    with Simulator(simulated()) as simulator, Board(simulator.port) as board:
        deploy(board, folder / "small.dtm", Place.flash)
        yield lambda number: stream(board, Model(model), number)


RUNS = [LongRun("faulty-line", 200_000, "windows", opened, shared=True)]
