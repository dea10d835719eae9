"""A training by any method, and its rivals: what `ditmos train` and the page of `ditmos ui` both call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ditmos.errors import DitmosError
from ditmos.forest import forest_run, room
from ditmos.paper import method as paper
from ditmos.training import learn as learn_method
from ditmos.training import linear
from ditmos.training.choose import Choice
from ditmos.training.learn import Learned, Report, Task, learn
from ditmos.training.run import REQUEST, ROW, Request, train
from ditmos.training.score import RESERVE
from ditmos.training.settings import Method, only_read

LEARNERS: dict[str, Callable[[Task], Learned]] = {"paper": paper.learn, "linear": linear.learn}  # of the others: learn
RIVALS: tuple[Method, ...] = ("wide", "exit")


@dataclass(frozen=True)
class Watcher:
    """Who is told of one training: how far it is, and, when it begins, what was chosen."""

    report: Report
    begun: Callable[[Task, list[Choice]], None]


Watch = Callable[[], AbstractContextManager[Watcher]]  # called for each training that an order takes


@dataclass(frozen=True)
class Order:
    """out: folder of the run. resume: go on with an unfinished run. behind: of forest-first, the run whose network is
    asked; None: one is trained, best. compare: also the rivals at the same cost, in folders of ``out``."""

    request: Request
    out: Path
    resume: bool = False
    behind: Path | None = None
    compare: bool = False


def fulfil(order: Order, watch: Watch) -> dict[str, Any]:
    """Train as ordered -> the row of the run, with ``rivals`` by name where they were asked for.

    Raises:
        DitmosError: as `ditmos.training.run.train`; a network behind a method that has none.
    """
    request, out = order.request, order.out
    if order.behind is not None and request.method != "forest-first":
        raise DitmosError(f"train: --behind is for --method forest-first, not for {request.method}")
    result = _one(request, out, watch, resume=order.resume, behind=order.behind)
    if order.compare:
        result["rivals"] = {}
        for name in RIVALS:
            said = {key: table for key, table in (request.settings or {}).items() if key != "network"}  # its own shape
            rival = replace(request, method=name, settings=only_read(said, name))
            result["rivals"][name] = _one(rival, out / "rivals" / name, watch, resume=True)
    return result


def effort_of(task: Task) -> list[tuple[str, float]]:
    """Stages in order and about how long each takes, for the time that is left."""
    if task.method in ("forest", "linear"):
        return [(task.method, 1.0)]
    if task.method in forest_run.METHODS:
        return _with_a_forest(task)
    return paper.effort_of(task) if task.method == "paper" else learn_method.effort_of(task)


_GROWING, _VOTING = 3e7, 1e7  # multiply-accumulates that take as long, a training window: the forest, out-of-fold votes


def _with_a_forest(task: Task) -> list[tuple[str, float]]:
    """Of a forest and what stands behind it, whose size is what the forest leaves of the budget."""
    windows, budget = len(task.parts.train), task.budget
    if budget.instructions is not None:
        asked = task.settings.specialists.asked if task.method == "specialists" else room.ASKED
        budget = replace(budget, instructions=(RESERVE - room.SHARE) * budget.instructions / asked)
    stages = learn_method.effort_of(replace(task, budget=budget))
    if task.method == "specialists":  # as many are tuned in integers at once
        last, share = stages.pop()
        stages = [*stages[:-1], ("specialists", _VOTING * windows), stages[-1]]
        stages.append((last, share * max(task.settings.specialists.count / 4, 1)))
    stages = [("forest", _GROWING * windows), *stages]
    learned = [work for name, work in stages if name != "search" and (task.method == "specialists" or name == "forest")]
    return [*stages, ("again", sum(learned))] if task.settings.refit else stages


def _one(request: Request, out: Path, watch: Watch, *, resume: bool, behind: Path | None = None) -> dict[str, Any]:
    resume = resume and ((out / REQUEST).exists() or (out / ROW).exists())
    with watch() as watcher:
        return _trainer(request.method, behind)(request, out, resume=resume, report=watcher.report, begun=watcher.begun)


def _trainer(method: str, behind: Path | None) -> Callable[..., dict[str, Any]]:
    """What trains by a method."""
    if method in forest_run.METHODS:
        return partial(forest_run.train, behind=behind)
    return partial(train, learn=LEARNERS.get(method, learn))
