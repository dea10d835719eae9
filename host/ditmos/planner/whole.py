"""Plans without slicing in time: every convolution computes its whole map."""

from __future__ import annotations

from collections.abc import Sequence

from ditmos.frontends.memory import Memory
from ditmos.model.layer_shape import LayerShape, MapRef
from ditmos.model.padding import edge_bytes
from ditmos.model.plan import NONE, Phase, Plan, Stage
from ditmos.model.spec import NetworkSpec
from ditmos.planner.calls import LayerCost, least_scratch, pair_scratch
from ditmos.planner.cost import layer_costs
from ditmos.planner.schedule import Schedule

_SLID_WINDOWS = 16  # of a convolution that have room in scratch: more than those of 16 new samples


def needed_maps(spec: NetworkSpec) -> set[MapRef]:
    """The selector's maps (level 0: the window) that a classifier reads."""
    return {ref for layer in spec.classifier_layers() for ref in layer.inputs if ref.branch == "selector"}


def stream_plan(spec: NetworkSpec, feed: Memory | None = None) -> Plan:
    """`whole_plan` for overlapping windows: the window and the maps of all convolutions last from one inference to the
    next, so that the device's `slide` computes only the rows that are new (cmodule/slide.h). Packed for the Cortex-M7,
    with scratch for that many rows. ``feed``: what a front end works in."""
    return whole_plan(spec, "stream", layer_costs(spec), streaming=True, feed=feed)


def whole_plan(
    spec: NetworkSpec,
    name: str = "whole",
    costs: Sequence[LayerCost] = (),
    *,
    streaming: bool = False,
    feed: Memory | None = None,
) -> Plan:
    """One slice per layer in time, one for the fully connected layers of a branch; pooling fused, no concat copy; kept
    are the selector's maps that a classifier reads. With ``costs`` for their packings, else for plain weights.
    ``feed``: what a front end works in."""
    schedule = Schedule(feed=feed)
    needed = needed_maps(spec)
    window = MapRef("selector", 0)
    maps = {window: schedule.map(spec.window, spec.channels, kept=streaming or window in needed)}
    schedule.window = maps[window]
    index = 0
    parts: tuple[tuple[Phase, Sequence[LayerShape]], ...] = (
        ("select", spec.selector_layers()),
        ("classify", spec.classifier_layers()),
    )
    for phase, layers in parts:
        head: list[Stage] = []
        previous = NONE
        for layer in layers:
            operands = [maps[ref] for ref in layer.inputs] or [previous]
            in1 = operands[1] if len(operands) > 1 else NONE
            if layer.kind != "fc":
                ref = MapRef(layer.branch, layer.inputs[0].level + 1)
                out = maps[ref] = schedule.map(
                    layer.rows_out, layer.channels_out, kept=ref in needed or (streaming and ref.branch == "selector")
                )
                size = least_scratch(costs[index], layer.rows_out) if costs else 0
                if streaming and costs[index].pairs:
                    size = max(costs[index].quad_scratch, pair_scratch(costs[index], layer.rows_out, _SLID_WINDOWS))
                size += edge_bytes(layer, layer.rows_out)
                scratch = schedule.scratch(size) if size else NONE
                schedule.slices.append((phase, [Stage(index, operands[0], out, layer.rows_out, in1, scratch=scratch)]))
            else:
                previous = schedule.map(1, layer.channels_out)
                head.append(Stage(index, operands[0], previous, 1, in1))
            index += 1
        if head:
            schedule.slices.append((phase, head))
            if phase == "select":
                schedule.selector_logits = previous
            else:
                schedule.logits = previous
    if streaming:
        schedule.lasting.update(maps.values())
    return schedule.plan(name, spec, [cost.packing for cost in costs])
