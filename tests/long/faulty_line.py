"""Streams over a line with faults of all kinds, both ways, from the first byte: each result once, right, in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ditmos.bench.link import disturbed
from ditmos.link.board import Board
from ditmos.model.reference import Model
from longrun import LongRun, Piece
from small_board import small_board

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
    with small_board(folder) as (board, reference):
        yield lambda number: stream(board, reference, number)


RUNS = [LongRun("faulty-line", 200_000, "windows", opened, shared=True)]
