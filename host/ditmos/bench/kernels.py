"""Kernels and plans on the simulated Cortex-M7: what `ditmos bench kernels` measures.

Instructions are counted exactly, on programs without an operating system; what MicroPython adds is measured on the
simulated board. Every run is compared with the reference, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ditmos.bench import baremetal
from ditmos.bench.layers import measure_networks, measure_shapes
from ditmos.bench.measured import Measured, Say, plan_cycles, profile_plan, run_plans, slice_rows, trained_like
from ditmos.bench.peers import MEASURED, REFERENCE
from ditmos.bench.python_cost import measure_python
from ditmos.model import packings
from ditmos.model.plan import Plan
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reader import read_model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, reference_spec
from ditmos.planner import choose, default, front
from ditmos.planner.cost import layer_costs
from ditmos.planner.describe import unsliced
from ditmos.planner.front import DTCM

BALANCED, SMALLEST, CONVENTIONAL = 1450, 820, 1549  # bytes of arena


def reference_model() -> QuantizedModel:
    """METHOD's network; weights with the long tails that trained ones have, each channel scaled to +-127."""
    return trained_like(reference_spec())


def wide_layer_model() -> QuantizedModel:
    """One convolution, 32 -> 32 channels, kernel 9, 128 rows, with a small head behind it."""
    return trained_like(NetworkSpec(128, 32, 4, 1, BranchSpec((ConvSpec(32, 9),))))


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
    portable = baremetal.build_models(portable=True)  # with -O2
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
    usual = by_plan[id(default(candidates).plan)]
    report("reference network: other cores")
    other_cores = {}
    for core in (baremetal.M4, baremetal.M33):
        program = baremetal.build_models(core=core)
        other_cores[core.cpu] = run_plans(program, model, [fastest.plan], core)[0].instructions
    report("reference network: portable C")
    beside = run_plans(portable, model, [plain(fastest.plan)])[0]
    report("reference network: profile")
    slices = slice_rows(elf, fastest, model, beside, profile_plan(elf, model, fastest.plan))
    report("32 -> 32 channels")
    wide = wide_layer_model()
    wide_plan = front(wide.spec, wide)[-1].plan
    wide_run, wide_blocks = run_plans(elf, wide, [wide_plan])[0], profile_plan(elf, wide, wide_plan)
    wide_layer = slice_rows(elf, wide_run, wide, blocks=wide_blocks)[1]
    shapes, shape_rows = measure_shapes(elf, report)
    networks, network_rows = measure_networks(elf, report)
    report("MicroPython on the simulated board")
    python = measure_python(model, fastest, firmware)
    report("reference network: cycles of each plan")
    points = {key: _point(elf, model, m) for key, m in by_plan.items()}
    estimated = points[id(fastest.plan)]["cycles"]
    result = {
        "rows": [
            _row("reference, fastest plan, instructions", fastest.instructions, 136_000),
            _row("reference, fastest plan, instructions against CMSIS-NN", fastest.instructions, REFERENCE[0] / 1.5),
            _row("reference, fastest plan, estimated cycles", estimated, 125_000),
            _row("reference, fastest plan, estimated cycles against CMSIS-NN", estimated, REFERENCE[1] / 1.25),
            _row("reference, default plan, instructions", usual.instructions, 136_000),
            _row("reference, default plan, arena bytes", usual.run.arena_bytes, DTCM),
            _row("reference, balanced plan, arena bytes", balanced.run.arena_bytes, BALANCED),
            _row("reference, balanced plan, instructions", balanced.instructions, 190_000),
            _row("reference, smallest plan, arena bytes", smallest.run.arena_bytes, SMALLEST),
            _row("reference, smallest plan, instructions", smallest.instructions, 258_940),
            _row("reference, sliced plan, arena bytes", sliced.run.arena_bytes, CONVENTIONAL),
            _row("sliced / unsliced instructions", round(sliced.instructions / measured[-1].instructions, 3), 1.06),
            _row("Python around one inference, instructions", python["overhead"], 3_366),
            _row("32->32 k9 p2, 128 rows, instructions per MAC", wide_layer["instructions_per_mac"], 0.65),
            *network_rows,
            *shape_rows,
        ],
        "peers": MEASURED,
        "shapes": shapes,
        "networks": networks,
        "reference": {
            "macs": spec.macs,
            "fastest": {"arena_bytes": fastest.run.arena_bytes, "slices": slices},
            "portable_instructions": beside.instructions,
            "other_cores": other_cores,
            "unsliced": points[id(whole.plan)],
            "front": [points[id(m.plan)] for m in measured[:-1]],
            "front_once": [points[id(m.plan)] for m in measured_once],
            "smallest_with_a_second_classify": points[id(again.plan)],
        },
        "wide_layer": wide_layer,
        "python": python,
        "models": [_exported(path, elf, report) for path in models],
    }
    return result


def _point(elf: Path, model: QuantizedModel, m: Measured) -> dict[str, Any]:
    return {
        "name": m.plan.name,
        "arena_bytes": m.run.arena_bytes,
        "instructions": m.instructions,
        "cycles": plan_cycles(elf, model, m.plan),
        "once": m.plan.once,
    }


def _row(name: str, value: float | None, bar: float) -> dict[str, Any]:
    return {"name": name, "value": value, "bar": bar}


def _exported(path: Path, elf: Path, report: Say) -> dict[str, Any]:
    """A model file with the plan it carries."""
    report(str(path))
    model, plan = read_model(path)
    measured = run_plans(elf, model, [plan])[0]
    rows = slice_rows(elf, measured, model, None, profile_plan(elf, model, plan))
    return {
        "model": path.name,
        "plan": plan.name,
        "arena_bytes": measured.run.arena_bytes,
        "instructions": measured.instructions,
        "slices": rows,
    }
