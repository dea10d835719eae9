"""A schedule before it has offsets, and what turns it into a `Plan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ditmos.plan import NONE, Buffer, BufferKind, Plan, Slice, Stage, layer_table, slice_name
from ditmos.planner.layout import ALIGNMENT, Block, layout
from ditmos.spec import NetworkSpec


@dataclass
class Schedule:
    """Buffers (offsets still 0), and stages grouped in slices, in the order in which they run.

    lasting: buffers that share no byte with others, so that the next inference finds what they hold.
    """

    buffers: list[Buffer] = field(default_factory=list)
    slices: list[tuple[Literal["select", "classify"], list[Stage]]] = field(default_factory=list)
    window: int = NONE
    selector_logits: int = NONE
    logits: int = NONE
    lasting: set[int] = field(default_factory=set)

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

    def lives(self) -> list[tuple[int, int]]:
        """First and last step of each buffer. Step 0 is the arrival of the window, step i + 1 is slice i.

        Kept buffers live to the end, and so does the window if a classify slice reads it.
        """
        end = len(self.slices)
        lives: dict[int, tuple[int, int]] = {self.window: (0, 0)}
        for step, (_, stages) in enumerate(self.slices, 1):
            for stage in stages:
                for buffer in (stage.in0, stage.in1, stage.out, stage.carry, stage.scratch):
                    if buffer != NONE:
                        first, _ = lives.get(buffer, (step, step))
                        lives[buffer] = first, step
        for index, (first, _) in lives.items():
            if self.buffers[index].kept:
                lives[index] = first, end
            if index in self.lasting:
                lives[index] = 0, end
        return [lives[i] for i in range(len(self.buffers))]

    def plan(self, name: str, spec: NetworkSpec, packings: Sequence[int] = ()) -> Plan:
        """Lay the buffers out and freeze the schedule."""
        layers = layer_table(spec)
        # Fully connected layers read aligned words, or copy what they read.
        dense = {stage.in0 for _, stages in self.slices for stage in stages if layers[stage.layer].kind == "fc"}
        blocks = [
            Block(buffer.size, first, last, 1 if buffer.kind == BufferKind.MAP and i not in dense else ALIGNMENT)
            for i, (buffer, (first, last)) in enumerate(zip(self.buffers, self.lives(), strict=True))
        ]
        arena_size, offsets = layout(blocks)
        slices: list[Slice] = []
        stages: list[Stage] = []
        for phase, group in self.slices:
            slices.append(Slice(slice_name([layers[s.layer] for s in group]), len(stages), len(group), phase))
            stages += group
        return Plan(
            name=name,
            arena_size=arena_size,
            buffers=tuple(replace(b, offset=offset) for b, offset in zip(self.buffers, offsets, strict=True)),
            stages=tuple(stages),
            slices=tuple(slices),
            window=self.window,
            logits=self.logits,
            selector_logits=self.selector_logits,
            packings=tuple(packings) or (0,) * len(layers),
        )
