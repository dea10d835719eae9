"""No input makes a traceback: every command, every option, with values that it does not take, and spoiled files."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import wrong_options as options
import wrong_runs as runs
from numpy.random import default_rng

COMMANDS = options.commands()
FEW, MANY, BLOCK = 44, 2000, 100
SHORT = 0.3  # seconds of the processor: longer, and a command is at work, not refused


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("wrong")
    with pytest.MonkeyPatch.context() as patch:
        runs.isolate(folder, patch.setattr, patch.setenv)
        yield runs.prepare(folder / "right")


def test_every_command_is_tried() -> None:
    assert set(options.RIGHT) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_with_a_wrong_value(right: Path, name: str) -> None:
    """One for each option, and one for each argument."""
    rng = default_rng(zlib.crc32(name.encode()))
    lines = [[]]
    for option in COMMANDS[name].params:
        if option.param_type_name == "option" and not option.is_flag:
            lines += [[*options.RIGHT[name], f"{option.opts[0]}={value}"] for value in rng.choice(options.ODD, 1)]
        elif option.param_type_name == "argument":
            lines += [[str(value), *options.RIGHT[name][1:]] for value in rng.choice(options.ODD, 1)]
    for number, arguments in enumerate(lines):
        case = runs.Case([*name.split(), *arguments])
        outcome = runs.run_case(number, lambda _folder, case=case: case, right, SHORT, 1.0)
        assert outcome.wrong is None, (outcome.wrong, outcome.arguments, outcome.said)


def spoiled(right: Path, first: int, count: int) -> None:
    for number in range(first, first + count):
        outcome = runs.run(number, right)
        assert outcome.wrong is None, outcome


def test_spoiled_inputs(right: Path) -> None:
    spoiled(right, 0, FEW)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("block", range(MANY // BLOCK))
def test_many_spoiled_inputs(right: Path, block: int) -> None:
    spoiled(right, block * BLOCK, BLOCK)


def test_a_changed_value_is_found() -> None:
    """The check itself: a value that stands in no line of the file."""
    raw = b"a,b\n0.5,1\n2,0.25\n"
    assert runs.rows_are_written(np.array([[[0.5, 1], [2, 0.25]]], np.float32), raw, ",", ".") is None
    assert runs.rows_are_written(np.array([[[0.5, 2]]], np.float32), raw, ",", ".")
    comma = "a;b\n0,5;1\n".encode("utf-16")
    assert runs.rows_are_written(np.array([[[0.5, 1]]], np.float32), comma, ";", ",") is None


@pytest.mark.parametrize(
    ("code", "said", "wrong"),
    [
        (0, "fine\n", None),
        (2, "ditmos: x.csv: no row of numbers\n", None),
        (2, "Usage: ditmos ...\n", None),
        (None, "", None),
        (1, "Traceback (most recent call last):\n", "a traceback"),
        (-11, "", "exit code -11"),
        (2, "", "exit code 2 and no reason"),
        (2, "ditmos: one\nand more\n", "an error of more than one line"),
    ],
)
def test_rules(code: int | None, said: str, wrong: str | None) -> None:
    assert runs.broken_rule(code, said) == wrong
