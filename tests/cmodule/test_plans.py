"""Any plan gives the same bytes, and C and Python agree on which plans can run."""

from __future__ import annotations

from collections import Counter
from unittest import mock

import numpy as np
from ditmos import golden
from ditmos.modelfile import encode, writer
from ditmos.plan import NONE, Plan, layer_table
from ditmos.planner.simulate import PlanError, simulate
from ditmos.spec import NetworkSpec
from random_plans import random_plan


def traits(spec: NetworkSpec, plan: Plan) -> set[str]:
    """What a plan makes use of."""
    rows = [layer.rows_out for layer in layer_table(spec)]
    selector = len(spec.selector_layers())
    classify = [s for part in plan.slices if part.phase == "classify" for s in plan.stages[part.first :][: part.count]]
    found = {
        "line buffer": any(plan.buffers[stage.out].rows < rows[stage.layer] for stage in plan.stages),
        "carry": any(stage.carry != NONE for stage in plan.stages),
        "scratch": any(stage.scratch != NONE for stage in plan.stages),
        "computed again": any(stage.layer < selector for stage in classify),
        "long slice": any(part.count >= 4 for part in plan.slices),
    }
    return {name for name, present in found.items() if present}


def test_random_plans(driver):
    seen = Counter()
    for case in golden.cases(80, 1000, windows=3, max_classifiers=4):
        rng = np.random.default_rng(case.seed)
        vectors = golden.vectors(case)
        for i in range(4):
            plan = random_plan(rng, case.model.spec)
            with mock.patch.object(writer, "simulate"):  # it refuses bad plans
                model = encode(case.model, plan)
            answer = driver.ask(model, vectors, offset=i)
            try:
                simulate(case.model.spec, plan)
            except PlanError as error:
                assert answer.startswith("bad PLAN.stage.out"), (case.seed, i, error)
                assert answer.endswith("line buffer overruns"), (case.seed, i, error)
                seen["refused"] += 1
            else:
                assert answer == "ok", (case.seed, i)
                seen.update(traits(case.model.spec, plan))
    assert len(seen) == 6, seen
    assert min(seen.values()) >= 40, seen
