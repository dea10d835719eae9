"""The start of a stream: what was agreed is what is done, whatever the line does, with the model that lies there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ditmos.bench.golden import Style, random_model, random_windows
from ditmos.bench.route import decide
from ditmos.errors import DitmosError
from ditmos.link.board import Board
from ditmos.link.conversation import Conversation
from ditmos.link.deploy import Place, deploy
from ditmos.link.faults import FaultyLine
from ditmos.link.stream import Stream
from ditmos.model.policy import Policy, parse_policy
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import write_model
from ditmos.planner import stream_plan
from ditmos.simulated.qemu import Simulator

SPEC = NetworkSpec(40, 3, 6, 3, *[BranchSpec((ConvSpec(4, 5), ConvSpec(5, 3)), (7,))] * 2, aggregate=(1,))
POLICY = "def policy(model, window):\n    model.select(window)\n    model.classify(2)\n    return 7 - 6 + 1, 2\n"


@pytest.fixture(scope="module")
def simulated(firmware: Path) -> Iterator[Simulator]:
    with Simulator(firmware) as board:
        yield board


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Model]]:
    """Two of the same shape and size, with other weights."""
    made = []
    for seed in (1, 2):
        model = random_model(np.random.default_rng(seed), SPEC, Style.TRAINED)
        path = tmp_path_factory.mktemp("models") / "model.dtm"
        write_model(path, model, stream_plan(SPEC))
        made.append((path, Model(model)))
    return made


ROWS = random_windows(np.random.default_rng(5), SPEC, 12).reshape(-1, 3)


def labels_of(model: Model, hop: int, policy: str = "top1") -> list[int]:
    windows = np.stack([ROWS[i : i + 40] for i in range(0, len(ROWS) - 39, hop)])
    return decide(parse_policy(policy), model, windows).label.tolist()


class Flip:
    """A port on which a text becomes another one, the first so many times."""

    def __init__(self, port: Any, old: bytes, new: bytes, times: int = 1) -> None:
        self.__dict__.update(port=port, old=old, new=new, left=times)

    def write(self, data: bytes) -> None:
        if self.old in data and self.left:
            self.__dict__["left"] -= 1
            data = data.replace(self.old, self.new)
        self.port.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.port, name, value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"hop": 40', b'"hop": 32'),
        (b"40, 'b'", b"32, 'b'"),  # as plain text had it, before protocol 2
        (b'"first": 0', b'"first": 1'),
        (b'"type": "b"', b'"type": "h"'),
        (b"7 - 6 + 1", b"7 - 6 - 1"),
        (b"session(", b"sessioo("),
        (b"from ditmos", b"from ditmot"),
        (b"globals()", b"globalr()"),
    ],
)
def test_a_bit_flipped_at_the_start_changes_no_answer(board, models, tmp_path, old, new):
    policy = str(tmp_path / "mine.py")
    Path(policy).write_text(POLICY)
    path, model = models[0]
    deploy(board, path, Place.ram)
    board.disturb(lambda port: Flip(port, old, new))
    results = list(board.stream(ROWS, hop=40, policy=policy))
    assert [r.label for r in results] == labels_of(model, 40, policy)


@pytest.mark.parametrize("seed", [1, 2])
def test_faults_from_the_first_byte(simulated, models, seed):
    """One byte in 150, both ways, from the first command of the REPL on."""
    path, model = models[0]
    with Board(simulated.port) as board:
        deploy(board, path, Place.ram)
        board.disturb(lambda port: FaultyLine(port, 1 / 150, seed))
        stream = Stream(board, hop=8)
        results = list(stream.run([ROWS], np.int8))
        assert [r.number for r in results] == list(range(len(results)))
        assert [r.label for r in results] == labels_of(model, 8)
        assert stream.counts.bad + stream.counts.device["bad"] > 0


def test_policies_are_exchanged_on_a_disturbed_line(simulated: Simulator, models: list[tuple[Path, Model]]) -> None:
    """Each window once, by the policy that the board said decides it; one that does not load changes nothing."""
    path, model = models[0]
    told: list[tuple[int, str]] = []
    wanted = {20: 1, 80: 2, 140: 3, 200: None}
    with Board(simulated.port) as board:
        deploy(board, path, Place.ram)
        board.disturb(lambda port: FaultyLine(port, 1 / 300, 3))
        stream = Stream(board, hop=8)
        results = []
        for result in stream.run([np.tile(ROWS, (5, 1))], np.int8):
            results.append(result)
            if result.number in wanted:
                label = wanted[result.number]
                body = f"def policy(model, window):\n    model.select(window)\n    return {label}, 0\n"
                text = body if label else "import nothing_of_this_name\n"
                stream.exchange(Policy("x", "policy", text), lambda number, error: told.append((number, error)))
        assert stream.counts.bad + stream.counts.device["bad"] > 0
    windows = np.stack([np.tile(ROWS, (5, 1))[8 * r.number :][:40] for r in results])
    own = decide(parse_policy("top1"), model, windows).label.tolist()
    assert [r.number for r in results] == list(range(296)) and len(told) == 4
    assert [bool(error) for _, error in told] == [False, False, False, True] and "ImportError" in told[3][1]
    starts = [number for number, _ in told]
    assert starts == sorted(starts) and starts[0] > 20 and starts[3] < 296
    for r in results:
        taken = sum(r.number >= start for start in starts[:3])
        assert r.label == (taken or own[r.number])


@pytest.mark.parametrize("key", ["hop", "type", "first", "logits", "policy"])
def test_what_the_board_says_back_is_compared(board, models, monkeypatch, key):
    path, model = models[0]
    deploy(board, path, Place.ram)
    true = Conversation.start
    wrong = [1, 10**9]

    def start(self: Conversation, *arguments: Any) -> None:
        true(self, *arguments)
        if wrong[0]:
            wrong[0] -= 1
            self.hello[key] = "other"

    monkeypatch.setattr(Conversation, "start", start)
    stream = Stream(board, hop=8)
    assert [r.label for r in stream.run([ROWS], np.int8)] == labels_of(model, 8)
    assert stream.counts.restarts == 1
    wrong[0] = 10**9
    with pytest.raises(DitmosError, match=f"the board took {key} as other, it was told"):
        list(board.stream(ROWS, hop=8))


@pytest.mark.parametrize("named", [None, "/flash/model.dtm"])
def test_a_replaced_model_file_is_noticed_without_a_reset(board, models, named):
    deploy(board, models[0][0], Place.flash, replace=True)
    assert [r.label for r in board.stream(ROWS, hop=8, model=named)] == labels_of(models[0][1], 8)
    board.put(models[1][0], "/flash/model.dtm")
    assert [r.label for r in board.stream(ROWS, hop=8, model=named)] == labels_of(models[1][1], 8)
    board.put(models[0][0], "/flash/other.dtm")
    assert [r.label for r in board.stream(ROWS, hop=8, model="/flash/other.dtm")] == labels_of(models[0][1], 8)
    board.exec("import os\nos.remove('/flash/other.dtm')")


def test_a_model_that_is_loaded_is_not_loaded_again(board, models):
    deploy(board, models[0][0], Place.flash, replace=True)
    list(board.stream(ROWS[:80], hop=8))
    board.exec("_same = _model")
    list(board.stream(ROWS[:80], hop=8))
    assert board.eval("_same is _model")


def test_a_model_replaced_in_mid_stream_ends_it(board, models):
    """Another file, and the board is reset: what follows would come from another model."""
    deploy(board, models[0][0], Place.flash, replace=True)
    stream = Stream(board, hop=1)
    answers = []
    with pytest.raises(DitmosError, match=r"the model in .* CRC .* replaced meanwhile"):
        for result in stream.run([ROWS[i : i + 8] for i in range(0, len(ROWS), 8)], np.int8):
            answers.append(result.label)
            if result.number == 5:
                board.regain()
                board.put(models[1][0], "/flash/model.dtm")
                board.start("import machine\nmachine.soft_reset()")
    assert answers == labels_of(models[0][1], 1)[: len(answers)]


def test_a_stream_of_another_model_than_meant_is_refused(board, models):
    deploy(board, models[0][0], Place.flash, replace=True)
    with pytest.raises(DitmosError, match=r"the model in .*model\.dtm: CRC .* expected 00000001"):
        list(board.stream(ROWS, hop=8, crc=1))


def test_firmware_of_before_is_named(board, models, monkeypatch):
    deploy(board, models[0][0], Place.flash, replace=True)
    monkeypatch.setattr("ditmos.link.stream._SESSION", "from ditmos.no_session import session\nsession(globals())\n")
    with pytest.raises(DitmosError, match=r"program did not start: ImportError"):
        list(board.stream(ROWS, hop=8))
