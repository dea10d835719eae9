"""One slice: every sensible way to run its stages, from least memory to least instructions.

A way is a chunk for each stage, which of them carry sums from chunk to chunk, how long line buffers are beyond what
they need (a longer one moves its rows less often), and how much scratch the stages share. Sequence of calls and length
of line buffers follow from the chunks; carries, lengths and scratch then add up, so that their fronts are merged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from ditmos.model.layer_shape import LayerShape
from ditmos.model.padding import edge_bytes, rows_needed
from ditmos.model.plan import NONE, Phase, Stage
from ditmos.planner.calls import Chunk, LayerCost, chunk_of, move_events
from ditmos.planner.choices import chunk_choices, scratch_sizes
from ditmos.planner.cost import instructions
from ditmos.planner.nests import Host, Nest, Step, nests
from ditmos.planner.pareto import pareto
from ditmos.planner.schedule import Schedule
from ditmos.planner.stages import Line, Stages
from ditmos.planner.ways import Overlay, StageOption, StageWay, Way, thin


@dataclass(frozen=True)
class SliceShape:
    """Layers that run together (indices, producers first), what each reads, and which outputs must be whole maps.

    options: of each layer, in its packings. sources: for each layer the layers that it reads (`plan_tables.producers`).
    hosts: maps from before the slice that nobody reads after it. combinations: of chunks that are tried, at most.
    prices: of calls, which slices of one network share.
    """

    layers: tuple[int, ...]
    whole: frozenset[int]
    options: tuple[tuple[LayerCost, ...], ...]
    sources: tuple[tuple[int, ...], ...]
    hosts: tuple[Host, ...] = ()
    combinations: int = 280
    prices: dict[tuple[object, ...], float] = field(default_factory=dict, compare=False)

    @cached_property
    def shapes(self) -> tuple[LayerShape, ...]:
        return tuple(options[0].shape for options in self.options)

    @cached_property
    def stages(self) -> Stages:
        return Stages(self.layers, self.whole, self.options, self.sources, self.prices)

    @cached_property
    def readers(self) -> dict[int, list[int]]:
        """Positions of the stages of the slice that read a layer's map."""
        read = {s for source in self.sources for s in source}
        return {
            layer: [i for i, source in enumerate(self.sources) if layer in source] for layer in {*self.layers, *read}
        }

    def sequence(self, chunks: Sequence[int]) -> tuple[list[tuple[int, int]], list[int]]:
        """The calls of the pull schedule as (position, rows), and the rows that each output must hold at once."""
        shapes = self.shapes
        position = {layer: i for i, layer in enumerate(self.layers)}
        inner = [[position[s] for s in source if s in position] for source in self.sources]
        done = [0] * len(shapes)
        held = [0] * len(shapes)
        calls: list[tuple[int, int]] = []

        def first_needed(i: int) -> int:
            if done[i] == shapes[i].rows_out:
                return 1 << 31
            return rows_needed(shapes[i], done[i], 1)[0]

        def run(i: int) -> None:
            rows = min(chunks[i], shapes[i].rows_out - done[i])
            if inner[i]:
                whole = max(shapes[j].rows_out for j in inner[i])
                end = whole if shapes[i].kind == "fc" else rows_needed(shapes[i], done[i], rows)[1]
                while done[shortest := min(inner[i], key=done.__getitem__)] < end:
                    run(shortest)
            readers = self.readers[self.layers[i]]
            base = min((first_needed(j) for j in readers), default=0)
            done[i] += rows
            held[i] = max(held[i], done[i] - min(base, done[i] - rows))
            calls.append((i, rows))

        for goal in [len(shapes) - 1, *range(len(shapes))]:
            if goal == len(shapes) - 1 or self.layers[goal] in self.whole:
                while done[goal] < shapes[goal].rows_out:
                    run(goal)
        rows = [s.rows_out if layer in self.whole else h for s, layer, h in zip(shapes, self.layers, held, strict=True)]
        return calls, rows

    def moves(self, calls: Sequence[tuple[int, int]], i: int, rows: int) -> int:
        """How often a line buffer of ``rows`` rows at position i has to move its rows."""
        readers = [(j, self.shapes[j]) for j in self.readers[self.layers[i]]]
        done = dict.fromkeys([i, *(j for j, _ in readers)], 0)
        base = moved = 0
        for position, count in calls:
            if position == i and done[i] + count - base > rows:
                base = min((rows_needed(s, done[j], 1)[0] for j, s in readers if done[j] < s.rows_out), default=done[i])
                base = min(base, done[i])
                moved += 1
            if position in done:
                done[position] += count
        return moved

    def fronts(self) -> dict[int | None, tuple[Way, ...]]:
        """The ways that no other beats in both bytes and instructions, by rising size, for each map that the last one
        can grow over (None: for none)."""
        ways: dict[int | None, list[Way]] = {}
        for chunks in chunk_choices(self.shapes, self.combinations):
            for way in self._ways(chunks):
                ways.setdefault(way.place, []).append(way)
            ways = {
                host: [w for _, _, w in pareto([(w.size, w.cost, w) for w in group])] for host, group in ways.items()
            }
        return {host: tuple(thin(group)) for host, group in ways.items()}

    def _ways(self, chunks: tuple[int, ...]) -> list[Way]:
        calls, rows = self.sequence(chunks)
        counts: list[Counter[Chunk]] = [Counter() for _ in self.layers]
        done = [0] * len(self.layers)
        for i, n in calls:
            counts[i][chunk_of(self.shapes[i], done[i], n, begins=not done[i])] += 1
            done[i] += n
        fixed = sum(shape.channels_out * r for shape, r in zip(self.shapes, rows, strict=True))
        lines = [self._lines(i, rows[i], calls) for i in range(len(self.layers))]
        plain = [self.stages.stage_options(i, chunks[i], counts[i], lines[i], 0) for i in range(len(self.layers))]
        overlays = [(None, 0), *self._overlays(calls)]
        result: list[Way] = []
        gathered = [s.channels_in if self.stages.runs(i) else 0 for i, s in enumerate(self.shapes)]
        edges = [edge_bytes(shape, chunk) for shape, chunk in zip(self.shapes, chunks, strict=True)]
        for scratch in scratch_sizes(self.options, counts, gathered, edges):
            partial: list[tuple[int, float, tuple[StageWay, ...]]] = [(fixed + scratch, 0.0, ())]
            for i, shape in enumerate(self.shapes):
                options = plain[i]
                if scratch and (shape.kind == "conv" or edges[i] or self.stages.runs(i)):
                    options = [*options, *self.stages.stage_options(i, chunks[i], counts[i], lines[i], scratch)]
                merged = [
                    (size + more, total + price, (*stages, way))
                    for size, total, stages in partial
                    for more, price, way in options
                ]
                partial = pareto(merged)
            result += [
                Way(size - saved, total, stages, scratch, overlay)
                for size, total, stages in partial
                for overlay, saved in overlays
            ]
        for nest in self._nests(calls, rows) if len(calls) > len(self.layers) and all(plain) else ():
            bare = {
                i: self.stages.packing_options(cost, i, chunks[i], counts[i], lines[i], 0, carry=False)
                for i in nest.carries
                if (cost := self._carrying(i))
            }
            result += self._nested_ways(nest, calls, plain, bare, fixed)
        return result

    def _carrying(self, i: int) -> LayerCost | None:
        """The packing of a layer by which it has a carry."""
        return next((cost for cost in self.options[i] if cost.has_carry), None)

    def _nests(self, calls: Sequence[tuple[int, int]], rows: Sequence[int]) -> Iterator[Nest]:
        """Places over the maps that this slice reads for the last time."""
        shapes = self.shapes
        last = len(shapes) - 1
        sizes = [n * shape.channels_out for n, shape in zip(rows, shapes, strict=True)]
        lines = [i for i, n in enumerate(rows) if n < shapes[i].rows_out]
        pairs = [g for g in self.stages.neighbours.values() if set(g) <= set(lines) and sizes[g[0]] == sizes[g[1]]]
        groups = [(g, sizes[g[0]]) for g in [*((i,) for i in lines if not any(i in g for g in pairs)), *pairs]]
        carries = [
            (
                i,
                4 * shapes[i].channels_out,
                self.stages.rows_price(cost, i, 2, True, False) - self.stages.rows_price(cost, i, 2, False, True),
            )
            for i in range(len(shapes))
            if (cost := self._carrying(i))
        ]
        made = (last, shapes[last].rows_out, shapes[last].channels_out) if shapes[last].kind != "fc" else None
        for host in self.hosts:
            readers = [(i, shapes[i]) for i in self.readers.get(host.layer, ())]
            if not readers or any(s.kind == "fc" for _, s in readers):
                continue
            done = [0] * len(shapes)
            steps = []
            for i, count in calls:
                needed = (rows_needed(s, done[j], 1)[0] for j, s in readers if done[j] < s.rows_out)
                dead = min(needed, default=host.rows)
                steps.append(Step(i, done[i], count, dead))
                done[i] += count
            yield from nests(host, steps, groups, made, carries)

    def _nested_ways(
        self,
        nest: Nest,
        calls: Sequence[tuple[int, int]],
        plain: Sequence[list[StageOption]],
        bare: Mapping[int, list[StageOption]],
        fixed: int,
    ) -> Iterator[Way]:
        """Ways with what a nest has room for; line buffers in it are as short as can be. plain, bare: ways of a stage
        with no scratch, those of the packing that has a carry without it."""
        partial: list[tuple[int, float, tuple[StageWay, ...]]] = [(fixed - nest.saved, 0.0, ())]
        for i in range(len(self.layers)):
            options = plain[i]
            if i in nest.carries:
                less = self._carry_saves(nest, i, [n for j, n in calls if j == i])
                nested = [(more, price + less, replace(way, carry=True, nested=True)) for more, price, way in bare[i]]
                options = pareto([*options, *nested])
            if i in nest.outs:
                options = [option for option in options if option[2].rows == min(o[2].rows for o in options)]
            partial = pareto(
                [
                    (size + more, total + cost, (*stages, way))
                    for size, total, stages in partial
                    for more, cost, way in options
                ]
            )
        for size, total, stages in partial:
            yield Way(size, total, stages, 0, nest)

    def _carry_saves(self, nest: Nest, i: int, calls: Sequence[int]) -> float:
        """Instructions that a carry in a nest changes, over calls with so many rows."""
        cost = self._carrying(i)
        if cost is None:
            return 0.0
        with_carry = sum(self.stages.rows_price(cost, i, n, k <= nest.alive[i], True) for k, n in enumerate(calls))
        return with_carry - sum(self.stages.rows_price(cost, i, n, True, False) for n in calls)

    def _overlays(self, calls: Sequence[tuple[int, int]]) -> Iterator[tuple[Overlay, int]]:
        """Maps that the last one can grow over with these calls, and the bytes that each saves."""
        last = len(self.layers) - 1
        shape = self.shapes[last]
        for host in self.hosts if shape.kind != "fc" else ():
            readers = [(i, self.shapes[i]) for i in self.readers.get(host.layer, ())]
            if not readers or host.channels < shape.channels_out or any(s.kind == "fc" for _, s in readers):
                continue
            done = dict.fromkeys(range(len(self.layers)), 0)
            distance = 0
            for i, count in calls:
                if i == last:
                    needed = (rows_needed(s, done[j], 1)[0] for j, s in readers if done[j] < s.rows_out)
                    distance = max(distance, done[i] + count - min(needed, default=1 << 31))
                done[i] += count
            saved = shape.rows_out * shape.channels_out - distance * (host.channels + 1)
            if host.rows + distance >= shape.rows_out and saved > 0:
                yield Overlay(host.layer, distance), saved

    def _lines(self, i: int, rows: int, calls: Sequence[tuple[int, int]]) -> list[Line]:
        """(bytes more, rows, instructions of moving) of the output of a stage that needs ``rows`` rows of it."""
        shape = self.shapes[i]
        if rows == shape.rows_out:
            return [(0, rows, 0.0)]
        lines: list[Line] = []
        for length in (rows, rows + 2, rows + 4, rows + 8, 2 * rows):
            if length < shape.rows_out:
                size = length * shape.channels_out
                price = self.moves(calls, i, length) * instructions(move_events(size))
                lines.append((size - rows * shape.channels_out, length, price))
        return lines

    def add_to(self, schedule: Schedule, phase: Phase, way: Way, maps: dict[int, int], kept: frozenset[int]) -> None:
        """Append the slice to a schedule. ``maps``: buffer of each whole map, read and extended; WINDOW included."""
        scratch = schedule.scratch(way.scratch) if any(s.scratch for s in way.stages) else NONE
        stages = []
        local = dict(maps)
        for layer, source, shape, stage in zip(self.layers, self.sources, self.shapes, way.stages, strict=True):
            stride = 1 if shape.kind == "fc" else stage.rows
            if isinstance(way.overlay, Overlay) and layer == self.layers[-1]:
                stride = self._make_overlay(schedule, len(schedule.buffers), way.overlay, maps)
            out = local[layer] = schedule.map(stage.rows, shape.channels_out, stride=stride, kept=layer in kept)
            operands = [local[s] for s in source]
            stages.append(
                Stage(
                    layer,
                    operands[0],
                    out,
                    stage.chunk,
                    in1=operands[1] if len(operands) > 1 else NONE,
                    carry=schedule.carry(shape.channels_out) if stage.carry else NONE,
                    scratch=scratch if stage.scratch else NONE,
                )
            )
            if layer in self.whole:
                maps[layer] = out
        schedule.slices.append((phase, stages))
        if isinstance(way.overlay, Nest):
            self._make_nest(schedule, way, way.overlay, stages, maps)
        for a, b in self.stages.neighbours.values():
            one, other = stages[a].out, stages[b].out
            nested = one in schedule.attached or other in schedule.attached
            if schedule.buffers[one].rows == schedule.buffers[other].rows and not nested:
                schedule.attached[other] = one, schedule.buffers[one].size

    @staticmethod
    def _make_nest(schedule: Schedule, way: Way, nest: Nest, stages: Sequence[Stage], maps: dict[int, int]) -> None:
        host = maps[nest.host]
        schedule.residues[host] = nest.residue
        for i, offset in nest.outs.items():
            schedule.attached[stages[i].out] = host, offset
        for i, offset in nest.carries.items():
            if way.stages[i].nested:
                schedule.attached[stages[i].carry] = host, offset

    @staticmethod
    def _make_overlay(schedule: Schedule, guest: int, overlay: Overlay, maps: dict[int, int]) -> int:
        """Give the host's planes the gaps that the guest needs; returns the stride of both."""
        host = maps[overlay.host]
        stride = schedule.buffers[host].rows + overlay.distance
        schedule.buffers[host] = replace(schedule.buffers[host], stride=stride)
        schedule.attached[guest] = host, -overlay.distance
        return stride
