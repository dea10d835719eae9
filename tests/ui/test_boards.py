"""Boards that are attended: streams that jobs interrupt and that go on, policies on the fly, boards that vanish."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.route import decide
from ditmos.datasets import synthetic
from ditmos.errors import DitmosError
from ditmos.link.repl import BoardError
from ditmos.model.policy import Policy, own_policy
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.ui.desk import Desk
from ditmos.ui.folder import Folder
from ditmos.ui.live_board import LiveBoard, State
from ditmos.ui.openers import Plugged, Simulated
from ditmos.ui.player import supply_of_dataset

pytestmark = pytest.mark.timeout(900)  # a firmware may have to be built, on a busy machine

PATIENCE = 20.0  # seconds, on a busy machine

# A fast sensor that says it is slow, and loses rows once.
WALK = """
from ditmos.capture import Pace


class Walk:
    channels = ("ax", "ay", "az")
    units = "g"
    scale = 1 / 16
    rate = 50

    def __init__(self):
        self.pace = Pace(600)
        self.seed = 1
        self.at = [0, 0, 0]
        self.rows = self.lost = 0

    def readinto(self, block):
        self.pace.wait(len(block) // 3)
        self.rows += len(block) // 3
        self.lost = 5 if self.rows > 300 else 0
        for i in range(len(block)):
            self.seed = self.seed * 1103515245 + 12345 & 0x3FFFFFFF
            self.at[i % 3] += (self.seed >> 18) - 2048
            block[i] = max(-32000, min(32000, self.at[i % 3]))
"""


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
    made = LiveBoard("board", Simulated(model[0]), desk.supply(), rate=300, hop=10).start()
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
    wait(lambda: board.version == 0, "its own again")


def test_policies_are_exchanged_inside_of_the_stream(
    board: LiveBoard, desk: Desk, model: tuple[Path, QuantizedModel]
) -> None:
    """No window is lost or told twice, each is answered by the policy of its version, nothing starts over."""
    texts = [f"def policy(model, window):\n    model.select(window)\n    return {i}, {i % 6}\n" for i in range(6)]
    texts.append("from ditmos import routing\npolicy = routing.vote(3)\n")
    numbers = [desk.versions.keep(text) for text in texts]
    history, stream, starts = board.history, board._exchange.stream, board._exchange._first
    assert history and stream
    first = history.count
    for number in numbers:
        found = board.apply(desk.versions.policy(number), number).result(PATIENCE)
        assert found.version == board.version == number
    broken = desk.versions.keep("def other(model, window):\n    return 0, 0\n\nthreshold = 1\n")
    with pytest.raises(DitmosError):
        board.apply(Policy("x", "policy", desk.versions.text(broken)), broken).result(PATIENCE)
    assert board.version == numbers[-1] and board.trouble
    board.apply(None, 0).result(PATIENCE)
    wait(lambda: history.count > first + 30, "answers")
    assert board.history is history and board._exchange.stream is stream and board._exchange._first == starts
    answers = history.since(0)
    assert [a.result.number for a in answers] == list(range(len(answers)))
    assert [a.start for a in answers] == [i * history.hop for i in range(len(answers))]
    told = [a for a in answers if a.result.number >= first]
    for a in told:
        if a.version in numbers[:6]:
            assert (a.result.label, a.result.who) == (numbers.index(a.version), numbers.index(a.version) % 6)
    assert {a.version for a in told} >= {0, *numbers}
    assert history.counts.restarts == 0


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


def test_the_boards_own_sensor_is_seen(board: LiveBoard, desk: Desk, model: tuple[Path, QuantizedModel]) -> None:
    """Samples and answers of one: each answer is the reference's of the rows that are shown; a job comes in between."""
    driver = desk.folder.root / "mine.py"
    driver.write_text(WALK)
    board.supply(desk.named("sensor mine.py:Walk"), hop=20).result(PATIENCE)
    wait(lambda: count(board) > 10, f"answers ({board.message})")
    before = count(board)
    assert board.do("counting", lambda link: link.eval("6 * 7")).result(PATIENCE) == 42
    number = desk.versions.keep("def policy(model, window):\n    model.select(window)\n    return 4, 2\n")
    board.apply(desk.versions.policy(number), number).result(PATIENCE)
    wait(lambda: count(board) > before + 10 and board.history.last()[0].version == number, "the stream goes on")
    history = board.history
    assert history and history.signal.channels == ("ax", "ay", "az") and board.source == "sensor mine.py:Walk"
    answers, windows = history.windows(history.last(1000))
    assert [a.result.number for a in answers] == list(range(len(answers)))
    reference = Model(model[1])
    rows = np.ascontiguousarray(reference.quantize(windows))
    own = np.array([a.version != number for a in answers])
    logits = reference.classify_batch(rows, reference.select_batch(rows).argmax(1))
    np.testing.assert_array_equal([a.result.logits for a in answers if a.version != number], logits[own])
    assert len(np.unique(logits[own], axis=0)) > 5
    assert all((a.result.label, a.result.who) == (4, 2) for a in answers if a.version == number)
    gaps = [b.start - a.start for a, b in pairwise(answers) if b.start - a.start != history.hop]
    assert len(gaps) == 2, "rows that were lost, and the interruption"
    assert min(gaps) >= history.window - history.hop, "no window lies over them"
    assert len(history.tape().results) < len(answers)
    board.apply(None, 0).result(PATIENCE)


def test_samples_that_do_not_fit_are_said(board: LiveBoard, desk: Desk) -> None:
    other = synthetic.generate(subjects=1, recordings=1, windows=1)
    board.supply(supply_of_dataset(other, np.arange(len(other)))).result(PATIENCE)
    wait(lambda: "made for" in board.message, "why it does not go")
    board.supply(desk.supply(), rate=300, hop=10).result(PATIENCE)
    wait(lambda: count(board) > 2, "the right ones go")
