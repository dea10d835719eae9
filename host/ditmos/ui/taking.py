"""Recording in the browser: takes of labels off the board's sensor, a file each, and the data set made of them."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets import Dataset
from ditmos.datasets.takes import Signal, Take, Takes, load_take, to_dataset
from ditmos.datasets.trouble import channel_trouble
from ditmos.errors import DitmosError
from ditmos.link.board import Board
from ditmos.model import signal as model_signal
from ditmos.ui.history import History
from ditmos.ui.live_board import LiveBoard


@dataclass(frozen=True)
class Plan:
    """What is recorded: windows of ``window`` rows every ``hop`` are cut from takes of ``seconds``."""

    labels: tuple[str, ...]
    sensor: str = "Simulated"
    seconds: float = 10.0
    window: int = 151
    hop: int = 75
    subject: int = 0

    @classmethod
    def of(cls, labels: str, sensor: str, seconds: float, window: int, subject: int) -> Plan:
        """From what a form has. Raises DitmosError."""
        names = tuple(name.strip() for name in labels.split(",") if name.strip())
        if len(names) < 2 or len(set(names)) != len(names):
            raise DitmosError(f"labels are {labels!r}, expected at least two different ones: walk, run")
        if not 0.1 <= seconds <= 3600:
            raise DitmosError(f"a take of {seconds:g} s, expected 0.1 to 3,600")
        if window < 8:
            raise DitmosError(f"a window of {window} rows, expected 8 or more")
        return cls(names, sensor, seconds, window, max(1, window // 2), subject)


class Taking:
    """Takes into the folder beside ``out``, one at a time. ``history`` is of the take at hand, to be drawn."""

    def __init__(self, board: LiveBoard, out: Path, plan: Plan) -> None:
        self.board = board
        self.out = out
        self.plan = plan
        self.store = Takes(out)
        self.store.check(plan.labels, plan.window)
        self.store.prepare()
        self.history: History | None = None
        self.marks: list[tuple[int, str]] = []
        self._fresh = True  # the driver may have been edited
        self._stop = threading.Event()
        self._future: Future | None = None

    @property
    def running(self) -> bool:
        return self._future is not None and not self._future.done()

    @property
    def rows(self) -> int:
        """Of the take at hand, so far."""
        return self.history.ring.end if self.history else 0

    def record(self, label: str, number: int | None = None) -> Future[list[Path]]:
        """Record a take, in the place of ``number`` if given; the files that it became. Marks make a take of a window
        each, and one that has marks is not kept itself.

        The future raises DitmosError where the sensor or the board fails.
        """
        if self.running:
            raise DitmosError("a take is being recorded")
        self._stop.clear()
        self.marks = []
        self.history = None
        self._future = self.board.do(f"recording {label}", lambda board: self._keep(self._take(board, label), number))
        return self._future

    def mark(self, label: str) -> None:
        """An event of this label, now."""
        if self.running and self.history:
            self.marks.append((self.rows, label))

    def stop(self) -> None:
        """End the take now; what there is of it is kept."""
        self._stop.set()

    def _take(self, board: Board, label: str) -> Take:
        sensor = self.board.sensor(board, self.plan.sensor, fresh=self._fresh)
        self._fresh = False
        self.store.check(self.plan.labels, self.plan.window, sensor.signal)
        self.history = drawn(sensor.signal)
        sensor.expect(label)
        rows = max(2, self.plan.window, round(self.plan.seconds * sensor.signal.rate))
        blocks: list[NDArray[np.int16]] = []
        samples = sensor.samples(rows)
        try:
            for block in samples:
                blocks.append(block)
                self.history.ring.append(block)
                if self._stop.is_set():
                    break
        finally:
            samples.close()
        sensor.check_lost()
        if not blocks:
            raise DitmosError(f"{self.plan.sensor} gave no row")
        rate = None if self._stop.is_set() else sensor.rate
        return Take(label, np.concatenate(blocks), sensor.signal, self.plan.subject, rate)

    def _keep(self, take: Take, number: int | None) -> list[Path]:
        if self.marks:
            kept = [self.store.keep(part) for part in cut_at(take, self.marks, self.plan.window)]
            if number is not None:
                self.store.remove(number)
            return kept
        if len(take.samples) < self.plan.window:
            raise DitmosError(f"{len(take.samples)} rows make no window of {self.plan.window}: the take is not kept")
        return [self.store.keep(take, number)]

    def write(self) -> Dataset:
        """Make the data set of all takes."""
        return self.store.write(self.plan.labels, self.plan.window, self.plan.hop)

    def takes(self) -> dict[int, Take]:
        return {number: load_take(path) for number, path in self.store.files().items()}

    def trim(self, number: int, start: float, stop: float) -> None:
        """Keep seconds start to stop of a take, whose length a page knows to a hundredth. Raises DitmosError where that
        is no window."""
        take = self.store.take(number)
        rate = take.rate or take.signal.rate
        to_the_end = stop >= round(len(take.samples) / rate, 2)
        samples = take.samples[max(0, round(start * rate)) : None if to_the_end else round(stop * rate)]
        if len(samples) < self.plan.window:
            raise DitmosError(f"take {number}: {len(samples)} rows are no window of {self.plan.window}")
        self.store.keep(replace(take, samples=samples), number)

    def quality(self, take: Take) -> list[str]:
        """What is suspicious about a take; nothing where all is well."""
        found = []
        if take.slow:
            found.append(f"{take.rate:.1f} of {take.signal.rate:g} rows a second")
        if len(take.samples) < self.plan.window:
            return [*found, f"shorter than a window of {self.plan.window} rows"]
        return found + channel_trouble(to_dataset([take], [take.label], self.plan.window, self.plan.hop))


def cut_at(take: Take, marks: list[tuple[int, str]], window: int) -> list[Take]:
    """A take of ``window`` rows around each mark (row, label). Raises DitmosError for a take that is shorter."""
    if len(take.samples) < window:
        raise DitmosError(f"{len(take.samples)} rows make no window of {window}")
    parts = []
    for row, label in marks:
        start = min(max(0, row - window // 2), len(take.samples) - window)
        parts.append(replace(take, label=label, samples=take.samples[start : start + window]))
    return parts


def drawn(signal: Signal, samples: NDArray[np.int16] | None = None) -> History:
    """Rows of a sensor as a page draws them: no answers."""
    said = model_signal.Signal.of((), signal.channels, signal.units, signal.scale, signal.rate)
    history = History(said, 1, 1, 0, signal.rate, np.dtype(np.int16))
    if samples is not None:
        history.ring.append(samples)
    return history
