"""A schedule before it has offsets, and what turns it into a `Plan`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

from ditmos.frontends.memory import Memory
from ditmos.model.layer_shape import LayerShape
from ditmos.model.plan import NONE, Buffer, BufferKind, Feed, Phase, Plan, Slice, Stage, layer_table, slice_name
from ditmos.model.spec import NetworkSpec
from ditmos.planner.layout import ALIGNMENT, Block, Part, layout

KEPT, WORK = -1, -2  # what a front end works in, among the indices of buffers


@dataclass
class Schedule:
    """Buffers (offsets still 0), and stages grouped in slices, in the order in which they run.

    lasting: buffers that share no byte with others, so that the next inference finds what they hold.
    attached: buffers that lie so many bytes behind the start of another one (before it: negative), which itself is not
    attached: index -> (index of the other one, bytes). residues: of a buffer's offset divided by 4, where it matters.
    durable: classify leaves the selector's maps as they are; once: classify may use up the window.
    feed: bytes that a front end keeps and those it works in; the window then lasts.
    """

    buffers: list[Buffer] = field(default_factory=list)
    slices: list[tuple[Phase, list[Stage]]] = field(default_factory=list)
    window: int = NONE
    selector_logits: int = NONE
    logits: int = NONE
    lasting: set[int] = field(default_factory=set)
    attached: dict[int, tuple[int, int]] = field(default_factory=dict)
    residues: dict[int, int] = field(default_factory=dict)
    durable: bool = True
    once: bool = False
    feed: Memory | None = None

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
            once=self.once,
        )
        if self.feed:
            self.lasting.add(self.window)
        offsets, arena_size = self._offsets(plan, layers)
        buffers = tuple(replace(b, offset=offsets[i]) for i, b in enumerate(self.buffers))
        feed = Feed(offsets[KEPT], self.feed.kept, offsets[WORK], self.feed.work) if self.feed else None
        return replace(plan, arena_size=arena_size, buffers=buffers, feed=feed)

    def _offsets(self, plan: Plan, layers: Sequence[LayerShape]) -> tuple[dict[int, int], int]:
        """Where each buffer starts, and what a front end works in; bytes of the arena."""
        # Fully connected layers read aligned words, or copy what they read.
        dense = {stage.in0 for stage in plan.stages if layers[stage.layer].kind == "fc"}
        periods = lives(plan, self.lasting, durable=self.durable)
        aligned = dense | {i for i, b in enumerate(self.buffers) if b.kind != BufferKind.MAP} | set(self.residues)
        lines = {s.out for s in plan.stages if self.buffers[s.out].rows < layers[s.layer].rows_out}
        # Rows of line buffers move faster at aligned addresses, but that is worth no byte.
        return min((self._layout(periods, aligned | some) for some in (lines, set())), key=itemgetter(1))

    def _layout(self, periods: Sequence[tuple[int, int]], aligned: Collection[int]) -> tuple[dict[int, int], int]:
        attached: dict[int, list[Part]] = {}
        for i, (anchor, offset) in self.attached.items():
            attached.setdefault(anchor, []).append(Part(offset, self.buffers[i].size, *periods[i]))
        placed = [i for i in range(len(self.buffers)) if i not in self.attached]
        blocks = [
            Block(
                self.buffers[i].size,
                *periods[i],
                ALIGNMENT if i in aligned else 1,
                self.residues.get(i, 0),
                tuple(attached.get(i, ())),
            )
            for i in placed
        ]
        if self.feed:  # rows are made when the window arrives
            end = max(last for _, last in periods)
            placed += [KEPT, WORK]
            blocks += [Block(self.feed.kept, 0, end, ALIGNMENT), Block(self.feed.work, 0, 0, ALIGNMENT)]
        arena_size, found = layout(blocks)
        offsets = dict(zip(placed, found, strict=True))
        offsets |= {i: offsets[anchor] + offset for i, (anchor, offset) in self.attached.items()}
        return offsets, arena_size


def lives(plan: Plan, lasting: Collection[int] = (), *, durable: bool = True) -> list[tuple[int, int]]:
    """First and last step of each buffer. Step 0 is the arrival of the window, step i + 1 is slice i.

    Kept buffers live to the end, or until they are last read if classify is not ``durable``, but for the window, from
    which all can be made again unless the plan is for ``once``. ``lasting`` ones live all the time.
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
        if plan.buffers[index].kept and (durable or (index == plan.window and not plan.once)):
            found[index] = first, end
        if index in lasting:
            found[index] = 0, end
    return [found[i] for i in range(len(plan.buffers))]
