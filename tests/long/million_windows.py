"""One stream of a million windows at hop 8: the board's heap stays as it is, and counters go past their ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ditmos.bench.golden import random_windows
from ditmos.bench.link import expected_answers
from ditmos.link.board import Board
from ditmos.link.stream import Stream
from ditmos.model.reference import Int8, Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from longrun import LongRun, Piece
from small_board import small_board

WINDOWS = 1_000_000
HOP = 8
BRANCH = BranchSpec((ConvSpec(2, 3),))
SPEC = NetworkSpec(16, 1, 3, 2, BRANCH, BRANCH)  # one channel: each byte on the simulated line costs 18 us of processor
PERIOD = 4096  # windows after which the samples come again


def blocks(samples: Int8, rows: int) -> Iterator[Int8]:
    """``samples`` (time, channels) over and over, up to a number of rows."""
    for first in range(0, rows, len(samples)):
        yield samples[: min(len(samples), rows - first)]


def stream(board: Board, reference: Model) -> tuple[int, dict[str, Any]]:
    """All windows, each result compared as it comes."""
    rows = PERIOD * HOP
    drawn = random_windows(np.random.default_rng(1), reference.spec, rows // reference.window)
    samples = drawn.reshape(rows, reference.channels)
    around = np.concatenate([samples, samples[: reference.window]])
    windows = np.stack([around[i * HOP : i * HOP + reference.window] for i in range(PERIOD)])
    expected = expected_answers(reference, windows)
    line = Stream(board, hop=HOP)
    seen = 0
    for result in line.run(blocks(samples, (WINDOWS - 1) * HOP + reference.window), np.int8):
        assert result.number == seen, f"result {result.number} came when {seen} was due"
        assert (result.label, result.who) == expected[seen % PERIOD], f"window {seen}: {result}"
        seen += 1
    counts, heap = line.counts, line.counts.device
    assert seen == WINDOWS and counts.restarts == counts.bad == heap["bad"] == 0, f"{seen} windows, {counts}"
    assert heap["heap_low"] == heap["heap_warm"] > 0, (
        f"the heap went from {heap['heap_warm']} to {heap['heap_low']} bytes"
    )
    return WINDOWS, {"frames_sent": counts.sent, "heap_warm": heap["heap_warm"], "heap_low": heap["heap_low"]}


@contextmanager
def opened(folder: Path) -> Iterator[Piece]:
    with small_board(folder, SPEC) as (board, reference):
        yield lambda _: stream(board, reference)


RUNS = [LongRun("million-windows", WINDOWS, "windows", opened)]
