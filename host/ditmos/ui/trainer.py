"""A training in a process of its own, `python -m ditmos.ui.trainer REQUEST`: what it says comes as lines of JSON.

It calls what `ditmos train` calls. SIGTERM stops it as Ctrl-C does: the folder holds what is done, and it goes on.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ditmos import atomic
from ditmos.errors import DitmosError
from ditmos.planner import chip
from ditmos.planner.budget import Budget
from ditmos.progress import TimeLeft, in_words
from ditmos.study import page
from ditmos.study.trainings import Order, Watcher, effort_of, fulfil
from ditmos.training.choose import Choice
from ditmos.training.learn import Task
from ditmos.training.run import Request
from ditmos.training.typed_toml import read
from ditmos.ui.training_job import DATA, REPORT, US


def say(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")  # at once: print() can be stopped between a line and its end
    sys.stdout.flush()


@contextmanager
def told() -> Iterator[Watcher]:
    """What one training says, as lines."""
    left = TimeLeft([])

    def begun(task: Task, reasons: list[Choice]) -> None:
        nonlocal left
        left = TimeLeft(effort_of(task))
        say(method=task.method, chosen=[[reason.what, reason.why] for reason in reasons])

    def report(stage: str, done: float, note: str) -> None:
        seconds = left.after(stage, done)
        say(stage=stage, done=round(done, 3), note=note, left="" if seconds is None else in_words(seconds))

    yield Watcher(report, begun)


def main(asked: dict[str, Any]) -> None:
    """Train as asked (`ditmos.ui.training_job.Wanted`)."""
    out = Path(asked["out"])
    settings = asked["settings"]
    limits = dict(asked["budget"])
    if (microseconds := limits.pop(US, None)) is not None:
        limits["worst"] = chip.within(microseconds)
    request = Request(
        Path(asked["data"]), Budget(**limits), asked["method"], asked["effort"], asked["seed"], asked["split"],
        read(Path(settings)) if settings else None, settings or "settings",
    )  # fmt: skip
    behind = Path(asked["behind"]) if asked["behind"] else None
    result = fulfil(Order(request, out, resume=True, behind=behind, compare=asked["compare"]), told)
    atomic.write(out / REPORT, page.page(page.gather([out]), out.name).encode())
    atomic.write_json(out / DATA, {"data": asked["data"]})
    say(result=result)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main(json.loads(sys.argv[1]))
    except DitmosError as error:
        say(error=str(error))
    except KeyboardInterrupt:
        say(error="stopped; it goes on where it was when it is started again under the same name")
