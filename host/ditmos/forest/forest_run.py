"""`ditmos train` with a forest: from a data set to a folder with a model, as `training.run`.

RUN/model.dtm      the model, planned
RUN/run.json       the row
RUN/settings.toml  every choice that it has read
RUN/predictions.npz  what the model says of every test window
RUN/network        of forest-first, the training of the network behind, unless another run is named

A run that was stopped goes on with what is in RUN/work.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ditmos import atomic
from ditmos.atomic import write_json
from ditmos.datasets import TEST, VALIDATION
from ditmos.errors import DitmosError
from ditmos.forest import refit, room, specialists
from ditmos.forest.choice import chosen_size, judged, price_of, read_by_a_tree, with_setting
from ditmos.forest.forest_model import Behind, assemble, check_same, front_of
from ditmos.forest.forest_row import row
from ditmos.forest.grow import Grown, grow, regrow
from ditmos.frontends.window_summary import summary_for
from ditmos.keep import Keep
from ditmos.model.reader import read_model
from ditmos.model.spec import without_network
from ditmos.model.writer import write_model
from ditmos.planner import chip, default, front
from ditmos.planner import choose as choose_plan
from ditmos.planner.budget import Budget, NothingFits, Taken, plans_of
from ditmos.planner.fed import describe_front
from ditmos.planner.forest_price import ForestPrice
from ditmos.planner.price import Price, planned
from ditmos.training import run
from ditmos.training.choose import Choice
from ditmos.training.learn import Report, Task, quiet
from ditmos.training.learn import learn as learn_network
from ditmos.training.predictions import Predictions
from ditmos.training.run import (
    MODEL,
    REQUEST,
    ROW,
    SETTINGS,
    WORK,
    Request,
    asked_for,
    describe,
    finished,
    prepare_task,
    settings_read,
)
from ditmos.training.typed_toml import render

METHODS = ("forest", "forest-first", "specialists")
Begun = Callable[[Task, list[Choice]], None]


@dataclass(frozen=True)
class _Run:
    """A training at work. sha: of the data as they are; shared: where unfinished work is kept, if others share it."""

    request: Request
    out: Path
    task: Task
    sha: str
    shared: Path | None
    report: Report


def train(
    request: Request, out: Path, behind: Path | None = None, *, resume: bool = False, work: Path | None = None,
    report: Report = quiet, begun: Begun = lambda task, reasons: None,
) -> dict[str, Any]:  # fmt: skip
    """Grow a forest, alone or before a network or specialists; writes the folder and returns the row.

    Args:
        behind: of forest-first, the folder of a finished training whose network is asked; None: one is trained.
        work: where unfinished work is kept, if others share it; else in ``out``, until the run is finished.
        begun: called when everything is chosen.

    Raises:
        DitmosError: the folder holds another run, nothing keeps the budget, the network is for other windows.
    """
    wanted = asked_for(request) | {"behind": str(behind.resolve()) if behind else None}
    if (found := finished(out, wanted, resume)) is not None:
        return found
    started = time.monotonic()
    task, reasons = prepare_task(request, Keep(work or out / WORK), report, every_channel=True)
    torch.set_num_threads(task.settings.threads)
    begun(task, reasons)
    write_json(out / REQUEST, wanted)
    at_work = _Run(request, out, task, wanted["data"], work, report)
    try:
        result = _made(at_work, behind) | {
            "effort": request.effort, "chosen": [[choice.what, choice.why] for choice in reasons], "asked": wanted,
            "seconds": round(time.monotonic() - started, 1),
        }  # fmt: skip
        atomic.write(out / SETTINGS, render(settings_read(task, request)).encode())
        write_json(out / ROW, result)
    except DitmosError as error:
        if isinstance(error, NothingFits) and work is None:
            task.keep.clear()
        if not any(path.name != REQUEST for path in out.iterdir()):  # nothing to go on with
            shutil.rmtree(out)
        raise
    if work is None:
        task.keep.clear()
    (out / REQUEST).unlink()
    report("figures", 1.0, "")
    return result


def _made(at: _Run, named: Path | None) -> dict[str, Any]:
    """The model file, and its row."""
    task, request = at.task, at.request
    other = None
    if named:
        other = read_model(named / MODEL)[0]
        check_same(other, task, named)
    end = front_of(task, summary_for(task.dataset.window))
    task = replace(task, budget=replace(task.budget, front=Taken.by(end, task.dataset.window)))
    if task.budget.ram is not None and (named or request.method == "forest"):  # before anything grows
        alone = without_network(task.dataset.window, len(task.dataset.channels), task.dataset.classes)
        choose_plan(plans_of(other.spec if other else alone, task.budget), task.budget.ram)
    beside = (named / MODEL).stat().st_size if named else 0 if request.method == "forest" else None
    size = room.trees_flash(task, beside)
    share = room.SHARE if beside is None else 1.0
    grown = grow(task, size, room.instructions(task, share), progress=lambda done: at.report("forest", done, ""))
    read = read_by_a_tree(task, grown)
    grown = room.within(task, grown, price_of(task, grown, grown.forest, read), size, alone=beside is not None)
    forest, budget = price_of(task, grown, grown.forest, read), task.budget
    if not budget.bounded and named is None and request.method != "forest":
        budget = replace(budget, instructions=round(room.USUAL * forest.alone))
        task = replace(task, budget=budget)
        most = f"{budget.instructions:,.0f} instructions on average"
        at.report("forest", 1.0, f"{most}: no bound on what is computed was named")
    metadata = describe(task, at.sha)
    try:
        behind = _behind(at, task, grown, forest, metadata) if other is None else Behind(other)
    except NothingFits as error:
        time = f"{forest.alone:,.0f} instructions ({chip.microseconds(forest.alone):,.0f} us)"
        raise NothingFits(f"behind a forest of {time}, within {budget} in all: {error}") from None
    model = assemble(task, grown, behind, metadata)
    plans = front(model.spec, model)
    candidate = default(plans) if budget.ram is None else choose_plan(plans, budget.ram)
    cost = planned(model, candidate.plan) if model.spec.classifiers else Price(0, 0)
    grown, setting = chosen_size(task, grown, behind, cost, read, metadata)
    model = assemble(task, grown, behind, metadata)
    validation = judged(task, grown, model, setting, cost, read, VALIDATION)
    more = refit.more_people(task, grown) if task.settings.refit else None
    if more and more.helps:
        metadata["origin"]["learned"] = ["train", "validation"]
        grown, behind = _again(at, refit.together(task), grown, behind, metadata)
        model = assemble(task, grown, behind, metadata)
    model = with_setting(model, setting)
    at.report("figures", 0.0, "")
    size = write_model(at.out / MODEL, model, candidate.plan)
    if budget.flash is not None and size > budget.flash:
        (at.out / MODEL).unlink()
        raise DitmosError(
            f"the model file takes {size:,} bytes of flash, expected at most {budget.flash:,}; allow more"
        )
    test = judged(task, grown, model, setting, cost, read, TEST)
    Predictions.of(task.dataset, test.outcome.label).save(at.out)
    return row(task, grown, model, validation, test) | {
        "method": request.method, "budget": budget.limits, "arena_bytes": candidate.arena, "flash_bytes": size,
        "front_end": task.front_end and describe_front(task.front_end, task.dataset.window),
        "behind": str(named) if named else None, "origin": metadata["origin"], "refit": more and more.to_dict(),
        **behind.how,
    }  # fmt: skip


def _behind(at: _Run, task: Task, grown: Grown, forest: ForestPrice, metadata: dict[str, Any]) -> Behind:
    """What is trained to be asked behind a forest. Raises NothingFits where the forest leaves too little."""
    if at.request.method == "forest":
        return Behind()
    if at.request.method == "forest-first":
        return _network(at, room.behind(task, forest))
    count = room.specialists_within(task)
    settings = replace(task.settings, specialists=replace(task.settings.specialists, count=count))
    one = replace(task, settings=settings, budget=room.behind(task, forest, count))
    return Behind(*specialists.learn(one, grown, metadata))


def _again(at: _Run, task: Task, grown: Grown, behind: Behind, metadata: dict[str, Any]) -> tuple[Grown, Behind]:
    """Forest and specialists from the windows of ``task``, all else as it was chosen; a network behind stays."""

    def report(stage: str, done: float, note: str) -> None:
        at.report("again", done, f"with the validation people, {stage}")

    grown = regrow(task, grown)
    if behind.centres is not None and behind.network:
        count = len(behind.centres)
        settings = replace(task.settings, specialists=replace(task.settings.specialists, count=count))
        known = replace(task, settings=settings, report=report)
        again = specialists.learn(known, grown, metadata, replace(behind.network.spec, classifiers=1))
        behind = Behind(again.model, again.centres, behind.how)
    at.report("again", 1.0, "")
    return grown, behind


def _network(at: _Run, budget: Budget) -> Behind:
    """Of forest-first: the best network of a training of its own, in RUN/network."""
    folder = at.out / "network"
    resume = (folder / REQUEST).exists() or (folder / ROW).exists()
    request = replace(at.request, method="best", budget=budget)
    found = run.train(request, folder, learn_network, resume=resume, work=at.shared, report=at.report)
    return Behind(read_model(folder / MODEL)[0], how={key: found[key] for key in ("stages", "curve", "loses")})
