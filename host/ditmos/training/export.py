"""A trained network -> int8 model and plan: calibrated and tuned on training windows, chosen on validation windows,
planned within the budget, and held against the reference before anybody gets it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ditmos.datasets.tensors import Windows
from ditmos.errors import DitmosError
from ditmos.model.inputs import InputChannel, quantize_input
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.model.use import Use, default_use
from ditmos.model.writer import write_model
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.planner import Candidate, chip, choose, default, front, price
from ditmos.planner.price import Price
from ditmos.quantize import quantize
from ditmos.quantize.blame import losses
from ditmos.quantize.fake import FakeQuantNetwork
from ditmos.training.learn import Task
from ditmos.training.score import Margins, allowed, answer_float, answer_integer, pick_margins, score, worst_runs

LOSS = 0.01  # beyond that the layer is named
_CHECKED = 64  # windows that reference and torch are compared on
_BLAMED = 256


Loses = tuple[str, float, float]  # the layer that loses most, how much of its values, and what integers lose of value


@dataclass(frozen=True)
class Exported:
    """cost: instructions of select and of one classify by the plan. loses: where integers answer worse than floats by
    more than `LOSS`. how: what the row says."""

    model: QuantizedModel
    margins: Margins
    candidate: Candidate
    cost: Price
    loses: Loses | None
    how: dict[str, Any]


def export(task: Task, network: RoutedNetwork, metadata: dict[str, Any]) -> Exported:
    """Raises DitmosError: no plan within the RAM, none that is fast enough, integers that break a rule of
    docs/arithmetic.md."""
    parts, settings, spec, balanced = task.parts, task.settings, network.spec, task.balanced
    task.report("integers", 0.0, "calibration")
    model, tuning, fake = quantize(
        network, parts.train, parts.validation.x, signal=task.dataset.signal,
        clips=settings.int8.clips, epochs=settings.int8.epochs, seed=task.seed, metadata=metadata,
        keep=task.keep.within(f"int8-{task.digest}"), progress=lambda done: task.report("integers", done, ""),
    )  # fmt: skip
    model = replace(model, front_end=task.front_end, inputs=all_inputs(model, task))
    plans = front(spec, model)
    candidate = default(plans) if task.budget.ram is None else choose(plans, task.budget.ram)
    cost = price.planned(model, candidate.plan)
    answers = answer_integer(model, parts.validation)
    margins = pick_margins(answers, allowed(task.budget, spec, cost), balanced=balanced)
    check_worst(task.budget.dearest, cost.of(worst_runs(spec, margins)))
    model = replace(model, use=use_of(model, margins))
    check(model, fake, parts.validation)
    real, integer = (
        score(found, margins, balanced=balanced).value for found in (answer_float(network, parts.validation), answers)
    )
    how = {
        "int8_choice": asdict(tuning),
        "plans": [(plan.arena, plan.instructions) for plan in plans],
    }
    return Exported(model, margins, candidate, cost, what_loses(fake, parts.validation, real - integer), how)


def check_worst(limit: float | None, dearest: float) -> None:
    """Raises DitmosError where the dearest decision, in instructions, takes longer than it may."""
    if limit is not None and dearest > limit:
        took, most = chip.microseconds(dearest), chip.microseconds(limit)
        raise DitmosError(f"the dearest decision takes {took:,.1f} us, expected at most {most:,.1f}; allow more")


def all_inputs(model: QuantizedModel, task: Task) -> tuple[InputChannel, ...]:
    """Of every channel of a row: those that the network reads, and those that it does not."""
    if task.rows is None:
        return model.inputs
    read, rows = iter(model.inputs), task.rows
    channels = zip(rows.scales, rows.channels, rows.units, task.used, strict=True)
    return tuple(
        next(read) if used else InputChannel.of(1.0, 0, scale, name, units, used=False)
        for scale, name, units, used in channels
    )


def use_of(model: QuantizedModel, margins: Margins) -> Use:
    """The policy that the model file names: margins in steps of int8, 256 (never) where the selector does not answer,
    0 (never) where no second classifier is asked."""
    usual = default_use(model.spec)
    if margins == Margins() or usual.policy != "top1":
        return usual
    early = 256 if margins.early is None else ceil(margins.early / model.selector_scale)
    second = 0 if margins.second is None else ceil(margins.second / model.logit_scale)
    return Use("early", usual.rule, (early, second))


def what_loses(fake: FakeQuantNetwork, windows: Windows, lost: float) -> Loses | None:
    """The layer to blame (`ditmos.quantize.blame`) where integers have ``lost`` more than `LOSS` on these windows."""
    if lost <= LOSS:
        return None
    layer, part = max(losses(fake, windows.x[:_BLAMED]).items(), key=lambda item: item[1])
    return layer, part, lost


def check(model: QuantizedModel, fake: FakeQuantNetwork, windows: Windows) -> None:
    """Raises DitmosError where the reference and the network in torch differ in a single logit."""
    x = windows.x[:_CHECKED]
    reference = Model(model)
    q = quantize_input(x.numpy().transpose(0, 2, 1), model.read)
    with torch.no_grad():
        gate, logits = fake.stored(x)
    same = np.array_equal(reference.classify_batch(q), logits.numpy().astype(np.int8))
    if gate.numel():
        same = same and np.array_equal(reference.select_batch(q), gate.numpy().astype(np.int8))
    if not same:
        raise DitmosError("the reference answers differently from the network in torch: a fault of this program")


def write(file: Path, exported: Exported, flash: int | None) -> int:
    """The model file, read back; its bytes.

    Raises:
        DitmosError: more than ``flash``; the file that was there stays.
    """
    part = file.with_name(f"{file.name}.new")
    size = write_model(part, exported.model, exported.candidate.plan)
    try:
        if flash is not None and size > flash:
            raise DitmosError(f"the model file takes {size:,} bytes of flash, expected at most {flash:,}; allow more")
        read_model(part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return size
