"""The front of plans: which selector maps are kept, where each branch is cut into slices, how each slice runs.

For every set of kept maps, slices are independent of each other but for the budget: a slice may use what the maps that
live through it leave. So each budget is a shortest path over the levels of a branch, whose edges are slices run in
their cheapest way that fits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, combinations
from typing import Literal

from ditmos.errors import DitmosError
from ditmos.frontends.memory import Memory, memory
from ditmos.model.dryrun import simulate
from ditmos.model.plan import MAX_BUFFERS, MAX_SLICES, MAX_STAGES, PHASES, Plan, layer_table
from ditmos.model.plan_tables import WINDOW, PlanError, producers
from ditmos.model.quantized import QuantizedModel
from ditmos.model.spec import NetworkSpec
from ditmos.planner.calls import LayerCost
from ditmos.planner.cost import instructions, layer_options
from ditmos.planner.events import cheapest, plan_events
from ditmos.planner.nests import Host
from ditmos.planner.pareto import pareto
from ditmos.planner.schedule import Schedule
from ditmos.planner.slices import SliceShape
from ditmos.planner.ways import Way
from ditmos.planner.whole import whole_plan

DTCM = 32 << 10  # bytes that the NUCLEO board has for arenas (boards/NUCLEO_F767ZI_DITMOS, `tcm.data`)
BUDGETS = 150  # arena sizes tried, evenly spaced on a logarithmic scale
EFFORT = {1: 280, 2: 280, 3: 280, 4: 120, 5: 60, 6: 24}  # chunk combinations by depth: deep networks have many slices
LONG = 1024  # rows of a window; of longer ones fewer are tried, since each takes time by the row
LONGEST = 6  # layers of a branch that run as one slice, at most


@dataclass(frozen=True)
class Candidate:
    """A plan with its figures: arena bytes, estimated instructions and MACs of one select and one classify."""

    plan: Plan
    arena: int
    instructions: int
    macs: int


Use = Literal["nothing", "maps", "window"]  # what classify may use up

# A level, and the layer whose map's place the branch's map of that level has taken, or None.
Node = tuple[int, int | None]


@dataclass(frozen=True)
class _Edge:
    """A slice from one level to another, the bytes of the maps that live through it, and its ways by rising size."""

    start: Node
    end: Node
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
    """All plans of one network. ``model``: whose weights decide which kernels run; None: of an average model.
    ``feed``: what a front end works in."""

    def __init__(self, spec: NetworkSpec, model: QuantizedModel | None = None, feed: Memory | None = None) -> None:
        self.spec = spec
        self.feed = feed
        self.layers = layer_table(spec)
        self.options = layer_options(spec, model)
        self.sources = producers(spec)
        self.top = len(spec.selector.convs) if spec.selector else 0
        self.last = spec.start + len(spec.classifier.convs)
        self.first = len(spec.selector_layers())  # of the classifier's layers
        classify = [s for layer in range(self.first, len(self.layers)) for s in self.sources[layer]]
        self.needed = {s + 1 for s in classify if s < self.top}  # levels of the selector's maps; 0 is the window
        self._fronts = cache(self._slice_fronts)
        self._prices: dict[tuple[object, ...], float] = {}  # of calls

    # Layers by branch and level. The selector's map of level i is made by layer i - 1, and the window by `WINDOW`.

    def own(self, level: int) -> int:
        """Layer that makes the classifier's map of a level."""
        return self.first + level - self.spec.start - 1

    def size(self, layer: int) -> int:
        """Bytes of a whole map."""
        if layer == WINDOW:
            return self.spec.window * self.spec.channels
        return self.layers[layer].rows_out * self.layers[layer].channels_out

    def _host(self, layer: int) -> Host:
        if layer == WINDOW:
            return Host(layer, self.spec.window, self.spec.channels)
        return Host(layer, self.layers[layer].rows_out, self.layers[layer].channels_out)

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

    def _slice_fronts(
        self, layers: tuple[int, ...], whole: frozenset[int], hosts: frozenset[int] = frozenset()
    ) -> tuple[SliceShape, dict[int | None, tuple[Way, ...]]]:
        effort = EFFORT.get(max(self.top, self.last), min(EFFORT.values()))
        shape = SliceShape(
            layers,
            whole,
            tuple(self.options[i] for i in layers),
            tuple(self.sources[i] for i in layers),
            tuple(map(self._host, sorted(hosts))),
            effort * LONG // max(self.spec.window, LONG),
            self._prices,
        )
        return shape, shape.fronts()

    def _again(self, wanted: Iterable[int], kept: frozenset[int]) -> list[int]:
        """Levels of the selector to compute again for the wanted ones."""
        again: set[int] = set()
        for level in wanted:
            while level not in kept and level not in again:
                again.add(level)
                level -= 1
        return sorted(again)

    def _read(self, layer: int, kept: frozenset[int]) -> set[int]:
        """Maps from before that a classifier layer reads, and those from which it computes others again."""
        read = set(self.sources[layer])
        again = self._again({s + 1 for s in read if s < self.top}, kept)
        return {s for s in read if s >= self.top or s + 1 in kept} | {v - 2 for v in again if v - 1 in kept}

    def _select_edges(self, kept: frozenset[int]) -> Iterator[_Edge]:
        """Selector convolutions low + 1 .. high as one slice; high = top + 1: its fully connected layers."""
        spans = _spans(0, self.top)
        for low, high in [*spans, (self.top, self.top + 1)] if self.spec.selector else ():
            live = sum(self.size(level - 1) for level in {v for v in kept if v <= low} | {low})
            if high > self.top:
                layers = tuple(range(self.top, self.first))
                whole = list(layers)
            else:
                layers = tuple(range(low, high))
                whole = [level - 1 for level in range(low + 1, high + 1) if level in kept or level == high]
            shape, ways = self._fronts(layers, frozenset(whole))
            yield _Edge((low, None), (high, None), shape, live, ways[None])

    def _classify_edges(self, kept: frozenset[int], use: Use) -> list[_Edge]:
        """Classifier convolutions low + 1 .. high, with the selector's that they need again; likewise the head.

        What classify may use up goes after its last reader, and its output may grow over it.
        """
        start, last = self.spec.start, self.last
        spans = _spans(start, last)
        edges: list[_Edge] = []
        for low, high in [*spans, (last, last + 1)]:
            head = high > last
            after = self.own(last) + 1 if head else self.own(high) + 1
            own = range(after if head else self.own(low + 1), len(self.layers) if head else after)
            wanted = {s + 1 for layer in own for s in self.sources[layer] if s < self.top}
            again = [level - 1 for level in self._again(wanted, kept)]
            if head:
                layers = [*again, *own]
                whole = {*own, *(level - 1 for level in wanted if level not in kept)}
            else:
                layers = sorted([*again, *own], key=lambda i: (self.layers[i].inputs[0].level, i))
                whole = {own[-1]}
            reads = [self._read(layer, kept) for layer in range(own[0], len(self.layers))]
            held = {s for r in reads for s in r if s < self.top}
            lasting = {"nothing": {level - 1 for level in kept}, "maps": {WINDOW}, "window": set()}[use]
            held |= lasting
            own_map = {self.own(low)} if low > start else set()
            dying = (held | own_map) - {s for r in reads[len(own) :] for s in r} - lasting
            for host in {edge.end[1] for edge in edges if edge.end[0] == low} or {None}:
                place = own_map if host is None else {host}
                live = sum(self.size(layer) for layer in held | place)
                hosts = dying if host is None else dying - own_map  # what lies in another map's place can be no host
                shape, fronts = self._fronts(tuple(layers), frozenset(whole), frozenset(hosts))
                edges += [_Edge((low, host), (high, over), shape, live, ways) for over, ways in fronts.items()]
        return edges

    def _shortest(self, edges: Sequence[_Edge], first: int, budget: int) -> _Path | None:
        best: dict[Node, _Path] = {(first, None): _Path()}
        for edge in edges:  # by rising end
            way = edge.within(budget) if edge.start in best else None
            if way is not None:
                path = best[edge.start].then(edge, way)
                if edge.end not in best or path.cost < best[edge.end].cost:
                    best[edge.end] = path
        return best.get(edges[-1].end if edges else (first, None))

    def front(self, *, durable: bool = False, once: bool = False) -> list[Candidate]:
        """Plans of which none is beaten in both bytes and instructions, by rising arena size; with ``durable`` only
        those by which a second classify costs no more than the first; with ``once`` also those without a second."""
        if not self.layers:
            return [candidate(self.spec, whole_plan(self.spec, feed=self.feed), ())]
        found: list[tuple[int, float, tuple]] = []
        for kept in self.kept_sets():
            select = list(self._select_edges(kept))
            uses: list[Use] = ["nothing"]
            if not durable and 0 in kept and len(kept) > 1:  # used-up maps are made again from the window
                uses.append("maps")
            read = {s for layer in range(self.first, len(self.layers)) for s in self._read(layer, kept)}
            if once and not durable and not self.feed and {level - 1 for level in kept} <= read:
                uses.append("window")
            for use in uses:
                classify = self._classify_edges(kept, use)
                for budget in _budgets([*select, *classify]):
                    one = self._shortest(select, 0, budget)
                    two = self._shortest(classify, self.spec.start, budget)
                    if one is not None and two is not None:
                        parts = kept, use, one.slices, two.slices
                        found.append((max(one.size, two.size), one.cost + two.cost, parts))
        laid_out = [c for _, _, parts in pareto(found) if (c := self._candidate(*parts))]
        return [c for _, _, c in pareto([(c.arena, c.instructions, c) for c in laid_out])]

    def _candidate(self, kept: frozenset[int], use: Use, *phases: Sequence[tuple[SliceShape, Way]]) -> Candidate | None:
        """None where a device has no room for so many slices, stages or buffers."""
        schedule = Schedule(durable=use == "nothing", once=use == "window", feed=self.feed)
        schedule.window = schedule.map(self.spec.window, self.spec.channels, kept=0 in kept)
        maps = {WINDOW: schedule.window}
        for phase, path in zip(PHASES, phases, strict=True):
            for shape, way in path:
                selected = frozenset(level - 1 for level in kept) if phase == "select" else frozenset()
                shape.add_to(schedule, phase, way, maps, selected)
            if phase == "select" and path:
                schedule.selector_logits = maps[self.first - 1]
        schedule.logits = maps[len(self.layers) - 1]
        stages = sum(len(stages) for _, stages in schedule.slices)
        if len(schedule.slices) > MAX_SLICES or stages > MAX_STAGES or len(schedule.buffers) > MAX_BUFFERS:
            return None
        plan = schedule.plan("sliced", self.spec)
        if plan.once:
            with suppress(PlanError):  # it may leave the window as it is
                return self._packed(replace(plan, once=False))
        return self._packed(plan)

    def _packed(self, plan: Plan) -> Candidate:
        """With the packings that take fewest instructions in the plan's buffers."""
        costs = cheapest(plan, self.options, simulate(self.spec, plan))
        return candidate(self.spec, replace(plan, packings=tuple(cost.packing for cost in costs)), costs)


def candidate(spec: NetworkSpec, plan: Plan, costs: Sequence[LayerCost]) -> Candidate:
    """The figures of any plan.

    Raises:
        PlanError: it cannot run.
    """
    layers = layer_table(spec)
    total = sum(instructions(events) for events in plan_events(plan, costs, simulate(spec, plan)))
    macs = sum(layers[stage.layer].macs for stage in plan.stages)
    return Candidate(plan, plan.arena_size, round(total), macs)


def _spans(first: int, last: int) -> list[tuple[int, int]]:
    """Layers that may run as one slice: those from one level to another, by rising end."""
    return [(low, high) for high in range(first + 1, last + 1) for low in range(max(first, high - LONGEST), high)]


def _budgets(edges: Iterable[_Edge]) -> list[int]:
    """Arena sizes at which the cheapest way of some slice changes, thinned."""
    sizes = sorted({edge.live + way.size for edge in edges for way in edge.ways})
    if len(sizes) <= BUDGETS:
        return sizes
    low, high = sizes[0], sizes[-1]
    steps = [low * (high / low) ** (i / BUDGETS) for i in range(BUDGETS)]
    return sorted({sizes[bisect_right(sizes, step) - 1] for step in steps} | {high})


def feed_of(model: QuantizedModel | None) -> Memory | None:
    """What the front end of a model works in; None without one."""
    return memory(model.front_end, model.spec.window) if model is not None and model.front_end else None


def front(
    spec: NetworkSpec,
    model: QuantizedModel | None = None,
    *,
    durable: bool = False,
    once: bool = False,
    feed: Memory | None = None,
) -> list[Candidate]:
    """The Pareto front of arena bytes against estimated instructions, by rising arena size, plans named.

    durable: only plans by which classify leaves the selector's maps as they are. After the others a second classify of
    one window makes them again, which costs as much as select. once: also plans by which classify uses up the window,
    so that there is no second classify. feed: what a front end works in, with which the window lasts;
    default: what the model's does.
    """
    feed = feed or feed_of(model)
    candidates = Planner(spec, model, feed).front(durable=durable, once=once)
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


def default(candidates: Sequence[Candidate]) -> Candidate:
    """The plan without a budget: the fastest whose arena fits into the board's `DTCM`, or the smallest if none does."""
    return choose(candidates, max(DTCM, candidates[0].arena))


def balanced(candidates: Sequence[Candidate]) -> Candidate:
    """The plan with the smallest product of bytes and instructions: where a percent of one costs a percent of the
    other."""
    return min(candidates, key=lambda c: c.arena * c.instructions)
