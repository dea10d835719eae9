"""Emulated time, in core cycles."""

from __future__ import annotations

from typing import Protocol

CORE_HZ = 216_000_000
NEVER = 1 << 62


class Timed(Protocol):
    """Something that happens by itself: ``fire`` is called when the time is ``due``."""

    due: int

    def fire(self) -> None: ...


class Clock:
    """``now`` counts one cycle for each instruction that was executed and each cycle that the core slept or waited."""

    def __init__(self) -> None:
        self.now = 0
        self.waited = False  # a load advanced the time; it is executed again after what is due by then
        self._timed: list[Timed] = []

    def add(self, timed: Timed) -> None:
        self._timed.append(timed)

    @property
    def horizon(self) -> int:
        """When the next event is due."""
        return min((timed.due for timed in self._timed), default=NEVER)

    def fire(self) -> None:
        """Let everything happen that is due."""
        for timed in self._timed:
            while timed.due <= self.now:
                timed.fire()

    def wait_until(self, when: int) -> None:
        """Advance towards ``when``, at most to the next event: for registers that software polls in a loop."""
        self.now = max(self.now, min(when, self.horizon))
        self.waited = True
