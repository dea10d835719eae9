"""Instructions of a complete plan, slice by slice, from its dry run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ditmos.model.dryrun import Call
from ditmos.model.plan import NONE, Buffer, Plan
from ditmos.planner.cost import Events, LayerCost, call_events, move_events


def plan_events(plan: Plan, costs: Sequence[LayerCost], calls: Sequence[Call]) -> list[Events]:
    """Events of each slice; ``calls`` as `simulate` returns them."""
    result = [Counter({"slice": 1, "stage": part.count}) for part in plan.slices]
    for call in calls:
        stage, events = plan.stages[call.stage], result[call.slice]
        cost = costs[stage.layer]
        operands = [plan.buffers[b] for b in (stage.in0, stage.in1) if b != NONE]
        events += call_events(
            cost,
            call.rows,
            first=not call.carries,
            carry=stage.carry != NONE,
            scratch=plan.buffers[stage.scratch].size if stage.scratch != NONE else 0,
            joined=_joined(operands),
            runs=_runs(operands) if cost.shape.kind == "fc" else 0,
        )
        if call.moved:
            events += move_events(plan.buffers[stage.out].size)
        result[call.slice] = events
    return result


def _joined(operands: Sequence[Buffer]) -> bool:
    if len(operands) < 2:
        return False
    return operands[0].end == operands[1].offset and operands[0].stride == operands[1].stride


def _runs(operands: Sequence[Buffer]) -> int:
    """Pieces that a fully connected layer copies; 0 where its inputs are one aligned run of bytes."""
    runs = sum(1 if operand.stride == operand.rows else operand.channels for operand in operands)
    return 0 if runs == 1 and operands[0].offset % 4 == 0 else runs
