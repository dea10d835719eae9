"""Plans of a model file for the page, by what `ditmos plan` calls. They take seconds: for another process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ditmos.model.reader import read_model
from ditmos.model.writer import write_model
from ditmos.planner import candidate, choose, front
from ditmos.planner.cost import layer_costs
from ditmos.planner.describe import describe


def plans_of(path: Path) -> dict[str, Any]:
    """``front``: bytes and instructions of each plan, by rising bytes. ``now``: the plan in the file, described."""
    model, plan = read_model(path)
    costs = layer_costs(model.spec, model)
    here = candidate(model.spec, plan, costs)
    return {
        "front": [(c.arena, c.instructions) for c in front(model.spec, model)],
        "now": describe(model.spec, plan, costs) | {"instructions": here.instructions},
    }


def put_plan(path: Path, arena: int) -> dict[str, Any]:
    """Write the fastest plan within so many bytes into the file; the plan described.

    Raises:
        DitmosError: no plan is that small.
    """
    model, _ = read_model(path)
    chosen = choose(front(model.spec, model), arena)
    write_model(path, model, chosen.plan)
    return describe(model.spec, chosen.plan, layer_costs(model.spec, model)) | {"instructions": chosen.instructions}
