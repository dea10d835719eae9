"""docs/tutorial.md, from top to bottom, in an empty folder: every command runs, and prints what the page shows.

Numbers may differ, and lines may be left out on the page; what it shows has to come, in its order. Then, in the folder
and on the board that the tutorial leaves, the commands of the how-to pages run.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ditmos.link.board import Board
from ditmos.paths import SOURCES

sys.path.insert(0, str(SOURCES / "tests" / "docs"))  # what reads pages there
from said import Block, blocks, shell_lines

DOCS = SOURCES / "docs"
TIMEOUT = 200.0  # of one command
pytestmark = pytest.mark.timeout(900)  # it trains; other tests use the same cores


def shape(line: str) -> str:
    """A line without its numbers, its blanks as one, and without what MicroPython from git has behind its number."""
    line = re.sub(r"(MicroPython [\d.]+)(-preview)?( \([0-9a-f]{10}\+?\))?$", r"\1", line)
    return " ".join(re.sub(r"\b[0-9a-f]{8}\b|\d+(?:\.\d+)?", "#", line).split())


class Reader:
    """Somebody who does what the page says, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, ""
        self.compares = True
        self.background: list[subprocess.Popen[str]] = []
        programs = folder / "bin"
        programs.mkdir()
        for name, module in (("ditmos", "-m ditmos"), ("mpremote", "-m mpremote"), ("python", "")):
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
            (programs / name).chmod(0o755)
        self.environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": "120"}

    def read(self, page: Path) -> int:
        """Do all that a page says. How many commands it had."""
        steps = blocks(page.read_text())
        for block in steps:
            self.do(block)
        return sum(len(list(shell_lines(block))) for block in steps if block.language == "console")

    def do(self, block: Block) -> None:
        title = match[1] if (match := re.search(r'title="([^"]*)"', block.info)) else ""
        if block.language == "python" and title.endswith(".py"):
            (self.folder / title).write_text(block.text)
        elif title == "at the REPL":
            self.type(block)
        elif block.language == "console":
            for i, (_, command) in enumerate(shell_lines(block)):
                if title == "second terminal":
                    self.start(command)
                elif not command.endswith(" repl"):
                    self.run(command, block.text.split("$ " + command, 1)[1].split("\n$ ")[0].splitlines(), i)

    def run(self, command: str, shown: list[str], number: int) -> None:
        done = subprocess.run(
            ["bash", "-c", command.replace("PORT", self.port)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            input="\n" * 100,  # Enter, where a command asks
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if not self.compares:
            return
        printed = iter([shape(line) for line in (done.stdout + done.stderr).splitlines()])
        for line in filter(None, map(str.strip, shown)):
            assert shape(line) in printed, (
                f"{command}: does not print (in this order): {line}\n{done.stdout}{done.stderr}"
            )

    def start(self, command: str) -> None:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        self.background.append(process)
        assert process.stdout
        self.port = process.stdout.readline().strip()
        assert self.port.startswith("/dev/"), f"{command} prints {self.port!r}, expected a port"

    def type(self, block: Block) -> None:
        """Statements and expressions behind >>>, with what the page says that they give."""
        with Board(self.port) as board:
            for part in block.text.split(">>> ")[1:]:
                code, _, shown = part.rstrip().partition("\n")
                if shown:
                    assert shape(repr(board.eval(code))) == shape(shown), code
                else:
                    board.exec(code)

    def leave(self) -> None:
        for process in self.background:
            process.send_signal(signal.SIGINT)
            process.wait(20)


@pytest.fixture(scope="module")
def reader(firmware: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody who has read the tutorial."""
    somebody = Reader(tmp_path_factory.mktemp("tutorial"))
    try:
        assert somebody.read(DOCS / "tutorial.md") > 8
        yield somebody
    finally:
        somebody.leave()


def test_tutorial(reader: Reader) -> None:
    """The `reader` fails where a step does; here is what it leaves."""
    assert (reader.folder / "model.dtm").is_file()
    with Board(reader.port) as board:
        assert board.eval("__import__('ditmos').load().model.class_names") == ("rest", "walk", "run")


@pytest.mark.parametrize("page", ["deploy", "policy", "stream", "edit"])
def test_how_to_pages(reader: Reader, page: str) -> None:
    """Every command runs. What the pages show is of another model, and is not compared."""
    reader.compares = False
    for name in ("examples", "device"):
        if not (link := reader.folder / name).exists():
            link.symlink_to(SOURCES / name)
    if page == "deploy":  # onto a board without a model
        reader.start("ditmos sim")
    assert reader.read(DOCS / "howto" / f"{page}.md") >= 2
