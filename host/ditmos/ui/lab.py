"""Policies tried on windows that there are, beside the board: in a process of its own, which may be stopped."""

from __future__ import annotations

import threading
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.ui.lab_worker import Fault, Outcome, serve

PATIENCE = 20.0  # seconds that a policy may take over all windows
START = 120.0  # seconds until the model and the data are read, and all logits computed, on a busy machine


class PolicyLab:
    """Of one model, and the windows of a data set, if there is one. Calls wait; threads may share it."""

    def __init__(self, model: Path, data: Path | None, part: str = "validation") -> None:
        self.model = model
        self.dataset = data
        self.part = part
        self._line: Connection | None = None
        self._process: BaseProcess | None = None
        self._lock = threading.Lock()
        self._fresh = True

    def warm(self) -> None:
        """Read the model and the data, so that the first policy is answered at once."""
        self.over_data(None, None)

    def over_data(self, policy: str | None, before: str | None) -> Outcome | Fault | None:
        """A policy, as `ditmos route` takes it, over the data set; ``before``: the one to compare with. None is the
        model's own policy, and the answer where there is no data set.

        Raises:
            DitmosError: model and data do not go together.
        """
        return self._call("data", policy, before)

    def over(self, policy: str, before: str | None, windows: NDArray, y: NDArray[np.int64]) -> Outcome | Fault:
        """The same over windows as they were streamed, with their classes, -1 where they are not known."""
        return self._call("live", policy, before, windows, y)

    def close(self) -> None:
        if self._process:
            self._process.kill()
            self._process.join()
            self._process = None
        if self._line:
            self._line.close()
            self._line = None

    def _call(self, name: str, *arguments: Any) -> Any:
        with self._lock:
            line = self._line or self._start()
            try:
                line.send((name, arguments))
                seconds = START if self._fresh else PATIENCE
                if not line.poll(seconds):
                    self.close()
                    return Fault(f"it has run for {seconds:.0f} s over these windows: a loop without an end?", None)
                answer = line.recv()
            except (OSError, EOFError):
                self.close()
                return Fault("the process that tries policies ended: did it run out of memory?", None)
            self._fresh = False
        if isinstance(answer, DitmosError):
            raise answer
        return answer

    def _start(self) -> Connection:
        context = get_context("spawn")  # nothing of this process, which has threads
        here, there = context.Pipe()
        self._process = context.Process(
            target=serve, args=(there, self.model, self.dataset, self.part), name="policy lab", daemon=True
        )
        self._process.start()
        there.close()
        self._line, self._fresh = here, True
        return here
