"""What a long run has done so far: a JSON that outlives the process, and that several processes may work on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ditmos.atomic import read_json, write_json
from ditmos.locks import locked
from ditmos.paths import commit


class Ledger:
    """``file``: name, unit, wanted, count, seconds, verdict, count by commit, and ``figures`` of the run's own.

    A run is cut into numbered pieces. `claim` gives the next one, `done` counts what it came to, `failed` keeps what
    was wrong with it. A piece that failed, or whose process ended without a word, is given out again first.

    Attributes:
        folder: for files that the run needs from one piece to the next.
    """

    def __init__(self, file: Path, name: str, wanted: int, unit: str) -> None:
        self.file, self.wanted = file, wanted
        self.folder = file.parent / name
        self._started, self._commit = time.monotonic(), commit()
        self._again: list[int] | None = None
        with self._state() as state:
            state.setdefault("name", name)
            state |= {"unit": unit, "wanted": wanted}

    def claim(self) -> int | None:
        """A piece to do, None where as much is done as is wanted."""
        with self._state() as state:
            if self._again is None:
                self._again = sorted(int(number) for number in state["failed"])
            self._started = time.monotonic()
            left = [number for number in self._again if str(number) in state["failed"]]
            if state["count"] >= self.wanted and not left:
                return None
            orphans = [number for number, pid in state["open"].items() if not _runs(pid)]
            if left:
                self._again.remove(left[0])
                number = left[0]
            elif orphans:
                number = int(orphans[0])
            else:
                number = state["next"]
                state["next"] += 1
            state["open"][str(number)] = os.getpid()
            return number

    def done(self, number: int, count: int = 1, **figures: Any) -> None:
        """Piece ``number`` came to ``count`` of the unit, and was right. Figures that are numbers are added up."""
        with self._state() as state:
            state["open"].pop(str(number), None)
            state["failed"].pop(str(number), None)
            state["count"] += count
            state["commits"][self._commit] = state["commits"].get(self._commit, 0) + count
            for key, value in figures.items():
                old = state["figures"].get(key)
                both = isinstance(old, int | float) and isinstance(value, int | float)
                state["figures"][key] = old + value if both else value

    def failed(self, number: int, problem: str) -> None:
        """Piece ``number`` was wrong."""
        with self._state() as state:
            state["open"].pop(str(number), None)
            state["failed"][str(number)] = problem

    def read(self) -> dict[str, Any]:
        """The file."""
        return read_json(self.file)

    @contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        with locked(self.file):
            state: dict[str, Any] = read_json(self.file) if self.file.is_file() else {}
            for key, empty in (("count", 0), ("seconds", 0.0), ("next", 0)):
                state.setdefault(key, empty)
            for key in ("commits", "figures", "failed", "open"):
                state.setdefault(key, {})
            yield state
            now = time.monotonic()
            state["seconds"] = round(state["seconds"] + now - self._started, 1)
            self._started = now
            enough = state["count"] >= state["wanted"]
            state["verdict"] = "failed" if state["failed"] else "passed" if enough else "unfinished"
            write_json(self.file, state)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
