"""Progress of long work on stderr: a bar per stage on a terminal; in a log, lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

Report = Callable[[str, int, int], None]  # what is done, how many steps of it, of how many

LOG_SECONDS = 30.0  # between two lines of one stage
LEFT_SECONDS = 5.0  # of work, before it is said how long the rest takes


class Stages:
    """Shows stages as they are reported, inside a ``with`` block.

    Where stderr is no terminal, a stage prints a line when it begins, when it ends, and every ``LOG_SECONDS`` between.

    transient: a terminal is left as it was.
    """

    def __init__(self, *, transient: bool = False, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}", table_column=Column(min_width=11, no_wrap=True)),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[steps]:>9}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True)),
            console=self._console,
            transient=transient,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._printed = 0.0

    def __enter__(self) -> Stages:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def report(self, stage: str, done: int = 0, total: int | None = None, figures: str = "") -> None:
        """``done`` of ``total`` steps of a stage, None where their number is not known; ``figures``: what to show."""
        steps = "" if total is None else f"{done}/{total}"
        first = stage not in self._tasks
        if first:
            self._tasks[stage] = self._bars.add_task(stage, total=total, steps=steps, figures=figures)
        self._bars.update(self._tasks[stage], completed=done, steps=steps, figures=figures)
        if self._console.is_terminal:
            return
        now = time.monotonic()
        if first or done == total or now - self._printed >= LOG_SECONDS:
            self._printed = now
            self._console.print(f"{stage:12s}{steps:>9s}  {figures}".rstrip(), highlight=False, soft_wrap=True)


class TimeLeft:
    """How long work of several stages still takes, from what it took so far. ``stages``: name and share, in order."""

    def __init__(self, stages: Sequence[tuple[str, float]]) -> None:
        self._stages = list(stages)
        self._started: tuple[float, float] | None = None  # when, and how much was done then

    def after(self, stage: str, done: float) -> float | None:
        """Seconds left, ``done`` (0 to 1) of a stage; None as long as nobody can tell."""
        names = [name for name, _ in self._stages]
        if stage not in names:
            return None
        at, total = names.index(stage), sum(share for _, share in self._stages)
        reached = (sum(share for _, share in self._stages[:at]) + done * self._stages[at][1]) / max(total, 1e-9)
        now = time.monotonic()
        if self._started is None:
            self._started = now, reached
        since, before = self._started
        if now - since < LEFT_SECONDS or reached <= before:
            return None
        return (now - since) * (1 - reached) / (reached - before)


def in_words(seconds: float) -> str:
    """Roughly: "40 s", "3 min", "1 h 20 min"."""
    if seconds < 60:
        return f"{max(round(seconds / 10), 1) * 10} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def share(progress: Callable[[float], None], index: int, count: int) -> Callable[[float], None]:
    """What reports the progress (0 to 1) of part ``index`` of ``count`` equal ones to the progress of the whole."""
    return lambda done: progress((index + done) / count)
