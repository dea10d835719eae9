"""One model under one plan on the simulated Cortex-M7: bytes, instructions by slice, equal to the reference or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ditmos.bench import baremetal, cycles, golden
from ditmos.bench.blocks import Blocks, profile
from ditmos.errors import DitmosError
from ditmos.model.lanes import LANE_HALF, LANE_STRETCH
from ditmos.model.layer_shape import LayerShape
from ditmos.model.plan import Plan, layer_table
from ditmos.model.quantized import QuantizedLayer, QuantizedModel
from ditmos.model.spec import NetworkSpec
from ditmos.model.writer import encode

SEED = 0
WINDOWS = 4  # checked on each plan, with every classifier

Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """One model under one plan: bytes, instructions by slice, equal to the reference or not."""

    plan: Plan
    run: baremetal.ModelRun

    @property
    def instructions(self) -> int:
        return self.run.instructions


def trained_like(spec: NetworkSpec) -> QuantizedModel:
    """Random weights, quantised as `ditmos train` does it: channels a little over the lane bound are scaled down."""
    model = golden.random_model(np.random.default_rng(SEED), spec, golden.Style.TRAINED)

    def under_bound(layers: Sequence[QuantizedLayer], shapes: Sequence[LayerShape]) -> tuple[QuantizedLayer, ...]:
        return tuple(_under_bound(a) if b.kind == "conv" else a for a, b in zip(layers, shapes, strict=True))

    classifier = spec.classifier_layers()
    return replace(
        model,
        selector=under_bound(model.selector, spec.selector_layers()),
        classifiers=tuple(under_bound(layers, classifier) for layers in model.classifiers),
    )


def _under_bound(layer: QuantizedLayer) -> QuantizedLayer:
    weight, bias = layer.weight.astype(float), layer.bias.astype(float)
    bound = 128 * np.abs(weight).sum(axis=(1, 2)) + np.abs(bias)
    factor = np.minimum(1, (LANE_HALF - 1) / bound / 1.01)
    factor[factor < 1 / LANE_STRETCH] = 1
    return replace(
        layer,
        weight=np.rint(weight * factor[:, None, None]).astype(np.int8),
        bias=np.rint(bias * factor).astype(np.int32),
        multiplier=np.minimum(layer.multiplier / factor, 2**31 - 1).astype(np.int32),
    )


def vectors(model: QuantizedModel, windows: int = WINDOWS) -> bytes:
    rng = np.random.default_rng(SEED)
    return golden.vectors(golden.Case(SEED, model, golden.random_windows(rng, model.spec, windows)))


def run_plans(
    elf: Path, model: QuantizedModel, plans: Sequence[Plan], core: baremetal.Core = baremetal.M7
) -> list[Measured]:
    """Raises DitmosError where a byte differs from the reference."""
    expected = vectors(model)
    runs = baremetal.run_models(elf, [(encode(model, plan), expected) for plan in plans], core=core)
    for plan, run in zip(plans, runs, strict=True):
        if run.differing:
            raise DitmosError(f"bench: plan {plan.name!r}: {run.differing} bytes differ from the reference")
    return [Measured(plan, run) for plan, run in zip(plans, runs, strict=True)]


def slice_rows(
    elf: Path,
    measured: Measured,
    model: QuantizedModel,
    portable: Measured | None = None,
    blocks: Sequence[Blocks] = (),
) -> list[dict[str, Any]]:
    """One dict per slice, the window's load first. ``blocks``: a profile of ``elf``, for loads and cycles."""
    layers = layer_table(model.spec)
    parts = [("load", 0, measured.run.load)]
    for part, count in zip(measured.plan.slices, measured.run.slices, strict=True):
        stages = measured.plan.stages[part.first : part.first + part.count]
        parts.append((f"{part.phase} {part.name}", sum(layers[stage.layer].macs for stage in stages), count))
    rows = []
    for i, (name, macs, count) in enumerate(parts):
        row: dict[str, Any] = {"slice": name, "macs": macs, "instructions": count}
        row["instructions_per_mac"] = round(count / macs, 3) if macs else None
        if portable:
            row["portable_instructions"] = (portable.run.load, *portable.run.slices)[i]
        if blocks:
            row["loads"], row["bytes_loaded"] = cycles.loads(elf, blocks[i])
            row["cycles"] = cycles.cycles(elf, blocks[i]) if cycles.find_mca() else None
        rows.append(row)
    return rows


def profile_plan(elf: Path, model: QuantizedModel, plan: Plan) -> list[Blocks]:
    """Blocks of the load and of each slice, first window, first classifier."""
    parts = profile(elf, baremetal.models_input([(encode(model, plan), vectors(model, 1))]))
    return parts[: 1 + len(plan.slices)]


def plan_cycles(elf: Path, model: QuantizedModel, plan: Plan) -> int | None:
    """Estimated cycles of one inference, as of one pass of `profile_plan`; None without llvm-mca."""
    if cycles.find_mca() is None:
        return None
    return sum(cycles.cycles(elf, part) for part in profile_plan(elf, model, plan))
