"""Shapes as text, and the candidates that a search draws: within the budget, the rivals' trunks the same as ours."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from ditmos.errors import DitmosError
from ditmos.model.spec import NetworkSpec
from ditmos.planner import front, price
from ditmos.planner.budget import Budget, flash_bytes
from ditmos.training import shapes, space, template
from ditmos.training.score import answers_itself, worst_runs


def test_shapes_read_back() -> None:
    for text in ("10k5s2 20k7 40k3p1 h48", "7k3", "6k9s2p1 8k3", "8k5s2p1= d3= 9k1p1 d5s2p2 a4"):
        assert shapes.render(shapes.parse(text)) == text
    assert shapes.render(shapes.build((40, 2, 2), "8k5= d3= a").classifier) == "8k5= d3= a20"
    for wrong in ("10x5", "h48 10k5", "10k5 h4 h5"):
        with pytest.raises(DitmosError, match="expected words like"):
            shapes.parse(wrong)
    with pytest.raises(DitmosError, match="nothing to say"):
        shapes.build((40, 2, 2), "4k3", selector="3k3")


@pytest.mark.parametrize("family", space.FAMILIES)
def test_candidates_keep_the_budget(family: str) -> None:
    budget = Budget(60_000, flash=60_000)
    found = [spec for spec, _ in zip(space.candidates(family, (151, 3, 10), budget, 0), range(5), strict=False)]
    again = [spec for spec, _ in zip(space.candidates(family, (151, 3, 10), budget, 0), range(5), strict=False)]
    assert found == again and len(set(found)) == 5
    for spec in found:
        cost = price.macs(spec)
        assert flash_bytes(spec) <= 60_000
        if answers_itself(spec):
            assert cost.of(1 / 3) <= 60_000
        else:
            assert 0.85 * 60_000 <= cost.of(worst_runs(spec)) <= 60_000


def test_candidates_keep_to_the_ram() -> None:
    """The first of them that needs no more than half of them do."""
    free = space.candidates("wide", (151, 3, 10), Budget(60_000), 0)
    arenas = [front(spec)[0].arena for spec, _ in zip(free, range(5), strict=False)]
    tight = sorted(arenas)[2]
    found = next(space.candidates("wide", (151, 3, 10), Budget(60_000, ram=tight), 0))
    assert front(found)[0].arena == next(arena for arena in arenas if arena <= tight)


def test_candidates_keep_to_instructions_and_to_the_worst_case() -> None:
    for budget in (Budget(instructions=90_000), Budget(worst=90_000)):
        for spec, _ in zip(space.candidates("wide", (151, 3, 10), budget, 0), range(1), strict=False):
            assert 0.8 * 90_000 < front(spec)[-1].instructions <= 90_000
    worst = Budget(instructions=60_000, worst=90_000)
    for spec, _ in zip(space.candidates("routed-exit", (151, 3, 10), worst, 0), range(1), strict=False):
        assert front(spec)[-1].instructions <= 90_000


def test_the_estimate_is_that_of_the_plan() -> None:
    """Mostly the same; never so much less that a plan would break the budget."""
    ratios = []
    for family in ("wide", "routed"):
        specs = space.candidates(family, (151, 3, 10), Budget(80_000), 1)
        for spec, _ in zip(specs, range(2), strict=False):
            ratios.append(front(spec)[-1].instructions / price.estimated(spec).of(1))
    assert max(ratios) <= space.ESTIMATE and sorted(ratios)[len(ratios) // 2] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("family", ["wide", "exit", "routed-exit"])
def test_candidates_grow_with_the_budget(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short windows: the usual widths do not reach that far. What nothing can use up takes any network."""
    monkeypatch.setattr(space, "_ATTEMPTS", 400)

    def first(macs: float) -> list[NetworkSpec]:
        found = space.candidates(family, (13, 133, 2), Budget(macs), 0, spectral=True)
        return [spec for spec, _ in zip(found, range(3), strict=False)]

    assert all(price.macs(spec).of(1) > 0.85 * 400_000 for spec in first(400_000))
    assert len(first(1e12)) == 3


@pytest.mark.parametrize("bands", [False, True])
@pytest.mark.parametrize("geometry", [(151, 3, 34), (49, 40, 40), (24, 6, 4), (960, 6, 2), (13, 133, 2), (8, 3, 2)])
def test_a_template_is_as_wide_as_the_budget_allows(geometry: tuple[int, int, int], bands: bool) -> None:
    usual = template.usual(geometry, bands=bands)
    limits = (0.8 * usual, usual, 2 * usual)
    found = [template.fitted(geometry, Budget(instructions=limit), bands=bands) for limit in limits]
    costs = [price.estimated(spec).of(1) for spec in found]
    assert costs == sorted(costs) and all(
        0.6 * limit < cost <= limit for cost, limit in zip(costs, limits, strict=True)
    )
    assert all(spec.classifiers == template.CLASSIFIERS for spec in found)
    assert costs[1] >= 0.95 * usual


def test_a_template_that_nothing_fits() -> None:
    with pytest.raises(DitmosError, match=r"no network of any width within 900 instructions.*smallest takes .* MACs"):
        template.fitted((151, 3, 34), Budget(instructions=900))
    with pytest.raises(DitmosError, match="windows of 3 samples are too short for a network, expected 4 or more"):
        template.shape((3, 3, 4), 1.0)


def test_search_says_when_nothing_fits() -> None:
    with pytest.raises(
        DitmosError, match=r"within 10 MACs, expected more; the smallest takes [\d,]+ MACs, [\d,]+ instructions"
    ):
        next(space.candidates("wide", (151, 3, 10), Budget(10), 0))


def test_windows_that_are_too_short_for_a_search() -> None:
    with pytest.raises(DitmosError, match=r"8 samples are too short for a wide network, expected 1\d or more"):
        next(space.candidates("wide", (8, 1, 2), Budget(1e6), 0))


def test_the_rival_is_searched_over_the_same_trunks() -> None:
    base = shapes.build((151, 3, 10), "4k3")
    for seed in range(5):
        rival, ours = (space.FAMILIES[f](random.Random(seed), base, space.Space()) for f in ("exit", "routed-exit"))
        assert (rival.classifiers, ours.classifiers in (8, 16)) == (1, True)
        same = replace(ours, classifiers=1, selector_outputs=base.classes)
        assert same == rival and ours.selector.convs[: ours.start]


def test_late_classifiers_share_most_of_the_trunk() -> None:
    base = shapes.build((151, 3, 10), "4k3")
    starts = set()
    for seed in range(12):
        rival, ours = (
            space.FAMILIES[f](random.Random(seed), base, space.Space()) for f in ("exit-late", "routed-late")
        )
        assert (rival.classifiers, ours.classifiers in (2, 4)) == (1, True)
        assert (rival.classifier, rival.selector, rival.start) == (ours.classifier, ours.selector, ours.start)
        starts.add((ours.start, len(ours.selector.convs)))
    assert starts == {(2, 3), (2, 4), (3, 4)}
