"""The front of plans: which selector maps are kept, where each branch is cut into slices, how each slice runs.

For every set of kept maps, slices are independent of each other but for the budget: a slice may use what the maps that
live through it leave. So each budget is a shortest path over the levels of a branch, whose edges are slices run in
their cheapest way that fits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, combinations

from ditmos import packings
from ditmos.errors import DitmosError
from ditmos.plan import Plan, layer_table
from ditmos.planner.cost import LayerCost, instructions, layer_costs
from ditmos.planner.estimate import plan_events
from ditmos.planner.schedule import Schedule
from ditmos.planner.simulate import WINDOW, producers, simulate
from ditmos.planner.slices import SliceShape, Way, pareto
from ditmos.quantized import QuantizedModel
from ditmos.spec import NetworkSpec

BUDGETS = 60  # arena sizes tried, evenly spaced on a logarithmic scale


@dataclass(frozen=True)
class Candidate:
    """A plan with its figures: arena bytes, estimated instructions and MACs of one select and one classify."""

    plan: Plan
    arena: int
    instructions: int
    macs: int


@dataclass(frozen=True)
class _Edge:
    """A slice, the bytes of the maps that live through it, and its ways by rising size."""

    shape: SliceShape
    live: int
    ways: tuple[Way, ...]

    def within(self, budget: int) -> Way | None:
        """The cheapest way that fits."""
        i = bisect_right([way.size for way in self.ways], budget - self.live)
        return self.ways[i - 1] if i else None


@dataclass(frozen=True)
class _Path:
    """Slices from the first level to the last; ``size``: of the largest, with what lives through it."""

    size: int = 0
    cost: float = 0.0
    slices: tuple[tuple[SliceShape, Way], ...] = ()

    def then(self, edge: _Edge, way: Way) -> _Path:
        size = max(self.size, edge.live + way.size)
        return _Path(size, self.cost + way.cost, (*self.slices, (edge.shape, way)))


class Planner:
    """All plans of one network. ``model``: whose weights decide which kernels run; None: of an average model."""

    def __init__(self, spec: NetworkSpec, model: QuantizedModel | None = None) -> None:
        self.spec = spec
        self.layers = layer_table(spec)
        self.costs: list[LayerCost] = layer_costs(spec, model)
        self.sources = producers(spec)
        self.packings = tuple(packings.best(layer) for layer in self.layers)
        self.top = len(spec.selector.convs) if spec.selector else 0
        self.last = spec.start + len(spec.classifier.convs)
        self.first = len(spec.selector_layers())  # of the classifier's layers
        classify = [s for layer in range(self.first, len(self.layers)) for s in self.sources[layer]]
        self.needed = {s + 1 for s in classify if s < self.top}  # levels of the selector's maps; 0 is the window
        self._front = cache(self._slice_front)

    # Layers by branch and level. The selector's map of level i is made by layer i - 1, and the window by `WINDOW`.

    def own(self, level: int) -> int:
        """Layer that makes the classifier's map of a level."""
        return self.first + level - self.spec.start - 1

    def size(self, layer: int) -> int:
        """Bytes of a whole map."""
        if layer == WINDOW:
            return self.spec.window * self.spec.channels
        return self.layers[layer].rows_out * self.layers[layer].channels_out

    def kept_sets(self) -> Iterator[frozenset[int]]:
        """Levels of the selector that can be kept such that all that classifiers need is there, or can be computed
        again from a kept level below."""
        lowest = min(self.needed, default=None)
        if lowest is None:
            yield frozenset()
            return
        highest = max(self.needed)
        levels = range(highest + 1)
        for kept in chain.from_iterable(combinations(levels, n) for n in range(1, len(levels) + 1)):
            useful = set(kept) <= self.needed | {min(kept)}
            if useful and min(kept) <= lowest:
                yield frozenset(kept)

    def _slice_front(self, layers: tuple[int, ...], whole: frozenset[int]) -> tuple[SliceShape, tuple[Way, ...]]:
        shape = SliceShape(
            layers,
            whole,
            tuple(self.costs[i] for i in layers),
            tuple(self.sources[i] for i in layers),
        )
        return shape, tuple(shape.front())

    def _again(self, wanted: Iterable[int], kept: frozenset[int]) -> list[int]:
        """Levels of the selector to compute again for the wanted ones."""
        again: set[int] = set()
        for level in wanted:
            while level not in kept and level not in again:
                again.add(level)
                level -= 1
        return sorted(again)

    def _select_edge(self, low: int, high: int, kept: frozenset[int]) -> _Edge:
        """Selector convolutions low + 1 .. high as one slice; high = top + 1: the fully connected layers."""
        held = {level for level in kept if level <= low} | {low}
        live = sum(self.size(level - 1) for level in held)
        if high > self.top:
            layers = tuple(range(self.top, self.first))
            return _Edge(*self._with_live(layers, frozenset(layers), live))
        layers = tuple(range(low, high))
        whole = frozenset(level - 1 for level in range(low + 1, high + 1) if level in kept or level == high)
        return _Edge(*self._with_live(layers, whole, live))

    def _classify_edge(self, low: int, high: int, kept: frozenset[int]) -> _Edge:
        """Classifier convolutions low + 1 .. high, with the selector's that they need again; likewise the head."""
        head = high > self.last
        own = (
            list(range(self.own(self.last) + 1, len(self.layers)))
            if head
            else [self.own(i) for i in range(low + 1, high + 1)]
        )
        wanted = {s + 1 for layer in own for s in self.sources[layer] if s < self.top}
        again = [level - 1 for level in self._again(wanted, kept)]
        live = sum(self.size(level - 1) for level in kept)
        if low > self.spec.start:
            live += self.size(self.own(low))
        if head:
            layers = (*again, *own)
            return _Edge(*self._with_live(layers, frozenset(own) | {w - 1 for w in wanted}, live))
        by_level = sorted([*again, *own], key=lambda i: (self.layers[i].inputs[0].level, i))
        return _Edge(*self._with_live(tuple(by_level), frozenset({own[-1]}), live))

    def _with_live(self, layers: tuple[int, ...], whole: frozenset[int], live: int):
        shape, ways = self._front(layers, whole)
        return shape, live, ways

    def _edges(self, kept: frozenset[int]) -> list[dict[tuple[int, int], _Edge]]:
        """Edges (from level, to level) of the select and of the classify phase."""
        select = {}
        if self.spec.selector:
            ends = [(low, high) for high in range(1, self.top + 1) for low in range(high)]
            select = {e: self._select_edge(*e, kept) for e in [*ends, (self.top, self.top + 1)]}
        start, last = self.spec.start, self.last
        ends = [(low, high) for high in range(start + 1, last + 1) for low in range(start, high)]
        classify = {e: self._classify_edge(*e, kept) for e in [*ends, (last, last + 1)]}
        return [select, classify]

    def _shortest(self, edges: dict[tuple[int, int], _Edge], first: int, budget: int) -> _Path | None:
        best: dict[int, _Path] = {first: _Path()}
        for (low, high), edge in sorted(edges.items(), key=lambda item: item[0][1]):
            way = edge.within(budget) if low in best else None
            if way is not None and (high not in best or best[low].cost + way.cost < best[high].cost):
                best[high] = best[low].then(edge, way)
        return best.get(max((high for _, high in edges), default=first))

    def front(self) -> list[Candidate]:
        """Plans of which none is beaten in both bytes and instructions, by rising arena size."""
        found: list[tuple[int, float, tuple]] = []
        for kept in self.kept_sets():
            select, classify = self._edges(kept)
            for budget in _budgets(chain(select.values(), classify.values())):
                one = self._shortest(select, 0, budget)
                two = self._shortest(classify, self.spec.start, budget)
                if one is not None and two is not None:
                    found.append((max(one.size, two.size), one.cost + two.cost, (kept, one.slices, two.slices)))
        laid_out = [self._candidate(*parts) for _, _, parts in pareto(found)]
        return [c for _, _, c in pareto([(c.arena, c.instructions, c) for c in laid_out])]

    def _candidate(self, kept: frozenset[int], *phases: Sequence[tuple[SliceShape, Way]]) -> Candidate:
        schedule = Schedule()
        window = schedule.map(self.spec.window, self.spec.channels, kept=0 in kept)
        schedule.window = window
        maps = {WINDOW: window}
        for phase, path in zip(("select", "classify"), phases, strict=True):
            for shape, way in path:
                selected = frozenset(level - 1 for level in kept) if phase == "select" else frozenset()
                shape.add_to(schedule, phase, way, maps, selected)
            if phase == "select" and path:
                schedule.selector_logits = maps[self.first - 1]
        schedule.logits = maps[len(self.layers) - 1]
        plan = schedule.plan("sliced", self.spec, self.packings)
        return candidate(self.spec, plan, self.costs)


def candidate(spec: NetworkSpec, plan: Plan, costs: Sequence[LayerCost]) -> Candidate:
    """The figures of any plan.

    Raises:
        PlanError: it cannot run.
    """
    layers = layer_table(spec)
    total = sum(instructions(events) for events in plan_events(plan, costs, simulate(spec, plan)))
    macs = sum(layers[stage.layer].macs for stage in plan.stages)
    return Candidate(plan, plan.arena_size, round(total), macs)


def _budgets(edges: Iterable[_Edge]) -> list[int]:
    """Arena sizes at which the cheapest way of some slice changes, thinned."""
    sizes = sorted({edge.live + way.size for edge in edges for way in edge.ways})
    if len(sizes) <= BUDGETS:
        return sizes
    low, high = sizes[0], sizes[-1]
    steps = [low * (high / low) ** (i / BUDGETS) for i in range(BUDGETS)]
    return sorted({sizes[bisect_right(sizes, step) - 1] for step in steps} | {high})


def front(spec: NetworkSpec, model: QuantizedModel | None = None) -> list[Candidate]:
    """The Pareto front of arena bytes against estimated instructions, by rising arena size, plans named."""
    candidates = Planner(spec, model).front()
    names = {0: "smallest", len(candidates) - 1: "fastest"}
    return [replace(c, plan=replace(c.plan, name=names.get(i, f"{c.arena} bytes"))) for i, c in enumerate(candidates)]


def choose(candidates: Sequence[Candidate], ram: int | None = None) -> Candidate:
    """The fastest plan, or the fastest that fits into ``ram`` bytes.

    Raises:
        DitmosError: none fits.
    """
    fitting = [c for c in candidates if ram is None or c.arena <= ram]
    if not fitting:
        raise DitmosError(f"plan: no plan needs only {ram} bytes, the smallest needs {candidates[0].arena}")
    return fitting[-1]
