"""A long run: pieces of work, done one after the other until there are enough."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from _pytest.outcomes import OutcomeException, Skipped
from ditmos.locks import locked
from ledger import Ledger

FAILURES = 3  # after which a run ends
STOP = threading.Event()  # SIGTERM came

Piece = Callable[[int], tuple[int, dict[str, Any]]]


class LongRun(NamedTuple):
    """``opened(folder)`` gives what does the piece of a number: how much it came to, in ``unit``, and figures. It
    raises where something is wrong. The folder outlives the process. ``shared``: several processes may be at it at
    once, each with pieces of its own; otherwise the second one waits."""

    name: str
    wanted: int
    unit: str
    opened: Callable[[Path], AbstractContextManager[Piece]]
    shared: bool = False


def stop(*_: object) -> None:
    """Handler of SIGTERM: boards and processes of a run end with it."""
    STOP.set()
    sys.exit(143)


def carry_on(run: LongRun, folder: Path, say: Callable[[str], None]) -> str:
    """Do what is left of a run. Returns the verdict: passed, failed, or skipped where the machine lacks something."""
    ledger = Ledger(folder / f"{run.name}.json", run.name, run.wanted, run.unit)
    ledger.folder.mkdir(parents=True, exist_ok=True)
    with nullcontext() if run.shared else locked(ledger.folder / "run"):
        return _carry_on(run, ledger, say)


def _carry_on(run: LongRun, ledger: Ledger, say: Callable[[str], None]) -> str:
    failures = 0
    number = ledger.claim()
    while number is not None and failures < FAILURES:
        try:
            with run.opened(ledger.folder) as piece:
                while number is not None:
                    count, figures = piece(number)
                    ledger.done(number, count, **figures)
                    if STOP.is_set():  # and was lost in a finalizer
                        stop()
                    number = ledger.claim()
        except Skipped as reason:
            say(f"{run.name}: skipped: {reason}")
            return "skipped"
        except (Exception, OutcomeException) as error:  # whatever it is, it is kept, and the other pieces go on
            if STOP.is_set():  # of a board that could not be left in order: an error in the place of the end
                stop()
            failures += 1
            ledger.failed(number, f"{type(error).__name__}: {error}")
            say(f"{run.name} {number}: {type(error).__name__}: {error}")
            number = ledger.claim()
    state = ledger.read()
    say(f"{run.name}: {state['verdict']}, {state['count']:,} of {run.wanted:,} {run.unit} in {state['seconds']:,.0f} s")
    return state["verdict"]
