"""Boards that are attended: streams that jobs interrupt and that go on, policies on the fly, boards that vanish."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.route import decide
from ditmos.datasets import synthetic
from ditmos.errors import DitmosError
from ditmos.link.repl import BoardError
from ditmos.model.policy import own_policy
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.ui.desk import Desk
from ditmos.ui.folder import Folder
from ditmos.ui.live_board import LiveBoard, State
from ditmos.ui.openers import Plugged, Simulated
from ditmos.ui.player import supply_of_dataset

pytestmark = pytest.mark.timeout(900)  # a firmware may have to be built, on a busy machine

PATIENCE = 60.0  # seconds, on a busy machine


def wait(what: Callable[[], object], name: str) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, name
        time.sleep(0.02)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, model: tuple[Path, QuantizedModel], data: Path) -> Iterator[Desk]:
    made = Desk(Folder(tmp_path_factory.mktemp("desk")), [], model[0], data, "all")
    yield made
    made.close()


@pytest.fixture(scope="module")
def board(firmware: Path, desk: Desk, model: tuple[Path, QuantizedModel]) -> Iterator[LiveBoard]:
    made = LiveBoard("board", Simulated(model[0]), desk.supply(), rate=300).start()
    wait(lambda: count(made) > 3, made.message)
    yield made
    made.close()


def count(board: LiveBoard) -> int:
    return board.history.count if board.history else 0


def test_a_job_interrupts_and_nothing_is_lost(board: LiveBoard, model: tuple[Path, QuantizedModel]) -> None:
    """Answers are those of one stream without an interruption: by the reference, window by window."""
    before = count(board)
    assert board.do("counting", lambda link: link.eval("6 * 7")).result(PATIENCE) == 42
    wait(lambda: count(board) > before + 5, "the stream goes on")
    history = board.history
    assert history
    answers, windows = history.windows(history.last(1000))
    assert [a.result.number for a in answers] == list(range(len(answers)))
    reference = Model(model[1])
    expected = decide(own_policy(model[1]), reference, np.ascontiguousarray(reference.quantize(windows)))
    assert [a.result.label for a in answers] == expected.label.tolist()
    assert all(a.truth is not None for a in answers)


def test_a_policy_answers_in_a_moment_and_a_wrong_one_leaves_it(board: LiveBoard, desk: Desk) -> None:
    number = desk.versions.keep("def policy(model, window):\n    model.select(window)\n    return 3, 1\n")
    applied = board.apply(desk.versions.policy(number), number).result(PATIENCE)
    assert board.history and applied.version == number == board.version
    answer = board.history.find(applied.number)
    assert answer and (answer.result.label, answer.result.who, answer.version) == (3, 1, number)
    wrong = desk.versions.keep("def policy(model, window):\n    return model.nothing, 0\n")
    with pytest.raises(BoardError, match="AttributeError"):
        board.apply(desk.versions.policy(wrong), wrong).result(PATIENCE)
    before = count(board)
    wait(lambda: count(board) > before + 2, "what answered before goes on")
    assert board.version == number and board.history.last()[0].result.label == 3
    board.apply(None, 0).result(PATIENCE)


def test_a_board_that_vanishes_comes_back(board: LiveBoard) -> None:
    opener = board._opener
    assert isinstance(opener, Simulated) and opener.simulator and opener.simulator.pid
    before = count(board)
    os.kill(opener.simulator.pid, signal.SIGKILL)
    wait(lambda: board.state is State.lost or count(board) > before + 3, "it is missed")
    wait(lambda: board.state is State.streaming and count(board) > before + 3, f"it is back ({board.message})")


def test_two_boards_at_once(board: LiveBoard, desk: Desk, model: tuple[Path, QuantizedModel]) -> None:
    other = LiveBoard("other", Simulated(model[0]), desk.supply(), rate=300).start()
    try:
        before = count(board)
        wait(lambda: count(other) > 3 and count(board) > before + 3, "both answer")
    finally:
        other.close()


def test_a_board_that_is_not_there_is_said_and_looked_for() -> None:
    board = LiveBoard("none", Plugged("/dev/nothing"), None).start()
    try:
        wait(lambda: board.state is State.lost, "said")
        assert "no board there" in board.message
        with pytest.raises(DitmosError, match="no board there"):
            board.do("x", lambda link: 1).result(PATIENCE)
    finally:
        board.close()


def test_samples_that_do_not_fit_are_said(board: LiveBoard, desk: Desk) -> None:
    other = synthetic.generate(subjects=1, recordings=1, windows=1)
    board.supply(supply_of_dataset(other, np.arange(len(other)))).result(PATIENCE)
    wait(lambda: "made for" in board.message, "why it does not go")
    board.supply(desk.supply(), rate=300).result(PATIENCE)
    wait(lambda: count(board) > 2, "the right ones go")
