"""A training in a process of its own, `python -m ditmos.ui.trainer REQUEST`: what it says comes as lines of JSON.

It calls what `ditmos train` calls. SIGTERM stops it as Ctrl-C does: the folder holds what is done, and it goes on.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

from ditmos import atomic
from ditmos.errors import DitmosError
from ditmos.progress import TimeLeft, in_words
from ditmos.study import page
from ditmos.training.choose import Choice
from ditmos.training.learn import Task, effort_of, learn
from ditmos.training.run import REQUEST, Request, train
from ditmos.training.space import Budget
from ditmos.training.typed_toml import read
from ditmos.ui.training_job import DATA, REPORT


def say(**words: Any) -> None:
    print(json.dumps(words), flush=True)


def main(asked: dict[str, Any]) -> None:
    """Train as asked (`ditmos.ui.training_job.Wanted`)."""
    out = Path(asked["out"])
    settings = asked["settings"]
    request = Request(
        Path(asked["data"]),
        Budget(**asked["budget"]),
        asked["method"],
        asked["effort"],
        settings=read(Path(settings)) if settings else None,
        where=settings or "settings",
    )
    left = TimeLeft([])

    def begun(task: Task, reasons: list[Choice]) -> None:
        nonlocal left
        left = TimeLeft(effort_of(task))
        say(chosen=[list(reason) for reason in reasons], stages=[name for name, _ in effort_of(task)])

    def report(stage: str, done: float, note: str) -> None:
        seconds = left.after(stage, done)
        say(stage=stage, done=round(done, 3), note=note, left="" if seconds is None else in_words(seconds))

    result = train(request, out, learn, resume=(out / REQUEST).exists(), report=report, begun=begun)
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
