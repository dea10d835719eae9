"""A board that runs the test program of ``image/``."""

from __future__ import annotations

from pathlib import Path

from ditmos.emulator import Machine, read_image
from ditmos.emulator.clock import CORE_HZ


class Program:
    """An emulated board that runs the test program: ``ask`` sends a command and returns its answer."""

    def __init__(self, binary: Path, extra: tuple = (), kept: Path | None = None) -> None:
        self.reports: list[str] = []
        self.board = Machine([*read_image(binary), *extra], kept, self.reports.append)
        self.greeting = self.line()

    def line(self, seconds: float = 5.0) -> str:
        """The next line that the program prints within some emulated seconds."""
        board = self.board
        end = board.clock.now + int(seconds * CORE_HZ)
        while b"\n" not in board.outgoing and board.clock.now < end:
            if board.run(CORE_HZ // 1000):
                board.sleep(CORE_HZ // 1000)
        line, newline, _ = board.outgoing.partition(b"\n")
        assert newline, f"no answer; {board.core.where()}; {self.reports}"
        del board.outgoing[: len(line) + 1]
        return line.decode()

    def ask(self, command: str) -> str:
        self.board.incoming.extend(command.encode())
        return self.line()
