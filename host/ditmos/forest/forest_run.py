"""`ditmos train --method forest` and `forest-first`: from a data set to a folder with a model, as `training.run`.

RUN/model.dtm      the model, planned
RUN/run.json       the row
RUN/network        of forest-first, the training of the network behind, unless another run is named
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ditmos import atomic
from ditmos.datasets import TEST, TRAIN, VALIDATION, load
from ditmos.datasets.features import samples_of
from ditmos.errors import DitmosError
from ditmos.forest.first import choose, opinions_of
from ditmos.forest.forest_row import Figures, row
from ditmos.forest.grow import FLASH, Grown, grow
from ditmos.frontends.frontend import FrontEnd
from ditmos.keep import Keep
from ditmos.model.forest import opinions
from ditmos.model.inputs import MAX_ZERO_POINT, InputChannel
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.model.spec import without_network
from ditmos.model.use import Use, default_use
from ditmos.model.writer import write_model
from ditmos.planner import choose as choose_plan
from ditmos.planner import default, front
from ditmos.planner.forest_price import forest_price
from ditmos.planner.price import Price, planned
from ditmos.training.choose import Choice, kind_of
from ditmos.training.learn import Report, Task, quiet
from ditmos.training.run import MODEL, ROW, WORK, Request, describe, prepare_task
from ditmos.training.space import Budget

Begun = Callable[[Task, list[Choice]], None]


def train(
    request: Request, out: Path, network: Path | None = None, report: Report = quiet,
    begun: Begun = lambda task, reasons: None, *, resume: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Grow a forest, alone or, with the folder of a finished training, before its ``network``; writes the folder and
    returns the row. ``resume``: a finished run is what was asked for; a forest that was stopped grows anew.

    Raises:
        DitmosError: the folder has a run in it, nothing keeps the budget, the network is for other windows.
    """
    if (out / ROW).exists() and resume:
        return atomic.read_json(out / ROW)
    if (out / ROW).exists():
        raise DitmosError(f"{out}: there is a finished run in it, expected a new folder")
    started = time.monotonic()
    sha = load(request.data).sha256
    task, reasons = prepare_task(replace(request, method="best"), Keep(out / WORK), report, every_channel=True)
    task = replace(task, budget=request.budget)
    kind, why = kind_of(task.dataset)
    begun(task, [choice for choice in reasons[:3] if not choice.what.startswith("front end")] + [Choice(kind, why)])
    behind = read_model(network / MODEL)[0] if network else None
    if behind:
        _check_same(behind, task, network)
    flash = _flash(request.budget.flash, network)
    grown = grow(
        task.dataset, task.parts, flash, request.seed, turned=kind == "motion", balanced=task.balanced,
        progress=lambda done: report("forest", done, ""),
    )  # fmt: skip
    quantized = QuantizedModel(**_model(task, grown, behind) | {"metadata": describe(task, sha)})
    plans = front(quantized.spec, quantized)
    candidate = default(plans) if request.budget.ram is None else choose_plan(plans, request.budget.ram)
    cost = planned(quantized, candidate.plan) if behind else Price(0, 0)
    report("figures", 0.0, "")
    quantized, figures = _figures(task, grown, quantized, cost)
    out.mkdir(parents=True, exist_ok=True)
    size = write_model(out / MODEL, quantized, candidate.plan)
    if request.budget.flash is not None and size > request.budget.flash:
        (out / MODEL).unlink()
        raise DitmosError(f"the model file takes {size:,} bytes of flash, expected at most {request.budget.flash:,}")
    result = row(task, grown, quantized, figures) | {
        "method": request.method, "budget": asdict(request.budget), "effort": request.effort,
        "arena_bytes": candidate.arena, "flash_bytes": size, "behind": str(network) if network else None,
        "origin": quantized.metadata["origin"], "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip
    atomic.write_json(out / ROW, result)
    report("figures", 1.0, "")
    return result


def budget_behind(budget: Budget) -> Budget:
    """Of the network that is trained to stand behind a forest: how often it is asked is chosen later."""
    flash = None if budget.flash is None else budget.flash - min(FLASH, budget.flash // 2)
    return replace(budget, instructions=None, flash=flash)


def _flash(bytes_allowed: int | None, network: Path | None) -> int:
    """For the trees: what is left of the budget beside the network and the rest of the file."""
    if bytes_allowed is None:
        return FLASH
    taken = (network / MODEL).stat().st_size if network else 1024
    return bytes_allowed - taken - 2048


def _check_same(model: QuantizedModel, task: Task, network: Path | None) -> None:
    dataset = task.dataset
    have = (model.spec.window, len(model.inputs), model.class_names)
    need = (dataset.window, len(dataset.channels), dataset.class_names)
    if have != need:
        raise DitmosError(
            f"{network}: its network is for windows of {have[0]} x {have[1]} and {len(have[2])} classes, the data have "
            f"{need[0]} x {need[1]} and {len(need[2])}, or classes of other names"
        )
    steps = {channel.sample_scale for channel in model.inputs}
    _, scale = samples_of(dataset)
    if steps != {float(np.float32(scale))}:
        raise DitmosError(f"{network}: its samples are in steps of {sorted(steps)}, the data's of {scale:g}")


def _model(task: Task, grown: Grown, behind: QuantizedModel | None) -> dict[str, Any]:
    """Fields of the model, but for its policy: the network's, if there is one, with the forest."""
    dataset, made = task.dataset, task.front_end
    _, scale = samples_of(dataset)
    if made:
        end = replace(made, operations=(*made.operations, grown.summary))
    else:
        end = FrontEnd((grown.summary,), dataset.fs, float(np.float32(scale)), dataset.units, dataset.channels)
    if behind:
        fields = {name: getattr(behind, name) for name in behind.__dataclass_fields__}
        return fields | {"front_end": end, "forest": replace(grown.forest, opinion=opinions(behind.logit_scale))}
    spec = without_network(dataset.window, len(dataset.channels), dataset.classes)
    return {
        "spec": spec, "selector": (), "classifiers": (), "inputs": _inputs(task, scale), "selector_scale": 1.0,
        "selector_zero_point": 0, "logit_scale": 1.0, "logit_zero_point": 0, "class_names": dataset.class_names,
        "rate": float(np.float32(dataset.fs)), "use": default_use(spec), "front_end": end,
        "forest": grown.forest,
    }  # fmt: skip


def _inputs(task: Task, scale: float) -> tuple[InputChannel, ...]:
    """int8 over the range of the training windows; a forest alone reads none of it."""
    dataset = task.dataset
    x = dataset.real(dataset.part(TRAIN)).transpose(1, 0, 2).reshape(len(dataset.channels), -1)
    found = []
    for name, low, high in zip(dataset.channels, x.min(1), x.max(1), strict=True):
        step = max(float(high - low), 1e-6) / 255
        zero_point = int(np.clip(round(-128 - float(low) / step), -MAX_ZERO_POINT, MAX_ZERO_POINT))
        found.append(InputChannel.of(step, zero_point, scale, name, dataset.units))
    return tuple(found)


def _figures(task: Task, grown: Grown, model: QuantizedModel, network: Price) -> tuple[QuantizedModel, Figures]:
    """With the policy that validation chooses, and what it is worth."""
    reference, dataset = Model(model), task.dataset
    rows, _ = samples_of(dataset)
    validation, test = (dataset.part(part) for part in (VALIDATION, TEST))
    x = grown.summary.features(rows[validation])
    read = grown.forest.walk(x, dataset.classes)[1]
    price = forest_price(grown.forest, grown.summary, dataset.window, len(dataset.channels), dataset.classes, read)
    found = {
        name: opinions_of(reference, rows[index], dataset.y[index].astype(np.int64))
        for name, index in (("validation", validation), ("test", test))
    }
    setting = None
    if model.spec.classifiers:
        setting = choose(found["validation"], reference, price, network, task.budget, balanced=task.balanced)
        model = replace(model, use=Use("first", model.use.rule, (setting.tau, setting.weight)))
    return model, Figures(found, setting, price, network, reference)
