"""Shapes as text, and the candidates that a search draws: within the budget, the rivals' trunks the same as ours."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from ditmos.errors import DitmosError
from ditmos.model.spec import NetworkSpec
from ditmos.training import fit as fitting
from ditmos.training import score as scoring
from ditmos.training import shapes, space


def test_shapes_read_back() -> None:
    for text in ("10k5s2 20k7 40k3p1 h48", "7k3", "6k9s2p1 8k3"):
        assert shapes.render(shapes.parse(text)) == text
    for wrong in ("10x5", "h48 10k5", "10k5 h4 h5"):
        with pytest.raises(DitmosError, match="expected words like"):
            shapes.parse(wrong)
    with pytest.raises(DitmosError, match="nothing to say"):
        shapes.build((40, 2, 2), "4k3", selector="3k3")


@pytest.mark.parametrize("family", space.FAMILIES)
def test_candidates_keep_the_budget(family: str) -> None:
    budget = space.Budget(60_000, ram=1_500, flash=60_000)
    found = [spec for spec, _ in zip(space.candidates(family, (151, 3, 10), budget, 0), range(5), strict=False)]
    again = [spec for spec, _ in zip(space.candidates(family, (151, 3, 10), budget, 0), range(5), strict=False)]
    assert found == again and len(set(found)) == 5
    for spec in found:
        first, second = scoring.branch_macs(spec)
        assert space.whole_plan(spec).arena_size <= 1_500 and space.flash_bytes(spec) <= 60_000
        if fitting.answers_itself(spec):
            assert first + second / 3 <= 60_000
        else:
            assert 0.85 * 60_000 <= scoring.worst_macs(spec) <= 60_000


@pytest.mark.parametrize("family", ["wide", "exit", "routed-exit"])
def test_candidates_may_be_wider_or_leave_macs_unused(family: str) -> None:
    def first(**keys: float) -> list[NetworkSpec]:
        found = space.candidates(family, (13, 133, 2), space.Budget(400_000, **keys), 0, spectral=True)
        return [spec for spec, _ in zip(found, range(10), strict=False)]

    with pytest.raises(DitmosError, match="within 400000 MACs"):
        first()  # short windows: the usual widths do not reach that far
    assert all(sum(scoring.branch_macs(spec)) > 0.85 * 400_000 for spec in first(widths=6.0))
    usual, wider = first(fill=0.0), first(fill=0.0, widths=2.0)
    assert max(map(scoring.worst_macs, usual)) < 0.85 * 400_000
    pairs = [[spec.classifier.convs[-1].channels for spec in specs] for specs in (usual, wider)]
    assert all(b == pytest.approx(2 * a, abs=1) for a, b in zip(*pairs, strict=True))


def test_search_says_when_nothing_fits() -> None:
    with pytest.raises(DitmosError, match="within 10 MACs"):
        next(space.candidates("wide", (151, 3, 10), space.Budget(10), 0))


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
