"""docs/importing.md: each command runs, on recordings of the kinds that it speaks of."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from ditmos.cli import application
from ditmos.datasets import load
from said import ROOT, blocks, shell_lines
from typer.testing import CliRunner

PAGE = ROOT / "docs" / "importing.md"
START = 1_644_226_061.0


def rows(rng: np.random.Generator, count: int, width: int = 3) -> np.ndarray:
    return rng.normal(size=(count, width)).round(4)


def table(path: Path, head: str, cells: list[list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in cells)]) + "\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """recordings/, log.csv, idle.csv, wristband/ with labels.csv, SisFall_dataset/."""
    rng = np.random.default_rng(0)
    for label in ("walk", "jog", "sprint", "other"):
        for person in range(4):
            cells = [[i / 50, *row] for i, row in enumerate(rows(rng, 500))]
            table(tmp_path / "recordings" / label / f"{person}_0.csv", "time,ax,ay,az", cells)
    log: list[list[object]] = []
    for activity, user in (
        ("walk", "ann"),
        ("run", "ann"),
        ("walk", "bob"),
        ("run", "bob"),
        ("walk", "cleo"),
        ("run", "cleo"),
    ):
        log += [[(len(log) + i) / 50, *row, activity, user] for i, row in enumerate(rows(rng, 800))]
    table(tmp_path / "log.csv", "time,ax,ay,az,activity,user", log)
    table(tmp_path / "idle.csv", "time,ax,ay,az", [[i / 50, *row] for i, row in enumerate(rows(rng, 600))])
    for person in range(3):
        for name, rate, width in (("BVP", 64, 1), ("EDA", 4, 1), ("TEMP", 4, 1), ("ACC", 32, 3)):
            head = [[START] * width, [float(rate)] * width]
            table(
                tmp_path / "wristband" / f"S{person}" / f"{name}.csv",
                ", ".join(map(str, head[0])),
                [head[1], *rows(rng, rate * 400, width).tolist()],
            )
    table(tmp_path / "labels.csv", "start,stop,label", [[START + 100, START + 260, "stress"]])
    for person in range(1, 4):
        for activity in ("D01", "F05"):
            lines = "".join(f"{x:4d},{y:4d},{z:4d},1,2,3,4,5,6;\n" for x, y, z in rng.integers(-900, 900, (2000, 3)))
            path = tmp_path / "SisFall_dataset" / f"SA{person:02d}" / f"{activity}_SA{person:02d}_R01.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(lines)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_of_the_page(folder: Path) -> None:
    commands = [line for block in blocks(PAGE.read_text()) for _, line in shell_lines(block)]
    assert len(commands) >= 10
    for command in commands:
        result = CliRunner().invoke(application(), shlex.split(command)[1:])
        assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception}"
        if "-o" in command:
            assert len(load(folder / shlex.split(command)[-1]))
