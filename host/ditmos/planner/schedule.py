"""A schedule before it has offsets, and what turns it into a `Plan`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ditmos.plan import NONE, Buffer, BufferKind, Plan, Slice, Stage, layer_table, slice_name
from ditmos.planner.layout import ALIGNMENT, Block, layout
from ditmos.spec import NetworkSpec


@dataclass
class Schedule:
    """Buffers (offsets still 0), and stages grouped in slices, in the order in which they run.

    lasting: buffers that share no byte with others, so that the next inference finds what they hold.
    overlays: maps that grow over another one as that is used up: their index -> (index of the other one, bytes by
    which they start before it); no map is both. durable: classify leaves the selector's maps as they are.
    """

    buffers: list[Buffer] = field(default_factory=list)
    slices: list[tuple[Literal["select", "classify"], list[Stage]]] = field(default_factory=list)
    window: int = NONE
    selector_logits: int = NONE
    logits: int = NONE
    lasting: set[int] = field(default_factory=set)
    overlays: dict[int, tuple[int, int]] = field(default_factory=dict)
    durable: bool = True

    def map(self, rows: int, channels: int, *, stride: int | None = None, kept: bool = False) -> int:
        """A map buffer; returns its index."""
        self.buffers.append(Buffer(BufferKind.MAP, 0, rows if stride is None else stride, rows, channels, kept))
        return len(self.buffers) - 1

    def carry(self, channels: int) -> int:
        self.buffers.append(Buffer(BufferKind.CARRY, 0, 0, 0, channels))
        return len(self.buffers) - 1

    def scratch(self, size: int) -> int:
        self.buffers.append(Buffer(BufferKind.SCRATCH, 0, size, 0, 0))
        return len(self.buffers) - 1

    def plan(self, name: str, spec: NetworkSpec, packings: Sequence[int] = ()) -> Plan:
        """Lay the buffers out and freeze the schedule."""
        layers = layer_table(spec)
        slices: list[Slice] = []
        stages: list[Stage] = []
        for phase, group in self.slices:
            slices.append(Slice(slice_name([layers[s.layer] for s in group]), len(stages), len(group), phase))
            stages += group
        plan = Plan(
            name=name,
            arena_size=0,
            buffers=tuple(self.buffers),
            stages=tuple(stages),
            slices=tuple(slices),
            window=self.window,
            logits=self.logits,
            selector_logits=self.selector_logits,
            packings=tuple(packings) or (0,) * len(layers),
        )
        # Fully connected layers read aligned words, or copy what they read.
        dense = {stage.in0 for stage in stages if layers[stage.layer].kind == "fc"}
        periods = lives(plan, self.lasting, durable=self.durable)
        ahead = dict.fromkeys(range(len(self.buffers)), 0)
        for guest, (host, distance) in self.overlays.items():
            ahead[host] = distance
            periods[host] = periods[host][0], max(periods[host][1], periods[guest][1])
        placed = [i for i in range(len(self.buffers)) if i not in self.overlays]
        blocks = [
            Block(
                self.buffers[i].size + ahead[i],
                *periods[i],
                1 if self.buffers[i].kind == BufferKind.MAP and i not in dense else ALIGNMENT,
            )
            for i in placed
        ]
        arena_size, found = layout(blocks)
        offsets = {i: offset + ahead[i] for i, offset in zip(placed, found, strict=True)}
        offsets |= {guest: offsets[host] - distance for guest, (host, distance) in self.overlays.items()}
        buffers = tuple(replace(b, offset=offsets[i]) for i, b in enumerate(self.buffers))
        return replace(plan, arena_size=arena_size, buffers=buffers)


def lives(plan: Plan, lasting: Collection[int] = (), *, durable: bool = True) -> list[tuple[int, int]]:
    """First and last step of each buffer. Step 0 is the arrival of the window, step i + 1 is slice i.

    Kept buffers live to the end, or until they are last read if classify is not ``durable``, but for the window, from
    which all can be made again. ``lasting`` ones live all the time.
    """
    end = len(plan.slices)
    found: dict[int, tuple[int, int]] = {plan.window: (0, 0)}
    for step, part in enumerate(plan.slices, 1):
        for stage in plan.stages[part.first : part.first + part.count]:
            for buffer in (stage.in0, stage.in1, stage.out, stage.carry, stage.scratch):
                if buffer != NONE:
                    first, _ = found.get(buffer, (step, step))
                    found[buffer] = first, step
    for index, (first, _) in found.items():
        if plan.buffers[index].kept and (durable or index == plan.window):
            found[index] = first, end
        if index in lasting:
            found[index] = 0, end
    return [found[i] for i in range(len(plan.buffers))]
