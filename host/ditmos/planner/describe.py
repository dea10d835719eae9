"""A plan in words and numbers: what each buffer holds, when it lives, what each slice costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ditmos.model.dryrun import features_last, simulate
from ditmos.model.plan import NONE, BufferKind, Plan, layer_table
from ditmos.model.spec import NetworkSpec
from ditmos.planner.calls import LayerCost
from ditmos.planner.cost import instructions
from ditmos.planner.events import plan_events
from ditmos.planner.front import Candidate, candidate
from ditmos.planner.schedule import lives
from ditmos.planner.whole import whole_plan


def buffer_names(spec: NetworkSpec, plan: Plan) -> list[str]:
    """What each buffer holds: ``window``, a layer's output by the layer's name, ``... carry``, ``scratch``."""
    layers = layer_table(spec)
    names = ["scratch"] * len(plan.buffers)
    names[plan.window] = "window"
    for stage in plan.stages:
        layer = layers[stage.layer]
        partial = plan.buffers[stage.out].rows < layer.rows_out
        names[stage.out] = f"{layer.name} rows" if partial else layer.name
        if stage.carry != NONE:
            names[stage.carry] = f"{layer.name} carry"
    return names


def kept_names(spec: NetworkSpec, plan: Plan) -> list[str]:
    """Selector maps that classify finds where select left them."""
    names = buffer_names(spec, plan)
    return [names[i] for i, buffer in enumerate(plan.buffers) if buffer.kept and i != plan.window]


def second_classify(spec: NetworkSpec, plan: Plan) -> str:
    """What a second classify of one window takes beside itself."""
    return "-" if features_last(spec, plan) else "no" if plan.once else "select"


def slice_costs(spec: NetworkSpec, plan: Plan, costs: Sequence[LayerCost]) -> list[float]:
    """Estimated instructions of each slice."""
    return [instructions(events) for events in plan_events(plan, costs, simulate(spec, plan))]


def describe(spec: NetworkSpec, plan: Plan, costs: Sequence[LayerCost]) -> dict[str, Any]:
    """Everything about a plan, for JSON. ``first`` and ``last`` of a buffer: step 0 is the window's arrival, step
    i + 1 slice i."""
    layers = layer_table(spec)
    names = buffer_names(spec, plan)
    slices = [
        {
            "name": part.name,
            "phase": part.phase,
            "instructions": round(cost),
            "macs": sum(layers[s.layer].macs for s in plan.stages[part.first : part.first + part.count]),
            "stages": [
                {
                    "layer": layers[s.layer].name,
                    "chunk": s.chunk,
                    "operands": [names[b] for b in (s.in0, s.in1) if b != NONE],
                    "carry": s.carry != NONE,
                    "scratch": s.scratch != NONE,
                }
                for s in plan.stages[part.first : part.first + part.count]
            ],
        }
        for part, cost in zip(plan.slices, slice_costs(spec, plan, costs), strict=True)
    ]
    buffers = [
        {
            "holds": name,
            "offset": buffer.offset,
            "bytes": buffer.size,
            "rows": buffer.rows,
            "channels": buffer.channels,
            "kind": BufferKind(buffer.kind).name.lower(),
            "kept": buffer.kept,
            "first": first,
            "last": last,
        }
        for buffer, name, (first, last) in zip(
            plan.buffers, names, lives(plan, durable=features_last(spec, plan)), strict=True
        )
    ]
    return {"name": plan.name, "arena_bytes": plan.arena_size, "once": plan.once, "slices": slices, "buffers": buffers}


def summary(spec: NetworkSpec, c: Candidate) -> dict[str, Any]:
    """One line of the front."""
    return {
        "name": c.plan.name,
        "arena_bytes": c.arena,
        "instructions": c.instructions,
        "macs": c.macs,
        "kept": kept_names(spec, c.plan),
        "durable": features_last(spec, c.plan),
        "once": c.plan.once,
        "slices": [part.name for part in c.plan.slices],
    }


def unsliced(spec: NetworkSpec, costs: Sequence[LayerCost], name: str = "unsliced") -> Candidate:
    """Whole maps, layer by layer, with the same kernels."""
    return candidate(spec, whole_plan(spec, name, costs), costs)
