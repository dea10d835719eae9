"""Plans: every one on the front runs, fits its figures, and is refused when it is broken."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench import golden
from ditmos.errors import DitmosError
from ditmos.model.dryrun import features_last, simulate
from ditmos.model.plan import NONE, BufferKind, Plan
from ditmos.model.plan_tables import PlanError
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, reference_spec
from ditmos.planner import Candidate, balanced, choose, default, front, stream_plan, whole_plan
from ditmos.planner.cost import layer_costs
from ditmos.planner.describe import buffer_names, describe, kept_names, unsliced
from ditmos.planner.layout import Block, layout, peak
from ditmos.planner.picture import draw

SMALL = BranchSpec((ConvSpec(4, 5), ConvSpec(6, 3), ConvSpec(3, 3)), (8,))
SPECS = {
    "aggregated": NetworkSpec(61, 2, 5, 3, SMALL, SMALL, aggregate=(1, 2)),
    "aggregated head": NetworkSpec(61, 2, 5, 3, SMALL, SMALL, aggregate=(1, 3)),
    "from a selector map": NetworkSpec(61, 3, 5, 4, BranchSpec(SMALL.convs[1:]), SMALL, start=1, aggregate=(2,)),
    "heads only": NetworkSpec(61, 2, 5, 2, BranchSpec((), (6,)), SMALL, start=3),
    "plain": NetworkSpec(61, 2, 5, 1, SMALL),
    "strides": NetworkSpec(
        90, 2, 5, 3, *[BranchSpec((ConvSpec(4, 5, 2), ConvSpec(4, 3, pool=1), ConvSpec(4, 3)), ())] * 2, aggregate=(1,)
    ),
}


@cache
def plans(name: str, durable: bool = False) -> tuple[Candidate, ...]:
    return tuple(front(SPECS[name], durable=durable))


@cache
def reference_front() -> tuple[Candidate, ...]:
    return tuple(front(reference_spec()))


@pytest.mark.parametrize("name", SPECS)
def test_front(name: str) -> None:
    """Each plan is accepted by the dry run, and trades bytes for instructions."""
    spec, candidates = SPECS[name], plans(name)
    for a, b in pairwise(candidates):
        assert a.arena < b.arena and a.instructions > b.instructions
    for c in candidates:
        calls = simulate(spec, c.plan)
        assert c.arena == c.plan.arena_size and c.arena % 4 == 0
        assert max(buffer.end for buffer in c.plan.buffers) <= c.arena
        rows: dict[int, int] = {}
        for call in calls:
            assert call.first == rows.get(call.stage, 0)
            rows[call.stage] = call.first + call.rows
        assert set(rows) == set(range(len(c.plan.stages)))
    assert candidates[-1].instructions <= unsliced(spec, layer_costs(spec)).instructions
    assert candidates[0].arena <= unsliced(spec, layer_costs(spec)).arena


@pytest.mark.parametrize("name", ["aggregated", "from a selector map"])
def test_durable_plans_keep_the_features(name: str) -> None:
    spec = SPECS[name]
    assert all(features_last(spec, c.plan) for c in plans(name, durable=True))
    if name == "aggregated":
        assert not all(features_last(spec, c.plan) for c in plans(name))
    assert plans(name)[0].arena <= plans(name, durable=True)[0].arena


def test_plans_for_one_classify() -> None:
    """Smaller or faster than all others, and refused without their flag."""
    spec = SPECS["aggregated"]
    candidates = front(spec, once=True)
    singles = [c for c in candidates if c.plan.once]
    assert candidates[0].plan.once and candidates[0].arena < plans("aggregated")[0].arena
    for c in singles:
        assert not features_last(spec, c.plan)
        with pytest.raises(PlanError, match="does not hold"):
            simulate(spec, replace(c.plan, once=False))
    assert any(call.carries for c in singles for call in simulate(spec, c.plan))


def test_reference_network() -> None:
    """The bars of the kernels' issue that the layout alone decides: bytes."""
    candidates = reference_front()
    assert candidates[0].arena <= 820
    assert choose(candidates, 1549).macs == 222_928  # slicing below the conventional 1,549 bytes recomputes nothing
    assert candidates[0].macs == 222_928 + reference_spec().selector_layers()[0].macs + 34_560  # both maps again
    assert candidates[-1].macs == 222_928


def test_choice() -> None:
    candidates = plans("aggregated")
    assert choose(candidates) is candidates[-1]
    middle = candidates[len(candidates) // 2]
    assert choose(candidates, middle.arena) is middle
    assert choose(candidates, middle.arena + 1) is middle
    assert all(
        balanced(candidates).arena * balanced(candidates).instructions <= c.arena * c.instructions for c in candidates
    )
    assert default(candidates) is candidates[-1]
    with pytest.raises(DitmosError, match=f"the smallest needs {candidates[0].arena}"):
        choose(candidates, candidates[0].arena - 1)


def test_the_default_plan_fits_into_dtcm() -> None:
    """The fastest within the board's 32 KiB; where even the smallest is larger, that one."""
    candidates = plans("aggregated")
    large = [replace(c, arena=c.arena + 32_768 - candidates[1].arena) for c in candidates]
    assert default(large) is large[1]
    larger = [replace(c, arena=c.arena + 32_768) for c in candidates]
    assert default(larger) is larger[0]


def test_whole_and_stream_plans_run() -> None:
    for seed in range(40):
        spec = golden.case(seed, windows=1).model.spec
        assert len(simulate(spec, whole_plan(spec))) == len(whole_plan(spec).stages)
        simulate(spec, stream_plan(spec))


# ----- what the dry run refuses ---------------------------------------------------------------------------------------


def buffer_with(plan: Plan, index: int, **changes: object) -> Plan:
    buffers = list(plan.buffers)
    buffers[index] = replace(buffers[index], **changes)
    return replace(plan, buffers=tuple(buffers))


def stage_with(plan: Plan, index: int, **changes: object) -> Plan:
    stages = list(plan.stages)
    stages[index] = replace(stages[index], **changes)
    return replace(plan, stages=tuple(stages))


def test_line_buffers_are_as_short_as_can_be() -> None:
    """One row less in any line buffer of the smallest plan, and it does not run."""
    spec, plan = SPECS["aggregated"], plans("aggregated")[0].plan
    names = buffer_names(spec, plan)
    lines = [i for i, name in enumerate(names) if name.endswith("rows")]
    assert len(lines) >= 4
    for i in lines:
        with pytest.raises(PlanError):
            simulate(spec, buffer_with(plan, i, rows=plan.buffers[i].rows - 1))


def test_broken_plans_are_refused() -> None:
    spec = SPECS["aggregated"]
    plan = plans("aggregated", durable=True)[-1].plan
    names = buffer_names(spec, plan)
    first = names.index("selector.1")
    for broken, message in [
        (replace(plan, arena_size=plan.arena_size - 4), "ends at byte"),
        (replace(plan, arena_size=plan.arena_size + 2), "multiple of 4"),
        (replace(plan, logits=plan.window), "logits"),
        (replace(plan, slices=plan.slices[:-1]), "in slices"),
        (replace(plan, slices=(plan.slices[-1], *plan.slices[:-1])), "starts with stage"),
        (stage_with(plan, 0, layer=99), "layer is 99"),
        (stage_with(plan, 0, chunk=0), "chunk is 0"),
        (stage_with(plan, 0, in1=plan.window), "reads one operand"),
        (stage_with(plan, 0, out=200), "buffer 200"),
        (stage_with(plan, 1, in0=plan.window), "channels"),
        (buffer_with(plan, first, channels=3), "channels"),
        (buffer_with(plan, first, rows=plan.buffers[first].rows - 1), "holds|does not fit|rows"),
        (buffer_with(plan, first, offset=plan.buffers[plan.window].offset), "share bytes|still needed"),
        (replace(plan, stages=plan.stages + plan.stages[-1:] * 40), "stages, expected"),
    ]:
        with pytest.raises(PlanError, match=message):
            simulate(spec, broken)


def test_maps_must_survive_until_they_are_read() -> None:
    """A kept map that shares bytes with what a later slice writes."""
    spec = SPECS["aggregated"]
    plan = whole_plan(spec)
    names = buffer_names(spec, plan)
    kept, other = names.index("selector.1"), names.index("selector.3")
    broken = buffer_with(plan, other, offset=plan.buffers[kept].offset)
    with pytest.raises(PlanError, match="does not hold"):
        simulate(spec, broken)


def overlay() -> tuple[NetworkSpec, Plan, int, int]:
    """A plan in which a map grows over another one: guest and host."""
    spec = SPECS["aggregated"]
    for c in plans("aggregated"):
        names = buffer_names(spec, c.plan)
        for part in c.plan.slices:
            stages = c.plan.stages[part.first : part.first + part.count]
            guest = c.plan.buffers[stages[-1].out]
            for stage in stages:
                for host in (stage.in0, stage.in1):
                    if host != NONE and names[host] != "window" and host not in {s.out for s in stages}:
                        other = c.plan.buffers[host]
                        if other.offset < guest.end and guest.offset < other.end:
                            return spec, c.plan, stages[-1].out, host
    raise AssertionError("no plan with an overlay on the front")


def test_a_map_may_grow_over_rows_that_nobody_needs() -> None:
    spec, plan, guest, host = overlay()
    simulate(spec, plan)
    assert plan.buffers[guest].offset < plan.buffers[host].offset
    one_on = buffer_with(plan, guest, offset=plan.buffers[guest].offset + 1)
    with pytest.raises(PlanError, match="still needed"):
        simulate(spec, one_on)


# ----- layout, description, picture -----------------------------------------------------------------------------------


def test_layout_never_overlaps_and_is_tight() -> None:
    rng = np.random.default_rng(0)
    tight = 0
    for _ in range(200):
        blocks = []
        for _ in range(int(rng.integers(1, 12))):
            first = int(rng.integers(0, 8))
            last = first + int(rng.integers(0, 4))
            blocks.append(Block(int(rng.integers(1, 300)), first, last, int(rng.choice([1, 1, 4]))))
        total, offsets = layout(blocks)
        for i, (a, x) in enumerate(zip(blocks, offsets, strict=True)):
            assert x % a.alignment == 0 and x + a.size <= total
            for b, y in list(zip(blocks, offsets, strict=True))[:i]:
                assert not a.meets(b) or x + a.size <= y or y + b.size <= x
        assert total >= peak(blocks)
        tight += total <= peak(blocks) + 8
    assert tight > 170


def test_description() -> None:
    spec = reference_spec()
    for c in reference_front()[:: len(reference_front()) // 5]:
        text = describe(spec, c.plan, layer_costs(spec))
        assert abs(sum(part["instructions"] for part in text["slices"]) - c.instructions) <= len(text["slices"])
        assert sum(part["macs"] for part in text["slices"]) == c.macs
        assert {b["kind"] for b in text["buffers"]} <= {kind.name.lower() for kind in BufferKind}
        kept = {b["holds"] for b in text["buffers"] if b["kept"]} - {"window"}
        assert kept == set(kept_names(spec, c.plan))


def test_picture(tmp_path: Path) -> None:
    spec = SPECS["aggregated"]
    costs = layer_costs(spec)
    draw(tmp_path / "memory.png", [("sliced", spec, c.plan, costs) for c in plans("aggregated")[:2]])
    assert (tmp_path / "memory.png").read_bytes().startswith(b"\x89PNG")
    for name, message in (("memory.png/x.png", "cannot be written"), ("memory.doc", "unknown kind of picture")):
        with pytest.raises(DitmosError, match=message):
            draw(tmp_path / name, [("sliced", spec, plans("aggregated")[0].plan, costs)])
