"""Which policy decides on a board, and which is to: exchanged inside of the running stream."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from ditmos.errors import DitmosError
from ditmos.link.repl import BoardError
from ditmos.link.stream import Stream
from ditmos.model.policy import Policy


@dataclass(frozen=True)
class Applied:
    """A policy that answers: ``seconds`` from asking for it to its first answer; ``number`` of that answer."""

    version: int
    seconds: float
    number: int


@dataclass(frozen=True)
class _Change:
    policy: Policy | None
    version: int
    asked: float
    future: Future[Applied]

    def fail(self, error: DitmosError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Exchange:
    """Any thread asks; all else is for the thread that attends the board.

    Results are numbered as the history numbers them. ``policy``: None for the board's own. ``trouble``: what the last
    policy that failed has raised.
    """

    def __init__(self) -> None:
        self.policy: Policy | None = None
        self.version = 0
        self.trouble: BoardError | None = None
        self.stream: Stream | None = None
        self._lock = threading.Lock()
        self._wanted: _Change | None = None
        self._taken: deque[tuple[int, _Change]] = deque()  # the board has it; from which result on
        self._first = 0  # result of the stream

    def ask(self, policy: Policy | None, version: int) -> Future[Applied]:
        """Have a policy decide from now on, in the stream that runs, or the next one."""
        change = _Change(policy, version, time.monotonic(), promise())
        with self._lock:
            try:
                if self.stream:
                    self.stream.exchange(policy, partial(self._told, change, self._first))
            except DitmosError as error:
                change.fail(error)
                return change.future
            overtaken, self._wanted = self._wanted, change
        if overtaken:
            overtaken.fail(DitmosError("another policy came before this one answered"))
        return change.future

    def begin(self, first: int, make: Callable[[Policy | None], Stream]) -> Stream:
        """A stream with the policy that is wanted, whose first result is number ``first``."""
        with self._lock:
            change = self._wanted
            self.stream = make(change.policy if change else self.policy)
            self._first = first
            self._taken = deque([(first, change)] if change else [])
            return self.stream

    def end(self) -> None:
        """There is no stream any more."""
        with self._lock:
            self.stream = None

    def answers(self, number: int) -> int:
        """The version that result ``number``, the newest, is of."""
        while self._taken and number >= self._taken[0][0]:
            _, change = self._taken.popleft()
            self.policy, self.version, self.trouble = change.policy, change.version, None
            self._settle(change)
            if not change.future.done():
                change.future.set_result(Applied(change.version, time.monotonic() - change.asked, number))
        return self.version

    def raised(self, error: BoardError) -> bool:
        """A policy has raised. The one before decides again, or the board's own; False where that one has raised."""
        self.trouble = error
        if self._taken:
            while self._taken:
                self._refuse(self._taken.popleft()[1], error)
            return True
        if self.policy is None:
            return False
        self.policy, self.version = None, 0
        return True

    def drop(self, error: DitmosError) -> None:
        """What is wanted will not come."""
        if change := self._wanted:
            self._settle(change)
            change.fail(error)

    def forget(self) -> None:
        """Another model: its own policy decides."""
        self.policy, self.version = None, 0

    def _told(self, change: _Change, first: int, number: int, error: str) -> None:
        """By the stream: ``number`` counts from its first result."""
        if error and self.stream:
            self._refuse(change, BoardError(self.stream.board.port, error))
        else:
            self._taken.append((first + number, change))

    def _refuse(self, change: _Change, error: BoardError) -> None:
        self.trouble = error
        self._settle(change)
        change.fail(error)

    def _settle(self, change: _Change) -> None:
        with self._lock:
            if self._wanted is change:
                self._wanted = None


def promise() -> Future:
    """A future that cannot be cancelled: a page that is closed ends no job."""
    made: Future = Future()
    made.set_running_or_notify_cancel()
    return made
