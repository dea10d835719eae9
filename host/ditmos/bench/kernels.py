"""Kernels and plans on the simulated Cortex-M7: what `ditmos bench kernels` measures.

Instructions are counted exactly, on programs without an operating system; what MicroPython adds is measured on the
simulated board. Every run is compared with the reference, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ditmos.bench import baremetal, cycles, golden
from ditmos.bench.blocks import Blocks, profile
from ditmos.bench.measured import Measured
from ditmos.bench.python_cost import measure_python
from ditmos.errors import DitmosError
from ditmos.model import packings
from ditmos.model.lanes import LANE_HALF
from ditmos.model.plan import Plan, layer_table
from ditmos.model.quantized import QuantizedLayer, QuantizedModel
from ditmos.model.reader import read_model
from ditmos.model.spec import BranchSpec, ConvSpec, LayerShape, NetworkSpec, reference_spec
from ditmos.model.writer import encode
from ditmos.planner import choose, front
from ditmos.planner.cost import layer_costs
from ditmos.planner.describe import unsliced

SEED = 0
LANE_STRETCH = 2.0  # as in ditmos.quantize.fake: how much of its range a channel may give up
WINDOWS = 4  # checked on each plan, with every classifier
BALANCED, SMALLEST, CONVENTIONAL = 1450, 820, 1549  # bytes of arena

Say = Callable[[str], None]


def reference_model() -> QuantizedModel:
    """METHOD's network; weights with the long tails that trained ones have, each channel scaled to +-127."""
    return trained_like(reference_spec())


def wide_layer_model() -> QuantizedModel:
    """One convolution, 32 -> 32 channels, kernel 9, 128 rows, with a small head behind it."""
    return trained_like(NetworkSpec(128, 32, 4, 1, BranchSpec((ConvSpec(32, 9),))))


def trained_like(spec: NetworkSpec) -> QuantizedModel:
    """Random weights, quantised as `ditmos export` does it: channels a little over the lane bound are scaled down."""
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


def run_plans(elf: Path, model: QuantizedModel, plans: Sequence[Plan]) -> list[Measured]:
    """Raises DitmosError where a byte differs from the reference."""
    expected = vectors(model)
    runs = baremetal.run_models(elf, [(encode(model, plan), expected) for plan in plans])
    for plan, run in zip(plans, runs, strict=True):
        if run.differing:
            raise DitmosError(f"bench: plan {plan.name!r}: {run.differing} bytes differ from the reference")
    return [Measured(plan, run) for plan, run in zip(plans, runs, strict=True)]


def slice_rows(
    measured: Measured, model: QuantizedModel, portable: Measured | None = None, blocks: Sequence[Blocks] = ()
) -> list[dict[str, Any]]:
    """One dict per slice, the window's load first. ``blocks``: a profile, for loads and cycles."""
    layers = layer_table(model.spec)
    parts = [("load", 0, measured.run.load)]
    for part, count in zip(measured.plan.slices, measured.run.slices, strict=True):
        stages = measured.plan.stages[part.first : part.first + part.count]
        parts.append((f"{part.phase} {part.name}", sum(layers[stage.layer].macs for stage in stages), count))
    rows = []
    elf = baremetal.BUILD / "bench" / "models.elf"
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


def plain(plan: Plan) -> Plan:
    """The same schedule, weights as portable C reads them best."""
    return replace(plan, packings=tuple(packings.PLAIN for _ in plan.packings))


def measure(models: Sequence[Path] = (), *, firmware: Path | None = None, report: Say = lambda _: None) -> dict:
    """All figures; ``rows`` are the bars of the table in docs/kernels.md.

    Raises:
        DitmosError: a tool is missing, or a result differs from the reference.
    """
    report("building")
    elf = baremetal.build_models()
    portable = baremetal.build_models(portable=True)
    report("reference network: planning")
    model = reference_model()
    spec = model.spec
    costs = layer_costs(spec, model)
    candidates = front(spec, model)
    once = front(spec, model, once=True)  # the smallest plan may use up the window
    whole = unsliced(spec, costs)
    plans = [candidate.plan for candidate in candidates]
    report(f"reference network: {len(plans)} plans on the front, {len(once)} with those for one classify a window")
    measured = run_plans(elf, model, [*plans, whole.plan])
    measured_once = run_plans(elf, model, [candidate.plan for candidate in once])
    by_plan = {id(m.plan): m for m in (*measured, *measured_once)}
    fastest = min(measured[:-1], key=lambda m: m.instructions)
    balanced, again, sliced = (by_plan[id(choose(candidates, ram).plan)] for ram in (BALANCED, SMALLEST, CONVENTIONAL))
    smallest = by_plan[id(choose(once, SMALLEST).plan)]
    report("reference network: portable C")
    beside = run_plans(portable, model, [plain(fastest.plan)])[0]
    report("reference network: profile")
    slices = slice_rows(fastest, model, beside, profile_plan(elf, model, fastest.plan))
    report("32 -> 32 channels")
    wide = wide_layer_model()
    wide_plan = front(wide.spec, wide)[-1].plan
    wide_layer = slice_rows(run_plans(elf, wide, [wide_plan])[0], wide)[1]
    report("MicroPython on the simulated board")
    python = measure_python(model, fastest, firmware)
    total = [row["cycles"] for row in slices]
    estimated = sum(total) if None not in total else None
    result = {
        "rows": [
            _row("fastest plan, instructions", fastest.instructions, 160_000),
            _row("fastest plan, estimated cycles", estimated, 125_000),
            _row("balanced plan, arena bytes", balanced.run.arena_bytes, BALANCED),
            _row("balanced plan, instructions", balanced.instructions, 190_000),
            _row("smallest plan, arena bytes", smallest.run.arena_bytes, SMALLEST),
            _row("smallest plan, instructions", smallest.instructions, 260_000),
            _row("sliced plan, arena bytes", sliced.run.arena_bytes, CONVENTIONAL),
            _row("sliced / unsliced instructions", round(sliced.instructions / measured[-1].instructions, 3), 1.06),
            _row("Python around one inference, instructions", python["overhead"], 10_000),
            _row("32 -> 32 channels, instructions / MAC", wide_layer["instructions_per_mac"], 0.65),
        ],
        "reference": {
            "macs": spec.macs,
            "fastest": {"arena_bytes": fastest.run.arena_bytes, "slices": slices},
            "portable_instructions": beside.instructions,
            "unsliced": {"arena_bytes": measured[-1].run.arena_bytes, "instructions": measured[-1].instructions},
            "front": [_point(m) for m in measured[:-1]],
            "front_once": [_point(m) for m in measured_once],
            "smallest_with_a_second_classify": _point(again),
        },
        "wide_layer": wide_layer,
        "python": python,
        "models": [_exported(path, elf, report) for path in models],
    }
    return result


def _point(m: Measured) -> dict[str, Any]:
    return {
        "name": m.plan.name,
        "arena_bytes": m.run.arena_bytes,
        "instructions": m.instructions,
        "once": m.plan.once,
    }


def _row(name: str, value: float | None, bar: float) -> dict[str, Any]:
    return {"name": name, "value": value, "bar": bar}


def _exported(path: Path, elf: Path, report: Say) -> dict[str, Any]:
    """A model file with the plan it carries."""
    report(str(path))
    model, plan = read_model(path)
    measured = run_plans(elf, model, [plan])[0]
    rows = slice_rows(measured, model, None, profile_plan(elf, model, plan))
    return {
        "model": path.name,
        "plan": plan.name,
        "arena_bytes": measured.run.arena_bytes,
        "instructions": measured.instructions,
        "slices": rows,
    }


def draw(result: dict, path: Path) -> None:
    """Instructions against arena bytes, and the bars."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for front_name, label in (("front", "sliced"), ("front_once", "sliced, one classify a window")):
        points = result["reference"][front_name]
        axes.step(
            [p["arena_bytes"] for p in points], [p["instructions"] / 1000 for p in points], where="post", label=label
        )
    whole = result["reference"]["unsliced"]
    axes.plot(whole["arena_bytes"], whole["instructions"] / 1000, "s", label="unsliced")
    for ram, bar in ((BALANCED, 190), (SMALLEST, 260)):
        axes.plot(ram, bar, "x", color="black", label="bar" if ram == BALANCED else None)
    axes.axvline(CONVENTIONAL, color="grey", linestyle=":", label="conventional network without aggregation")
    axes.set(xlabel="arena, bytes", ylabel="thousand instructions, one inference", xscale="log", ylim=(0, None))
    axes.legend()
    figure.savefig(path)
    plt.close(figure)
