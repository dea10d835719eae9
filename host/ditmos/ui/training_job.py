"""A training that the page has started. It goes on when the page is closed; it ends with the server, and can go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

REPORT = "report.html"  # in the folder of a run
DATA = "data.json"  # there: which data set it was trained on
US = "us"  # in a budget: microseconds of the dearest decision
GRACE = 10.0  # seconds that it may take to stop


@dataclass(frozen=True)
class Wanted:
    """What a person asks for, as `ditmos train` takes it. budget: limits as `ditmos.planner.budget.Budget` has them,
    and `US`; None for none. split: None for what suits the data. settings: a TOML file. behind: folder of a run, for
    forest-first. compare: the rivals, too."""

    data: Path
    out: Path
    effort: str = "quick"
    method: str = "best"
    budget: dict[str, float | int | None] = field(default_factory=dict)
    settings: Path | None = None
    split: str | None = None
    seed: int = 0
    behind: Path | None = None
    compare: bool = False


class TrainingJob:
    """``stages``: part that is done of each, in the order in which they began; of a training that takes several, those
    of the last one, which ``method`` names."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.stages: dict[str, float] = {}
        self.chosen: list[list[str]] = []
        self.note = self.left = self.method = ""
        self.result: dict[str, Any] | None = None
        self.error = ""
        asked = asdict(wanted) | {"data": str(wanted.data.resolve()), "out": str(wanted.out)}
        asked |= {name: str(asked[name]) for name in ("settings", "behind") if asked[name]}
        # Threads that wait for one another sleep instead of spinning: a board and a page want the processor, too.
        environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
        self._errors = tempfile.TemporaryFile("a+")  # noqa: SIM115 - a pipe that nobody reads meanwhile would stop it
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ditmos.ui.trainer", json.dumps(asked)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )
        self._ended = False  # last of all, when another training may begin
        self._reader = threading.Thread(target=self._read, name="training", daemon=True)
        self._reader.start()

    @property
    def running(self) -> bool:
        return not self._ended

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within so many seconds."""
        self._reader.join(seconds)
        return not self.running

    def ask_to_stop(self) -> None:
        """As Ctrl-C does: what is done stays, and the same request goes on with it."""
        self._process.terminate()

    def stop(self) -> None:
        """Stop it, and wait until it has."""
        self.ask_to_stop()
        self._reader.join(GRACE)
        self._process.kill()

    def _read(self) -> None:
        """Until it has ended, whatever it says."""
        assert self._process.stdout
        try:
            for line in self._process.stdout:
                if line.startswith("{"):  # else it is a library's
                    self._take(json.loads(line))
            failed = self._process.wait() != 0
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines()
            if failed and not self.error:
                self.error = f"the training ended: {said[-1] if said else 'without a word'}"
        finally:
            self._ended = True

    def _take(self, words: dict[str, Any]) -> None:
        if "chosen" in words:
            self.method = words["method"]
            self.stages.clear()
        if "stage" in words:
            self.stages[words["stage"]] = words["done"]
            self.note, self.left = words["note"] or self.note, words["left"]
        self.chosen = words.get("chosen", self.chosen)
        self.result = words.get("result", self.result)
        self.error = words.get("error", self.error)
