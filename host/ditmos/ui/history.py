"""What a board has been given and has answered: the signal, and an answer for each window."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ditmos.link.conversation import Counts
from ditmos.link.stream import Result
from ditmos.link.tape import Tape
from ditmos.model.signal import Signal
from ditmos.ui.ring import Ring

ANSWERS = 50_000  # kept


@dataclass(frozen=True)
class Answer:
    """The answer to the window of rows start to stop. when: seconds from the first one. truth: the window's class,
    where the source says it. version: of the policy. event: the class that has just been said, if any
    (`ditmos.events`)."""

    result: Result
    start: int
    stop: int
    when: float
    truth: int | None = None
    version: int = 0
    event: int | None = None


class History:
    """One stream's; it goes on when the stream starts over. ``signal``: of the rows, as they are streamed. ``whole``:
    the rows are those that windows are made of; else they only show what a sensor gives."""

    def __init__(
        self,
        signal: Signal,
        window: int,
        hop: int,
        classifiers: int,
        rate: float,
        dtype: np.dtype,
        capacity: int | None = None,
        *,
        whole: bool = True,
    ) -> None:
        self.signal = signal
        self.window = window
        self.hop = hop
        self.classifiers = classifiers
        self.rate = rate
        self.whole = whole
        self.ring = Ring(len(signal.channels), dtype, capacity)
        self.counts = Counts()
        self.began = time.monotonic()
        self._answers: deque[Answer] = deque(maxlen=ANSWERS)
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Answers so far; they are numbered from 0."""
        return self._answers[-1].result.number + 1 if self._answers else 0

    def add(self, answer: Answer) -> None:
        with self._lock:
            self._answers.append(answer)

    def last(self, count: int = 1) -> list[Answer]:
        """The newest answers, oldest first."""
        with self._lock:
            return list(islice(self._answers, max(0, len(self._answers) - count), None))

    def since(self, number: int) -> list[Answer]:
        """Answers from ``number`` on."""
        return [answer for answer in self.last(max(0, self.count - number)) if answer.result.number >= number]

    def between(self, start: int, stop: int) -> list[Answer]:
        """Answers whose windows end in rows start to stop."""
        with self._lock:
            first = bisect_right(self._answers, start, key=lambda answer: answer.stop)
            last = bisect_right(self._answers, stop, first, key=lambda answer: answer.stop)
            return list(islice(self._answers, first, last))

    def find(self, number: int) -> Answer | None:
        """An answer by its number, while it is kept."""
        found = self.since(number)
        return found[0] if found and found[0].result.number == number else None

    def at(self, row: int) -> Answer | None:
        """The answer whose hop a row lies in."""
        found = self.between(row, row + self.hop)
        return found[0] if found else None

    def windows(self, answers: Sequence[Answer]) -> tuple[list[Answer], NDArray]:
        """Those whose windows are still there, and these windows (n, window, channels)."""
        kept = [answer for answer in answers if self.whole and answer.start >= self.ring.first]
        cut = [self.ring.rows(answer.start, answer.stop) for answer in kept]
        shape = (0, self.window, self.ring.channels)
        return kept, np.stack(cut) if cut else np.empty(shape, self.ring.rows(0, 0).dtype)

    def tape(self) -> Tape:
        """What is kept, as `ditmos stream --record` would have written it: back to where a sensor's samples broke
        off."""
        answers = self._in_step([a for a in self.last(ANSWERS) if self.whole and a.start >= self.ring.first])
        tape = Tape(self.window, self.hop, self.signal.class_names, self.rate)
        tape.counts = self.counts
        if answers:
            first = answers[0]
            list(tape.pass_on([self.ring.rows(first.start, answers[-1].stop)]))
            for number, answer in enumerate(answers):
                tape.add(replace(answer.result, number=number), answer.when - first.when)
        return tape

    def _in_step(self, answers: list[Answer]) -> list[Answer]:
        """The newest ones that follow one another in whole hops."""
        first = len(answers) - 1
        while first > 0 and answers[first].start - answers[first - 1].start == self.hop:
            first -= 1
        return answers[max(first, 0) :]

    @classmethod
    def of_tape(cls, tape: Tape) -> History:
        """A recorded stream. What a tape does not say is left open: names of channels, units."""
        samples = tape.samples
        names = tuple(f"channel {i}" for i in range(samples.shape[1]))
        signal = Signal.of(tape.class_names, names, "", 1.0, tape.rate or 0.0)
        classifiers = max((r.classifier for r in tape.results if r.classifier is not None), default=0) + 1
        rate = tape.rate or _rate_of(tape)
        made = cls(signal, tape.window, tape.hop, classifiers, rate, samples.dtype, max(1, len(samples)))
        made.counts = tape.counts
        made.ring.append(samples)
        for result, when in zip(tape.results, tape.times, strict=True):
            start = result.number * tape.hop
            made.add(Answer(result, start, start + tape.window, when))
        return made


def _rate_of(tape: Tape) -> float:
    """Rows per second, from the times of its answers; 1 where those say nothing."""
    span = tape.times[-1] - tape.times[0] if len(tape.times) > 1 else 0.0
    return (len(tape.times) - 1) * tape.hop / span if span > 0 else 1.0
