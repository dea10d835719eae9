"""Any plan gives the same bytes, and C and Python agree on which plans can run."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from unittest import mock

import numpy as np
from ditmos.bench import golden
from ditmos.model import writer
from ditmos.model.dryrun import simulate
from ditmos.model.plan import NONE, BufferKind, Plan, layer_table
from ditmos.model.plan_tables import PlanError
from ditmos.model.spec import NetworkSpec
from ditmos.model.writer import encode
from ditmos.planner import front
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


def moved(rng: np.random.Generator, plan: Plan) -> Plan:
    """A plan in which one carry or output lies a few bytes, or a whole map, away from where it was."""
    movable = sorted({b for stage in plan.stages for b in (stage.out, stage.carry)} - {NONE})
    index = int(rng.choice(movable))
    buffer = plan.buffers[index]
    to = rng.choice([buffer.offset + int(rng.integers(-3, 4)) * (1 if rng.random() < 0.5 else 4), rng.integers(400)])
    if buffer.kind == BufferKind.CARRY:
        to &= ~3
    to = min(max(int(to), 0), plan.arena_size - buffer.size)
    buffers = [replace(b, offset=to) if i == index else b for i, b in enumerate(plan.buffers)]
    return replace(plan, buffers=tuple(buffers))


def nested_carries(plan: Plan, spec: NetworkSpec) -> int:
    """Carries that come into use after their stage's first call."""
    first = {}
    for call in simulate(spec, plan):
        first.setdefault(call.stage, []).append(call.carries)
    return sum(plan.stages[i].carry != NONE and not any(used[:2]) and any(used) for i, used in first.items())


def test_used_up_maps(driver):
    """Plans whose carries, line buffers and maps take the place of rows, as planned and with something out of place."""
    seen = Counter()
    for seed in (2121, 2123, 2127, 2138, 2148, 2149, 2150, 2151, 2158, 2159):
        case = golden.case(seed, windows=2, max_rows=120, max_classifiers=2)
        rng = np.random.default_rng(seed)
        vectors = golden.vectors(case)
        spec = case.model.spec
        for candidate in front(spec, case.model, once=True)[:3]:
            seen["once"] += candidate.plan.once
            seen["carries"] += nested_carries(candidate.plan, spec)
            for _ in range(20):
                plan = moved(rng, candidate.plan)
                with mock.patch.object(writer, "simulate"):
                    model = encode(case.model, plan)
                answer = driver.ask(model, vectors)
                try:
                    simulate(spec, plan)
                except PlanError as error:
                    assert answer.startswith("bad PLAN"), (seed, error, answer)
                    seen["still needed"] += "still needed" in str(error)
                else:
                    assert answer == "ok", seed
                    seen["accepted"] += 1
    assert min(seen.values()) >= 8 and len(seen) == 4, seen


def test_a_used_up_window_needs_the_flag(driver):
    case = golden.case(2150, windows=1, max_rows=120, max_classifiers=2)
    found = [c.plan for c in front(case.model.spec, case.model, once=True) if c.plan.once]
    with mock.patch.object(writer, "simulate"):
        model = encode(case.model, replace(found[0], once=False))
    assert driver.ask(model).startswith("bad PLAN.stage.in")
