"""Dry run of a plan: the engine's pull schedule (docs/format.md, PLAN) with row counters and no arithmetic.

It is what accepts or refuses a plan on the host, as `cmodule/plan_dryrun.c` does on the device, and it tells the
planner which kernel calls a schedule leads to.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations

from ditmos.model.padding import rows_needed
from ditmos.model.plan import NONE, Plan, Slice, Stage
from ditmos.model.plan_tables import WINDOW, Tables, checker
from ditmos.model.spec import NetworkSpec

NOTHING = 1 << 31  # first row needed by a stage that has finished


@dataclass(frozen=True)
class Call:
    """One kernel call: rows ``first .. first + rows - 1`` of a stage's layer. ``slice`` and ``stage`` are indices.

    ``moved``: bytes that line buffers had to move down to make room for its output. ``carries``: sums come from the
    call before, which they do not in the first one, nor before the bytes that the plan gives them are free.
    """

    slice: int
    stage: int
    first: int
    rows: int
    moved: int
    carries: bool


@dataclass
class _Content:
    """Rows ``base .. end - 1`` of the map that ``layer`` makes."""

    layer: int
    base: int
    end: int


def simulate(spec: NetworkSpec, plan: Plan) -> list[Call]:
    """Check a plan and run it dry: select, classify, and, unless that is for once, classify again, after select where
    the first classify has overwritten what it needs.

    Returns:
        The kernel calls of one select and one classify.

    Raises:
        PlanError: the plan breaks a rule of docs/format.md.
    """
    run = _Run(spec, plan)
    run.check()
    run.load()
    calls = run.phase("select")
    run.check_results("select")
    calls += run.phase("classify")
    run.check_results("classify")
    if not plan.once:
        if not run.has_features():
            run.phase("select")
        run.phase("classify")
        run.check_results("classify")
    if plan.feed:
        run.check_window()
    return calls


def features_last(spec: NetworkSpec, plan: Plan) -> bool:
    """Whether classify leaves all that it reads of select as it was, so that a second one need not make it again."""
    run = _Run(spec, plan)
    run.load()
    for phase in ("select", "classify"):
        run.phase(phase)
    return run.has_features()


class _Run(Tables):
    """Tables, and how far each layer is."""

    def __init__(self, spec: NetworkSpec, plan: Plan) -> None:
        super().__init__(spec, plan)
        self.contents: dict[int, _Content] = {}
        self.done: dict[int, int] = {}

    def load(self) -> None:
        """The window arrives."""
        self.contents = {self.plan.window: _Content(WINDOW, 0, self.spec.window)}

    def check_window(self) -> None:
        """The window is still there: the next rows of a front end go behind it."""
        lasts = self._complete(self.plan.window, WINDOW)
        checker("plan", 0)(lasts, "the window does not last, as it must with a front end")

    def has_features(self) -> bool:
        """Whether all that classify reads of select is still there."""
        made: set[int] = set()
        for part in self.plan.slices:
            if part.phase == "classify":
                stages = self.plan.stages[part.first : part.first + part.count]
                made |= {stage.out for stage in stages}
                for stage in stages:
                    for operand, source in zip((stage.in0, stage.in1), self.sources[stage.layer], strict=False):
                        if operand not in made and not self._complete(operand, source):
                            return False
        return True

    def phase(self, phase: str) -> list[Call]:
        calls: list[Call] = []
        for i, part in enumerate(self.plan.slices):
            if part.phase == phase:
                self._slice(i, part, calls)
        return calls

    def check_results(self, phase: str) -> None:
        """Logits are there, and so are the kept maps."""
        need = checker("plan", 0)
        if phase == "classify" and not self.layers:
            return
        if phase == "classify":
            need(self._complete(self.plan.logits, len(self.layers) - 1), "the logits are not there after classify")
        elif self.spec.selector is not None:
            last = len(self.spec.selector_layers()) - 1
            need(self._complete(self.plan.selector_logits, last), "the selector's logits are not there after select")
        for i, buffer in enumerate(self.plan.buffers):
            if buffer.kept and phase == "select":
                content = self.contents.get(i)
                ok = content is not None and self._complete(i, content.layer)
                checker("buffer", i)(ok, "is kept, but does not hold a whole map after select")

    def _complete(self, index: int, layer: int) -> bool:
        content = self.contents.get(index)
        return content is not None and (content.layer, content.base, content.end) == (layer, 0, self.rows_of(layer))

    def _share(self, a: int, b: int) -> bool:
        """Whether two buffers share bytes."""
        one, other = self.plan.buffers[a], self.plan.buffers[b]
        return one.offset < other.end and other.offset < one.end

    def _write(self, index: int, spared: Collection[int] = ()) -> None:
        """What lies in other buffers on the same bytes is lost, but for ``spared`` ones."""
        for other in list(self.contents):
            if other not in spared and (other == index or self._share(index, other)):
                del self.contents[other]

    def _slice(self, index: int, part: Slice, calls: list[Call]) -> None:
        plan = self.plan
        stages = range(part.first, part.first + part.count)
        used: set[int] = set()
        self.producer: dict[int, int] = {}  # buffer: the stage that writes it
        self.readers: dict[int, list[int]] = {}
        self.done = {i: 0 for i in stages}
        for i in stages:
            stage, need = plan.stages[i], checker("stage", i)
            need(stage.out not in self.producer, f"writes buffer {stage.out}, as another stage of the slice does")
            self.producer[stage.out] = i
            for operand in (stage.in0, stage.in1):
                if operand != NONE:
                    self.readers.setdefault(operand, []).append(i)
                    later = any(s.out == operand for s in plan.stages[i : part.first + part.count])
                    need(not later, f"reads buffer {operand}, which a later stage of the slice writes")
            carries = [s.carry for s in plan.stages[part.first : i]]
            need(stage.carry == NONE or stage.carry not in carries, f"carry {stage.carry} is used twice in the slice")
            used |= {b for b in (stage.in0, stage.in1, stage.out, stage.carry, stage.scratch) if b != NONE}
        # Outputs and carries may take the place of maps that were there before, where nobody needs the rows any more.
        guests = {b for s in plan.stages[part.first : stages.stop] for b in (s.out, s.carry) if b != NONE}
        held = set(self.readers) - set(self.producer)
        self.overlaid = {b: [h for h in sorted(held) if self._share(b, h)] for b in sorted(guests)}
        self.carry_from: dict[int, int] = {}  # stage: row from which on its carry is in use
        for a, b in combinations(sorted(used), 2):
            allowed = b in self.overlaid.get(a, ()) or a in self.overlaid.get(b, ())
            clash = self._share(a, b) and not allowed
            checker("slice", index)(not clash, f"buffers {a} and {b} share bytes while both are in use")
        spared = {h for hosts in self.overlaid.values() for h in hosts}
        for i in stages:
            for b in (plan.stages[i].out, plan.stages[i].carry, plan.stages[i].scratch):
                if b != NONE:
                    self._write(b, spared)
        for i in stages:
            self.contents[plan.stages[i].out] = _Content(plan.stages[i].layer, 0, 0)
        for i in stages:
            stage = plan.stages[i]
            for operand, source in zip((stage.in0, stage.in1), self.sources[stage.layer], strict=False):
                content = self.contents.get(operand)
                ok = content is not None and content.layer == source
                name = "the window" if source == WINDOW else f"the map of {self.layers[source].name}"
                checker("stage", i)(ok, f"buffer {operand} does not hold {name}")
                ok = operand in self.producer or self._complete(operand, source)
                checker("stage", i)(ok, f"buffer {operand} holds some rows of {name}, and no stage here makes more")
        self._finish(index, stages[-1], calls)
        for i in stages:
            if self._is_whole(plan.stages[i]):
                self._finish(index, i, calls)
        for host in spared:
            self.contents.pop(host, None)

    def _is_whole(self, stage: Stage) -> bool:
        return self.plan.buffers[stage.out].rows == self.rows_of(stage.layer)

    def _finish(self, index: int, stage: int, calls: list[Call]) -> None:
        while self.done[stage] < self.rows_of(self.plan.stages[stage].layer):
            self._run(index, stage, calls)

    def _run(self, index: int, i: int, calls: list[Call]) -> None:
        """One chunk of stage i, after whatever it needs."""
        stage = self.plan.stages[i]
        layer = self.layers[stage.layer]
        rows = min(stage.chunk, layer.rows_out - self.done[i])
        operands = [self.contents[b] for b in (stage.in0, stage.in1) if b != NONE]
        if layer.kind != "fc":
            first, end = rows_needed(layer, self.done[i], rows)
        else:
            first, end = 0, self.rows_of(operands[0].layer)
        while (shortest := min(operands, key=lambda c: c.end)).end < end:
            buffer = (stage.in0, stage.in1)[operands.index(shortest)]
            need = checker("stage", i)
            need(buffer in self.producer, f"needs row {end - 1} of buffer {buffer}, which holds {shortest.end}")
            self._run(index, self.producer[buffer], calls)
        for content in operands:
            checker("stage", i)(content.base <= first, f"needs row {first}, dropped up to {content.base}")
        base = self.contents[stage.out].base
        moved = self._make_room(i, rows)
        self._check_output(i, rows, moving=self.contents[stage.out].base > base)
        self.contents[stage.out].end += rows
        carries = i in self.carry_from
        if stage.carry != NONE and not carries and not self._needed(stage.carry, *self._extent(stage.carry)):
            self.carry_from[i] = self.done[i]
        calls.append(Call(index, i, self.done[i], rows, moved, carries))
        self.done[i] += rows

    def _make_room(self, i: int, rows: int) -> int:
        """Drop rows of the stage's line buffer that nobody in the slice needs any more, if room is needed."""
        stage = self.plan.stages[i]
        buffer, content = self.plan.buffers[stage.out], self.contents[stage.out]
        if content.end - content.base + rows <= buffer.rows:
            return 0
        content.base = min((self._next_row(j) for j in self.readers.get(stage.out, ())), default=content.end)
        content.base = min(content.base, content.end)
        left = content.end - content.base
        checker("stage", i)(left + rows <= buffer.rows, f"{left} + {rows} rows do not fit into {buffer.rows}")
        return left * buffer.channels

    def _check_output(self, i: int, rows: int, *, moving: bool) -> None:
        """What stage i writes next must not fall on rows of another map that a stage still needs, itself included: its
        rows, and all of a line buffer whose rows move."""
        index = self.plan.stages[i].out
        out, content = self.plan.buffers[index], self.contents[index]
        first = out.offset + self.done[i] - content.base
        writes = [(first + channel * out.stride, rows) for channel in range(out.channels)]
        for begin, size in [*writes, self._extent(index)] if moving else writes:
            problem = self._needed(index, begin, size)
            checker("stage", i)(not problem, f"overwrites {problem}, which is still needed")

    def _extent(self, index: int) -> tuple[int, int]:
        """Offset and bytes of a buffer."""
        return self.plan.buffers[index].offset, self.plan.buffers[index].size

    def _needed(self, guest: int, begin: int, size: int) -> str:
        """What a stage still needs of other maps on these bytes of a buffer that shares bytes with them."""
        for index in self.overlaid[guest]:
            host = self.plan.buffers[index]
            dead = min(self._next_row(j) for j in self.readers[index])
            for byte in range(max(begin - host.offset, 0), min(begin + size - host.offset, host.size)):
                row = byte % host.stride
                if dead <= row < host.rows:
                    return f"row {row} of buffer {index}"
        return ""

    def _next_row(self, i: int) -> int:
        """First input row that stage i still needs."""
        layer = self.layers[self.plan.stages[i].layer]
        if self.done[i] == layer.rows_out:
            return NOTHING
        return rows_needed(layer, self.done[i], 1)[0] if layer.kind != "fc" else 0
