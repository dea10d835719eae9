"""Samples of a sensor on the board, as they come."""

from __future__ import annotations

import ast
import math
import re
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.takes import Signal
from ditmos.errors import DitmosError
from ditmos.framing import SAMPLES
from ditmos.link import policies
from ditmos.link.board import Board
from ditmos.link.conversation import Conversation
from ditmos.link.repl import BoardError
from ditmos.model.policy import Policy, check_call, parse_policy
from ditmos.paths import SOURCES
from ditmos.text import read_text

DRIVERS = (SOURCES / "device" / "sensors.py", SOURCES / "device" / "motion.py")

_LINE = 8000  # bytes of rows a second that any line takes as they come: 115200 baud, with some to spare
_ABOUT = (
    "(tuple(_sensor.channels), tuple(_sensor.units) if isinstance(_sensor.units, list) else _sensor.units, "
    "_sensor.scale if isinstance(_sensor.scale, tuple) else float(_sensor.scale), float(_sensor.rate))"
)


def driver_file(driver: str) -> tuple[Path, str]:
    """A driver's file, and the expression that makes it: ``FILE.py:Name``, ``FILE.py:Name(1)``, or a name, also with
    arguments, of a file in device/.

    Raises:
        DitmosError: no such file or name, or a file that is no Python.
    """
    if ".py:" in driver or driver.endswith(".py"):
        parsed = parse_policy(driver)
        assert parsed.path
        return parsed.path, parsed.expression
    check_call(driver)
    name = driver.partition("(")[0]
    known = known_drivers()
    if name not in known:
        raise DitmosError(f"sensor {driver}: no driver of that name, but {', '.join(known)}; or FILE.py:Name")
    return known[name], driver


def known_drivers() -> dict[str, Path]:
    """Files of the drivers in device/, by their names: of classes that have a rate, as a bus or a base has not."""
    found: dict[str, Path] = {}
    for path in DRIVERS:
        tree = ast.parse(path.read_text())
        found |= {node.name: path for node in tree.body if isinstance(node, ast.ClassDef) and _has_rate(node)}
    return found


def _has_rate(made: ast.ClassDef) -> bool:
    names = (getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(made) if _is_set(node))
    return "rate" in names


def _is_set(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store)


@contextmanager
def trying(driver: str) -> Iterator[None]:
    """Inside, a driver that imports what the board's firmware lacks, as buses of a simulated board, is told so."""
    try:
        yield
    except BoardError as error:
        if lacks := re.search(r"can't import name (\w+)|no module named '(\w+)'", error.reason):
            needed = lacks[1] or lacks[2]
            raise DitmosError(
                f"sensor {driver}: it needs {needed}, which this board's firmware has not (a simulated board has no "
                "buses); expected Simulated, WavFile, or FILE.py:Name"
            ) from None
        raise


class Sensor:
    """A driver, running on the board.

    ``driver``: as of `driver_file`.

    Raises:
        DitmosError: no such file or name, or the driver finds no sensor.
    """

    def __init__(self, board: Board, driver: str = "Simulated") -> None:
        self.board = board
        path, expression = driver_file(driver)
        made = expression if "(" in expression else f"{expression}()"
        with trying(driver):
            policies.send(board, Policy(driver, made, read_text(path)[0], path), "_sensor")
        self.signal = Signal(*board.eval(_ABOUT))
        if not self.signal.channels:
            raise DitmosError(f"sensor {driver}: it names no channel")
        for name in ("scale", "rate"):
            value = getattr(self.signal, name)
            if not all(math.isfinite(v) and v > 0 for v in (value if isinstance(value, tuple) else [value])):
                raise DitmosError(f"sensor {driver}: {name} is {value}, expected a positive number")
        self.longest = self._longest()
        self.lost = self.clipped = 0  # rows, and values that were limited, in the last recording
        self.rate: float | None = None  # rows per second of the last recording, if it came to its end

    def _longest(self) -> float | None:
        """Seconds of a recording that surely comes whole: where a sensor is faster than the line, rows wait in RAM."""
        bytes_a_second = 2 * len(self.signal.channels) * self.signal.rate
        if bytes_a_second <= _LINE or not self.board.eval("hasattr(_sensor, 'readinto')"):
            return None
        self.board.exec("from ditmos import record as _record")
        room: int = self.board.eval("_record.room()")
        return room / bytes_a_second

    def expect(self, label: str) -> None:
        """Tell the driver what is recorded next."""
        self.board.exec(f"if hasattr(_sensor, 'expect'):\n _sensor.expect({label!r})")

    def samples(self, rows: int = 0) -> Generator[NDArray[np.int16]]:
        """Blocks of raw samples (some rows, channels) as they come; 0 rows: until the caller stops iterating. Who stops
        before the end calls `check_lost`.

        Raises:
            DitmosError: the driver raised, the board fell silent, or the line was too slow for the sensor.
        """
        self.rate, self.lost, self.clipped = None, 0, 0
        blocks: deque[NDArray[np.int16]] = deque()
        width, count = len(self.signal.channels), 0

        def deliver(kind: int, payload: Any) -> bool:
            if kind == SAMPLES:
                blocks.append(np.frombuffer(bytes(payload), "<i2").astype(np.int16).reshape(-1, width))
            return True

        talk = Conversation(self.board, deliver)
        try:
            talk.start(f"from ditmos.record import record\nrecord(_sensor, {rows})")
            while talk.ended is None:
                talk.pump()
                if talk.silent:
                    talk.stop()
                    raise DitmosError(f"{self.board.port}: the board stopped sending samples; it was reset, or stopped")
                while blocks:
                    count += len(blocks[0])
                    yield blocks.popleft()
            talk.check()
            if (span := talk.ended.get("span")) and count > 1:
                self.rate = (count - 1) / (span * 1e-6)
            self._take_counts(talk)
            self.check_lost()
            while blocks:
                yield blocks.popleft()
        except GeneratorExit:  # the caller has enough
            with suppress(DitmosError):
                talk.finish()
                self._take_counts(talk)
            raise
        finally:
            talk.stop()

    def _take_counts(self, talk: Conversation) -> None:
        """What the board's last message says of a recording."""
        said = talk.ended or {}
        self.lost, self.clipped = said.get("lost", 0), said.get("clipped", 0)

    def check_lost(self) -> None:
        """Raises DitmosError where rows of the last recording were lost."""
        if self.lost:
            raise DitmosError(
                f"{self.lost} rows were lost: the line, or the board, is too slow for {len(self.signal.channels)} "
                f"channels at {self.signal.rate:g} Hz"
            )
