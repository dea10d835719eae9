"""Plans with a front end: its bytes are in the arena, the window lasts, and what cannot run is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ditmos.bench import golden
from ditmos.bench.golden_fronts import random_front
from ditmos.frontends import log_mel
from ditmos.frontends.memory import Memory, memory
from ditmos.model.dryrun import simulate
from ditmos.model.plan import Feed, Plan
from ditmos.model.plan_tables import PlanError
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.planner import front, stream_plan, whole_plan

BRANCH = BranchSpec((ConvSpec(8, 7), ConvSpec(8, 5)), (8,))
KEYWORDS = NetworkSpec(49, 40, 11, 4, BRANCH, BRANCH, aggregate=(1,))


def log_mel_memory() -> Memory:
    return memory(log_mel.front_end(16e3, 2.0**-11, "", "sound"), 49)


def plans(spec: NetworkSpec, feed: Memory) -> list[Plan]:
    return [c.plan for c in front(spec, feed=feed, once=True)] + [
        make(spec, feed=feed) for make in (whole_plan, stream_plan)
    ]


def test_bytes_beyond_the_model() -> None:
    """History, block and the newest row are kept; the transform lies where maps do not last."""
    feed = log_mel_memory()
    window = 49 * 40
    for plan in plans(KEYWORDS, feed):
        simulate(KEYWORDS, plan)
        assert plan.feed is not None and not plan.once
        assert (plan.feed.kept_size, plan.feed.work_size) == (feed.kept, feed.work) == (1040, 2056)
        assert plan.arena_size >= window + feed.total
    smallest = min(plan.arena_size for plan in plans(KEYWORDS, feed))
    assert smallest == window + feed.total  # and no map needs a byte beside those


def test_random_networks_and_front_ends() -> None:
    for case in golden.cases(20, max_rows=60):
        spec = case.model.spec
        feed = memory(random_front(np.random.default_rng(case.seed), longest=64), spec.window)
        for plan in (whole_plan(spec, feed=feed), stream_plan(spec, feed)):
            simulate(spec, plan)
            assert plan.feed == Feed(plan.feed.kept, feed.kept, plan.feed.work, feed.work)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kept": 2}, "kept starts at 2"),
        ({"kept": 1 << 20}, "beyond the arena"),
        ({"work": 1 << 20}, "beyond the arena"),
        ({"kept": 0}, "share"),
    ],
)
def test_refused(changes: dict[str, int], message: str) -> None:
    plan = whole_plan(KEYWORDS, feed=log_mel_memory())
    with pytest.raises(PlanError, match=message):
        simulate(KEYWORDS, replace(plan, feed=replace(plan.feed, **changes)))


def test_work_must_not_lie_on_the_window() -> None:
    plan = whole_plan(KEYWORDS, feed=log_mel_memory())
    window = plan.buffers[plan.window].offset // 4 * 4
    with pytest.raises(PlanError, match="work shares bytes with buffer"):
        simulate(KEYWORDS, replace(plan, feed=replace(plan.feed, work=window, work_size=8)))


def test_a_plan_that_writes_over_the_window_is_none() -> None:
    """Where classifiers start from a map of the selector, nobody needs the window after its first layer."""
    spec = replace(KEYWORDS, classifiers=4, classifier=BranchSpec((ConvSpec(8, 5),)), start=1, aggregate=())
    plan = whole_plan(spec)
    feed = Feed(plan.arena_size, 4, 0, 0)
    with pytest.raises(PlanError, match="the window does not last"):
        simulate(spec, replace(plan, arena_size=plan.arena_size + 4, feed=feed))
