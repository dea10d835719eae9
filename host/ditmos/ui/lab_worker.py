"""A process that replays policies: a policy that never ends is stopped with it, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.bench.route import Costs, Decisions, Logits, class_numbers, decide, part_of, quantized_windows, window_rows
from ditmos.datasets import load
from ditmos.errors import DitmosError
from ditmos.model.policy import Policy, own_policy, parse_policy
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.ui.versions import line_of


@dataclass(frozen=True)
class Outcome:
    """What a policy makes of windows. accuracy: None where no class is known. abstained, differing: windows, the latter
    those with another answer than before. Of a window: extra_runs, classifier runs beyond the first; instructions."""

    windows: int
    accuracy: float | None
    before: float | None
    abstained: int
    extra_runs: float
    instructions: float
    differing: tuple[int, ...]
    gained: int
    lost: int
    label: NDArray[np.int64]
    who: NDArray[np.int64]


@dataclass(frozen=True)
class Fault:
    """Why a policy cannot answer, and where in its file."""

    message: str
    line: int | None


class Lab:
    """A model, and windows of a data set with their classes, if there is one."""

    def __init__(self, model: Path, data: Path | None, part: str) -> None:
        read, plan = read_model(model)
        self._model = Model(read)
        self._costs = Costs.planned(self._model, plan)
        self._data: tuple[NDArray[np.int8], Logits, NDArray[np.int64]] | None = None
        if data:
            dataset = load(data)
            index = part_of(dataset, part if dataset.split is not None else "all")
            windows = quantized_windows(self._model, dataset, index)
            y = class_numbers(self._model, dataset)[0][np.asarray(dataset.y[index])]
            rows = window_rows(self._model, dataset, index)
            self._data = windows, Logits.of(self._model, windows, rows), y

    def data(self, policy: str | None, before: str | None) -> Outcome | Fault | None:
        """A policy over the data set, beside another one; None being the model's own, of both."""
        if self._data is None:
            return None
        windows, logits, y = self._data
        return self._outcome(policy, windows, logits, y, before)

    def live(self, policy: str, before: str | None, windows: NDArray, y: NDArray[np.int64]) -> Outcome | Fault:
        """The same over windows as a board had them; class -1: not known."""
        quantized = np.ascontiguousarray(self._model.quantize(windows))
        rows = self._model.feeder.front(windows) if self._model.experts else None
        return self._outcome(policy, quantized, Logits.of(self._model, quantized, rows), y, before)

    def _outcome(
        self, text: str | None, windows: NDArray[np.int8], logits: Logits, y: NDArray[np.int64], before: str | None
    ) -> Outcome | Fault:
        try:
            policy = self._policy(text)
        except DitmosError as error:
            return Fault(str(error), line_of(error, _file(text)))
        try:
            now = decide(policy, self._model, windows, logits)
        except (Exception, SystemExit) as error:  # whatever the user's policy raises
            message = str(error) if isinstance(error, DitmosError) else f"{type(error).__name__}: {error}"
            return Fault(message, line_of(error, _file(text)))
        try:
            old: Decisions | None = decide(self._policy(before), self._model, windows, logits)
        except (Exception, SystemExit):  # what ran before no longer does: there is nothing to compare with
            old = None
        known = y >= 0
        right = now.label == y
        was = right if old is None else old.label == y
        other = np.zeros(len(y), bool) if old is None else (now.label != old.label) | (now.who != old.who)
        return Outcome(
            windows=len(y),
            accuracy=float(right[known].mean()) if known.any() else None,
            before=float(was[known].mean()) if known.any() and old is not None else None,
            abstained=int((now.label < 0).sum()),
            extra_runs=float(np.maximum(now.runs - 1, 0).mean()) if len(y) else 0.0,
            instructions=self._costs.mean(now) if len(y) else 0.0,
            differing=tuple(map(int, np.flatnonzero(other))),
            gained=int((known & right & ~was).sum()),
            lost=int((known & ~right & was).sum()),
            label=now.label,
            who=now.who,
        )

    def _policy(self, text: str | None) -> Policy:
        return own_policy(self._model.model) if text is None else parse_policy(text)


def _file(policy: str | None) -> Path:
    return Path((policy or "").partition(".py:")[0] + ".py")


def serve(line: Connection, model: Path, data: Path | None, part: str) -> None:
    """Answer calls, (name, arguments), until the other end is closed; an exception is an answer, too."""
    lab: Lab | None = None
    while True:
        try:
            name, arguments = line.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            lab = lab or Lab(model, data, part)
            call: Callable[..., Any] = getattr(lab, name)
            answer: Any = call(*arguments)
        except DitmosError as error:
            answer = error
        line.send(answer)
