"""`ditmos train` with a forest: from a data set to a folder with a model, as `training.run`.

RUN/model.dtm      the model, planned
RUN/run.json       the row
RUN/network        of forest-first, the training of the network behind, unless another run is named

A run that was stopped goes on with what is in RUN/work; the forest, which takes a minute, grows anew.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ditmos.atomic import write_json
from ditmos.datasets import VALIDATION
from ditmos.datasets.features import samples_of
from ditmos.errors import DitmosError
from ditmos.forest import specialists
from ditmos.forest.forest_model import Behind, assemble, check_same, with_policy
from ditmos.forest.forest_row import row
from ditmos.forest.grow import FLASH, Grown, grow
from ditmos.keep import Keep
from ditmos.model.forest import Forest
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reader import read_model
from ditmos.model.writer import write_model
from ditmos.planner import choose as choose_plan
from ditmos.planner import default, front
from ditmos.planner.forest_price import ForestPrice, forest_price, naming_price
from ditmos.planner.price import Price, planned
from ditmos.training import run
from ditmos.training.choose import Choice
from ditmos.training.learn import Report, Task, quiet
from ditmos.training.learn import learn as learn_network
from ditmos.training.run import MODEL, REQUEST, ROW, WORK, Request, asked_for, describe, finished, prepare_task
from ditmos.training.score import RESERVE
from ditmos.training.space import Budget

METHODS = ("forest", "forest-first", "specialists")
USUAL = 2.5  # mean instructions where nobody says how many, as a multiple of the forest's own
ASKED = 0.27  # share of the windows that a network behind a forest is made for
_SPECIALIST = 8192  # bytes of a specialist, at least
_HEADER = 2048  # bytes of a model file beside weights and nodes
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
    begun(task, reasons)
    write_json(out / REQUEST, wanted)
    at_work = _Run(request, out, task, wanted["data"], work, report)
    try:
        result = _made(at_work, behind) | {
            "effort": request.effort, "chosen": [[choice.what, choice.why] for choice in reasons], "asked": wanted,
            "seconds": round(time.monotonic() - started, 1),
        }  # fmt: skip
        write_json(out / ROW, result)
    except DitmosError:
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
    grown = grow(task, _flash(request, named), progress=lambda done: at.report("forest", done, ""))
    read = _read(task, grown)
    forest, budget = _price(task, grown, grown.forest, read), task.budget
    if not budget.bounded and named is None and request.method != "forest":
        budget = replace(budget, instructions=round(USUAL * forest.alone))
        task = replace(task, budget=budget)
        at.report("forest", 1.0, f"{budget.instructions:,.0f} instructions on average: no budget was named")
    if budget.instructions is not None and forest.alone > budget.instructions:
        raise DitmosError(f"forest: it takes {forest.alone:,.0f} instructions alone, more than the budget; allow more")
    behind = Behind(other)
    metadata = describe(task, at.sha)
    if request.method == "specialists":
        count = _count(task)
        settings = replace(task.settings, specialists=replace(task.settings.specialists, count=count))
        one = replace(task, settings=settings, budget=_budget_behind(task, forest, count))
        behind = Behind(*specialists.learn(one, grown, metadata))
    elif request.method == "forest-first" and named is None:
        behind = Behind(_network(at, _budget_behind(task, forest)))
    model = assemble(task, grown, behind, metadata)
    plans = front(model.spec, model)
    candidate = default(plans) if budget.ram is None else choose_plan(plans, budget.ram)
    cost = planned(model, candidate.plan) if model.spec.classifiers else Price(0, 0)
    at.report("figures", 0.0, "")
    assert model.forest
    model, figures = with_policy(task, model, _price(task, grown, model.forest, read), cost)
    size = write_model(at.out / MODEL, model, candidate.plan)
    if budget.flash is not None and size > budget.flash:
        (at.out / MODEL).unlink()
        raise DitmosError(
            f"the model file takes {size:,} bytes of flash, expected at most {budget.flash:,}; allow more"
        )
    return row(task, grown, model, figures) | {
        "method": request.method, "budget": asdict(budget), "arena_bytes": candidate.arena, "flash_bytes": size,
        "behind": str(named) if named else None, "origin": metadata["origin"], **behind.how,
    }  # fmt: skip


def _network(at: _Run, budget: Budget) -> QuantizedModel:
    """Of forest-first: the best network of a training of its own, in RUN/network."""
    folder = at.out / "network"
    resume = (folder / REQUEST).exists() or (folder / ROW).exists()
    request = replace(at.request, method="best", budget=budget)
    run.train(request, folder, learn_network, resume=resume, work=at.shared, report=at.report)
    return read_model(folder / MODEL)[0]


def _read(task: Task, grown: Grown) -> float:
    """Inner nodes that a validation window reads, the mean."""
    dataset = task.dataset
    rows, _ = samples_of(dataset)
    return grown.forest.walk(grown.summary.features(rows[dataset.part(VALIDATION)]), dataset.classes)[1]


def _price(task: Task, grown: Grown, forest: Forest, read: float) -> ForestPrice:
    dataset = task.dataset
    return forest_price(forest, grown.summary, dataset.window, len(dataset.channels), dataset.classes, read)


def _count(task: Task) -> int:
    """How many specialists: those of the settings, fewer where the flash has no room for them."""
    wanted, flash = task.settings.specialists.count, task.budget.flash
    return wanted if flash is None else max(min(wanted, _left(flash) // _SPECIALIST), 2)


def _left(flash: int) -> int:
    """Bytes that trees leave of the flash."""
    return flash - _HEADER - _forest_flash(flash)


def _budget_behind(task: Task, forest: ForestPrice, count: int = 0) -> Budget:
    """Of a decision of the network behind a forest, which is asked for a part of the windows; of one of ``count``
    specialists, if there are such.

    Raises:
        DitmosError: the forest leaves nothing of the mean instructions.
    """
    budget, config = task.budget, task.settings.specialists
    instructions, flash, macs = budget.instructions, budget.flash, budget.macs
    asked = config.asked if count else ASKED
    rest = forest.both + naming_price(count, task.dataset.classes)
    if instructions is not None:
        instructions = (RESERVE * instructions - forest.alone) / asked - rest
        if instructions <= 0:
            raise DitmosError(
                f"forest: it takes {forest.alone:,.0f} instructions alone, which leaves nothing of "
                f"{budget.instructions:,.0f} for a network; allow more"
            )
    if macs is not None:
        macs = RESERVE * macs / asked
    if flash is not None:
        flash = _left(flash) // max(count, 1)
    worst = None if budget.worst is None else budget.worst - forest.alone - rest
    return replace(budget, instructions=instructions, flash=flash, macs=macs, worst=worst)


def _forest_flash(flash: int | None) -> int:
    """Bytes of the trees where something stands behind them."""
    return FLASH if flash is None else min(FLASH, flash // 2)


def _flash(request: Request, named: Path | None) -> int:
    """Bytes for the trees: what is left of the budget beside the network, if it is there already."""
    flash = request.budget.flash
    if flash is None or (request.method != "forest" and named is None):
        return _forest_flash(flash)
    return flash - _HEADER - ((named / MODEL).stat().st_size if named else 1024)
