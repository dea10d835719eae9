"""What the long runs have in common: each goes on where it stopped, and says what it did."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import longrun
import numpy as np
import pytest
import run
from ditmos.atomic import read_json, write_json
from ditmos.bench.golden import Style, random_model
from ditmos.model.reader import decode
from ditmos.model.writer import encode
from ditmos.planner import whole_plan
from ledger import Ledger
from longrun import LongRun, carry_on


def run_of(said: list[int], wrong: set[int], wanted: int = 6) -> LongRun:
    """Pieces of two each, wrong ones among them."""

    @contextmanager
    def opened(folder: Path):
        (folder / "opened").touch()

        def piece(number: int):
            said.append(number)
            if number in wrong:
                raise ValueError(f"{number} is wrong")
            return 2, {"pairs": 1, "last": f"number {number}"}

        yield piece

    return LongRun("toy", wanted, "things", opened)


def test_a_run_goes_on_until_it_has_enough(tmp_path: Path) -> None:
    said: list[int] = []
    assert carry_on(run_of(said, set()), tmp_path, said.append) == "passed"
    state = read_json(tmp_path / "toy.json")
    assert said[:3] == [0, 1, 2] and state["figures"] == {"pairs": 3, "last": "number 2"}
    assert state["count"] == sum(state["commits"].values()) == 6 and state["verdict"] == "passed" and not state["open"]
    assert said[3:] == [f"toy: passed, 6 of 6 things in {state['seconds']:,.0f} s"]
    assert carry_on(run_of(said, set(), wanted=7), tmp_path, print) == "passed" and said[-1] == 3


def test_what_was_wrong_is_done_again_first(tmp_path: Path) -> None:
    said: list[int] = []
    assert carry_on(run_of(said, {1}), tmp_path, lambda text: None) == "failed"
    assert said == [0, 1, 2, 3] and read_json(tmp_path / "toy.json")["failed"] == {"1": "ValueError: 1 is wrong"}
    assert carry_on(run_of(said, set()), tmp_path, lambda text: None) == "passed" and said[4:] == [1]
    said.clear()
    assert carry_on(run_of(said, set(range(9)), wanted=20), tmp_path, lambda text: None) == "failed"
    assert said == [4, 5, 6]  # and no more than that


def test_processes_share_a_run_and_one_that_died_costs_nothing(tmp_path: Path) -> None:
    first, second = (Ledger(tmp_path / "toy.json", "toy", 4, "things") for _ in range(2))
    assert [first.claim(), second.claim(), first.claim()] == [0, 1, 2]
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    state = read_json(tmp_path / "toy.json")
    state["open"]["1"] = pid  # it has ended
    write_json(tmp_path / "toy.json", state)
    assert Ledger(tmp_path / "toy.json", "toy", 4, "things").claim() == 1
    first.done(0, 4)
    assert second.claim() is None and first.read()["verdict"] == "passed"


def test_sigterm_ends_a_run_even_where_an_error_of_its_board_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(longrun, "STOP", threading.Event())
    said: list[int] = []

    @contextmanager
    def opened(folder: Path):
        def piece(number: int):
            said.append(number)
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                raise ValueError("the board does not answer Ctrl-C")

        yield piece

    before = signal.signal(signal.SIGTERM, longrun.stop)
    try:
        with pytest.raises(SystemExit, match="143"):
            carry_on(LongRun("toy", 6, "things", opened), tmp_path, print)
    finally:
        signal.signal(signal.SIGTERM, before)
    state = read_json(tmp_path / "toy.json")
    assert said == [0] and state["open"] == {"0": os.getpid()} and not state["failed"]  # given out again


def test_a_run_that_this_machine_cannot_do_is_skipped(tmp_path: Path) -> None:
    @contextmanager
    def opened(folder: Path):
        pytest.skip("no such tool")
        yield

    said: list[str] = []
    assert carry_on(LongRun("toy", 1, "things", opened), tmp_path, said.append) == "skipped"
    assert said == ["toy: skipped: no such tool"] and read_json(tmp_path / "toy.json")["verdict"] == "unfinished"


def test_every_run_is_listed() -> None:
    others = {"run", "longrun", "ledger", "firmwares", "small_board", "test_long"}
    assert {*run.MODULES, *others} == {path.stem for path in Path(run.__file__).parent.glob("*.py")}


@pytest.mark.slow  # imports torch
def test_the_networks_of_byte_equality_are_models() -> None:
    spec_of = import_module("byte_equality").spec_of
    for rows, channels, classes in ((51, 3, 8), (13, 133, 2)):
        spec = spec_of(rows, channels, classes)
        model = random_model(np.random.default_rng(0), spec, Style.TRAINED)
        assert decode(encode(model, whole_plan(spec)))[0].spec == spec
