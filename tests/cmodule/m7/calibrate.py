"""Fits the prices of `ditmos.planner.cost`: ``python tests/cmodule/m7/calibrate.py [NETWORKS [new]]`` prints the table;
with ``new`` of what has no price yet.

Random networks under random plans run on the simulated Cortex-M7; each slice is one equation.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from ditmos.bench import baremetal, golden
from ditmos.model import packings
from ditmos.model.dryrun import simulate
from ditmos.model.plan import Plan, layer_table
from ditmos.model.plan_tables import PlanError
from ditmos.model.quantized import QuantizedModel
from ditmos.model.writer import encode
from ditmos.planner import cost
from ditmos.planner.events import plan_events

sys.path.insert(0, str(Path(__file__).parents[1]))
from random_plans import random_plan


def experiments(count: int, seed: int = 1) -> list[tuple[golden.Case, Plan]]:
    """Networks with one classifier, each with a plan that runs, weights packed for the M7."""
    rng = np.random.default_rng(seed)
    found: list[tuple[golden.Case, Plan]] = []
    number = 10_000 * seed
    while len(found) < count:
        number += 1
        case = golden.case(number, windows=1, max_classifiers=1)
        spec = case.model.spec
        kernels = {"conv": (packings.LANES, packings.QUADS), "fc": (packings.WIDE,)}
        chosen = [int(rng.choice(kernels.get(s.kind, (packings.PLAIN,)))) for s in layer_table(spec)]
        plan = replace(random_plan(rng, spec), packings=tuple(chosen))
        try:
            simulate(spec, plan)
        except PlanError:
            continue  # random plans may be wrong in one way
        found.append((case, plan))
    return found


def observe(items: list[tuple[golden.Case, Plan]]) -> list[tuple[cost.Events, int]]:
    """Events and counted instructions of each slice."""
    files = [(encode(case.model, plan), golden.vectors(case)) for case, plan in items]
    runs = baremetal.run_models(baremetal.build_models(), files)
    result = []
    for (case, plan), run in zip(items, runs, strict=True):
        assert run.differing == 0, f"seed {case.seed}"
        result += zip(slice_events(case.model, plan), run.slices, strict=True)
    return result


def slice_events(model: QuantizedModel, plan: Plan) -> list[cost.Events]:
    weights = (*model.selector, *model.classifiers[0])
    layers = zip(layer_table(model.spec), plan.packings, weights, strict=True)
    costs = [cost.layer_cost(shape, packing, [layer]) for shape, packing, layer in layers]
    return plan_events(plan, costs, simulate(model.spec, plan))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    known = cost.PRICES if "new" in sys.argv else cost.LOOPS
    prices, errors = cost.fit(observe(experiments(count)), known)
    print("FITTED: dict[str, float] = {")
    for name, price in prices.items():
        print(f'    "{name}": {price:.2f},')
    print("}")
    print(f"# {len(errors)} slices of {count} networks: error {np.sqrt(np.mean(errors**2)):.1%} rms", end=", ")
    print(f"{np.abs(errors).max():.1%} at most")


if __name__ == "__main__":
    main()
