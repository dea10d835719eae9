"""One stage of a slice: what it can do, whatever the other stages do, and at what price."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from ditmos.model.layer_shape import LayerShape
from ditmos.model.padding import edge_bytes
from ditmos.planner.calls import Chunk, LayerCost, chunk_events
from ditmos.planner.cost import instructions
from ditmos.planner.pareto import pareto
from ditmos.planner.ways import StageOption, StageWay

Line = tuple[int, int, float]  # bytes more, rows, instructions of moving: of the buffer that a stage writes


@dataclass(frozen=True)
class Stages:
    """The stages of a `slices.SliceShape`, whose fields these are."""

    layers: tuple[int, ...]
    whole: frozenset[int]
    options: tuple[tuple[LayerCost, ...], ...]
    sources: tuple[tuple[int, ...], ...]
    prices: dict[tuple[object, ...], float]

    @cached_property
    def shapes(self) -> tuple[LayerShape, ...]:
        return tuple(options[0].shape for options in self.options)

    @cached_property
    def neighbours(self) -> dict[int, tuple[int, int]]:
        """Stages that read two outputs of the slice which, if both are line buffers, lie side by side as one."""
        position = {layer: i for i, layer in enumerate(self.layers)}
        found = {}
        for i, source in enumerate(self.sources):
            if len(source) == 2 and all(s in position and s not in self.whole for s in source):
                found[i] = position[source[0]], position[source[1]]
        return found

    def runs(self, i: int) -> int:
        """Pieces that a fully connected layer gathers its inputs from."""
        return len(self.sources[i]) if self.shapes[i].kind == "fc" and len(self.sources[i]) > 1 else 0

    def stage_options(
        self, i: int, chunk: int, count: Counter[Chunk], lines: list[Line], scratch: int
    ) -> list[StageOption]:
        """Of one stage, whatever the others do; none where its rows at an edge have not enough scratch.

        Many chunks of the others leave it the same calls and lines.
        """
        key = i, chunk, scratch, frozenset(count.items()), tuple(lines)
        if (known := self._known_options.get(key)) is not None:
            return known
        if edge_bytes(self.shapes[i], chunk) > scratch:
            return []
        found = []
        for cost in self.options[i]:
            for carry in (False, True) if cost.has_carry and sum(count.values()) > 1 else (False,):
                found += self.packing_options(cost, i, chunk, count, lines, scratch, carry=carry)
        self._known_options[key] = found = pareto(found)
        return found

    @cached_property
    def _known_options(self) -> dict[tuple, list[StageOption]]:
        return {}

    def packing_options(
        self,
        cost: LayerCost,
        i: int,
        chunk: int,
        count: Counter[Chunk],
        lines: list[Line],
        scratch: int,
        *,
        carry: bool,
    ) -> list[StageOption]:
        """Of one stage in one packing."""
        edge = edge_bytes(cost.shape, chunk)
        price = sum(times * self._price(cost, i, part, carry, scratch, edge) for part, times in count.items())
        more = 4 * cost.shape.channels_out if carry else 0
        return [
            (more + longer, price + move, StageWay(chunk, length, carry, scratch > 0)) for longer, length, move in lines
        ]

    def rows_price(self, cost: LayerCost, i: int, rows: int, first: bool, carry: bool) -> float:
        """Instructions of a call for so many rows, none of them at an edge."""
        return self._price(cost, i, Chunk(((rows, False),), first), carry)

    def _price(self, cost: LayerCost, i: int, chunk: Chunk, carry: bool, scratch: int = 0, edge: int = 0) -> float:
        joined, runs = i in self.neighbours, self.runs(i)
        key = self.layers[i], cost.packing, chunk, carry, scratch, joined, runs, edge
        price = self.prices.get(key)
        if price is None:
            events = chunk_events(cost, chunk, carry=carry, scratch=scratch, joined=joined, runs=runs, edge=edge)
            price = self.prices[key] = instructions(events)
        return price
