"""Progress of long work on stderr: a bar per stage on a terminal; in a log, lines."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

Report = Callable[[str, int, int], None]  # what is done, how many steps of it, of how many

LOG_SECONDS = 30.0  # between two lines of one stage


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
