"""Instructions of a complete plan, slice by slice, from its dry run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ditmos.model.dryrun import Call
from ditmos.model.padding import edge_bytes
from ditmos.model.plan import NONE, Buffer, Plan
from ditmos.planner.calls import Events, LayerCost, chunk_events, chunk_of, move_events
from ditmos.planner.cost import instructions


def plan_events(plan: Plan, costs: Sequence[LayerCost], calls: Sequence[Call]) -> list[Events]:
    """Events of each slice; ``calls`` as `simulate` returns them."""
    result = [Counter({"slice": 1, "stage": part.count}) for part in plan.slices]
    for call in calls:
        stage, events = plan.stages[call.stage], result[call.slice]
        events += _events(plan, costs[stage.layer], call)
        if call.moved:
            events += move_events(plan.buffers[stage.out].size)
        result[call.slice] = events
    return result


def cheapest(plan: Plan, options: Sequence[Sequence[LayerCost]], calls: Sequence[Call]) -> list[LayerCost]:
    """Of each layer's options the one that takes fewest instructions in the plan's buffers."""
    totals = [[0.0] * len(choice) for choice in options]
    for call in calls:
        layer = plan.stages[call.stage].layer
        for i, cost in enumerate(options[layer]):
            totals[layer][i] += instructions(_events(plan, cost, call))
    return [choice[total.index(min(total))] for choice, total in zip(options, totals, strict=True)]


def _events(plan: Plan, cost: LayerCost, call: Call) -> Events:
    """Of one call, without moves."""
    stage = plan.stages[call.stage]
    operands = [plan.buffers[b] for b in (stage.in0, stage.in1) if b != NONE]
    return chunk_events(
        cost,
        chunk_of(cost.shape, call.first, call.rows, begins=not call.carries),
        carry=stage.carry != NONE,
        scratch=plan.buffers[stage.scratch].size if stage.scratch != NONE else 0,
        joined=_joined(operands),
        runs=_runs(operands) if cost.shape.kind == "fc" else 0,
        edge=edge_bytes(cost.shape, stage.chunk),
    )


def _joined(operands: Sequence[Buffer]) -> bool:
    if len(operands) < 2:
        return False
    return operands[0].end == operands[1].offset and operands[0].stride == operands[1].stride


def _runs(operands: Sequence[Buffer]) -> int:
    """Pieces that a fully connected layer copies; 0 where its inputs are one aligned run of bytes."""
    runs = sum(1 if operand.stride == operand.rows else operand.channels for operand in operands)
    return 0 if runs == 1 and operands[0].offset % 4 == 0 else runs
