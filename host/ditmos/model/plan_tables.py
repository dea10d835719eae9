"""What can be said of a plan's tables without running it (docs/format.md, PLAN)."""

from __future__ import annotations

from collections.abc import Callable

from ditmos.errors import DitmosError
from ditmos.model.padding import edge_bytes
from ditmos.model.plan import (
    MAX_BUFFERS,
    MAX_SLICES,
    MAX_STAGES,
    NONE,
    BufferKind,
    Feed,
    Plan,
    Slice,
    Stage,
    layer_table,
)
from ditmos.model.spec import NetworkSpec

WINDOW = -1  # "layer" that the window comes from
MAX_ARENA = 1 << 24


class PlanError(DitmosError, ValueError):
    """A plan that cannot run; ``table`` and ``index`` say where (table: plan, buffer, stage or slice)."""

    def __init__(self, table: str, index: int, message: str) -> None:
        super().__init__(f"plan: {table} {index}: {message}" if table != "plan" else f"plan: {message}")
        self.table = table
        self.index = index
        self.message = message


def checker(table: str, index: int) -> Callable[[bool, str], None]:
    """A function that raises PlanError with its second argument where the first is false."""

    def need(ok: bool, message: str) -> None:
        if not ok:
            raise PlanError(table, index, message)

    return need


def producers(spec: NetworkSpec) -> list[tuple[int, ...]]:
    """For each layer the layers whose maps it reads, in operand order; `WINDOW` for the window."""
    layers = layer_table(spec)
    by_level = {(s.branch, s.inputs[0].level + 1): i for i, s in enumerate(layers) if s.kind != "fc"}
    by_level["selector", 0] = WINDOW
    return [
        tuple(by_level[ref.branch, ref.level] for ref in shape.inputs) if shape.inputs else (i - 1,)
        for i, shape in enumerate(layers)
    ]


class Tables:
    """A plan beside the layers that it is for.

    layers: in the order of the model file. sources: for each, the layers whose maps it reads (`producers`).
    """

    def __init__(self, spec: NetworkSpec, plan: Plan) -> None:
        self.spec = spec
        self.plan = plan
        self.layers = layer_table(spec)
        self.sources = producers(spec)

    def rows_of(self, layer: int) -> int:
        return self.spec.window if layer == WINDOW else self.layers[layer].rows_out

    def channels_of(self, layer: int) -> int:
        return self.spec.channels if layer == WINDOW else self.layers[layer].channels_out

    def check(self) -> None:
        """Raises PlanError: sizes, kinds, indices or shapes that cannot be."""
        plan = self.plan
        need = checker("plan", 0)
        least = 1 if self.layers else 0
        for what, table, fewest, most in (
            ("buffers", plan.buffers, 1, MAX_BUFFERS),
            ("stages", plan.stages, least, MAX_STAGES),
            ("slices", plan.slices, least, MAX_SLICES),
        ):
            need(fewest <= len(table) <= most, f"has {len(table)} {what}, expected {fewest} to {most}")
        for i, buffer in enumerate(plan.buffers):
            need = checker("buffer", i)
            need(buffer.size > 0, "has no bytes")
            need(buffer.end <= plan.arena_size, f"ends at byte {buffer.end} of an arena of {plan.arena_size}")
            if buffer.kind == BufferKind.MAP:
                need(1 <= buffer.rows <= buffer.stride, f"has {buffer.rows} rows and stride {buffer.stride}")
            else:
                need(buffer.offset % 4 == 0, f"starts at {buffer.offset}, expected a multiple of 4")
                unused = (buffer.stride if buffer.kind == BufferKind.CARRY else buffer.channels, buffer.rows)
                need(unused == (0, 0), "has the fields of a map, but is not a map")
                need(not buffer.kept, "is kept, but is not a map")
        need = checker("plan", 0)
        ok = plan.arena_size % 4 == 0 and plan.arena_size < MAX_ARENA
        need(ok, f"arena of {plan.arena_size} bytes, expected a multiple of 4 below {MAX_ARENA}")
        self._check_map(need, "window", plan.window, WINDOW, whole=True)
        if plan.feed:
            self._check_feed(need, plan.feed)
        if self.layers:
            self._check_map(need, "logits", plan.logits, len(self.layers) - 1, whole=True)
        else:
            need(plan.logits == NONE, "names logits, but there is no network")
        if self.spec.selector is None:
            need(plan.selector_logits == NONE, "names selector logits, but there is no selector")
        else:
            last = len(self.spec.selector_layers()) - 1
            self._check_map(need, "selector logits", plan.selector_logits, last, whole=True)
        stages = 0
        for i, part in enumerate(plan.slices):
            need = checker("slice", i)
            need(part.first == stages, f"starts with stage {part.first}, expected {stages}")
            need(part.count >= 1, "has no stages")
            after = i > 0 and plan.slices[i - 1].phase == "classify"
            need(part.phase == "classify" or not after, "is a select slice after a classify slice")
            stages += part.count
            need(stages <= len(plan.stages), f"ends after stage {stages} of {len(plan.stages)}")
            for j in range(part.first, stages):
                self._check_stage(checker("stage", j), plan.stages[j], part)
        checker("plan", 0)(stages == len(plan.stages), f"has {len(plan.stages)} stages, {stages} of them in slices")

    def _check_feed(self, need: Callable[[bool, str], None], feed: Feed) -> None:
        """What is kept lies alone; work lies beside the window."""
        spans = [("kept", feed.kept, feed.kept_size), ("work", feed.work, feed.work_size)]
        for name, begin, size in spans:
            need(begin % 4 == 0, f"front end: {name} starts at {begin}, expected a multiple of 4")
            need(begin + size <= self.plan.arena_size, f"front end: {name} ends at {begin + size}, beyond the arena")
        apart = feed.work >= feed.kept + feed.kept_size or feed.kept >= feed.work + feed.work_size
        need(apart or not feed.work_size, "front end: what it keeps and works in share bytes")
        for i, buffer in enumerate(self.plan.buffers):
            for name, begin, size in spans[: 2 if i == self.plan.window else 1]:
                shared = size and buffer.offset < begin + size and begin < buffer.end
                need(not shared, f"front end: {name} shares bytes with buffer {i}")

    def _check_stage(self, need: Callable[[bool, str], None], stage: Stage, part: Slice) -> None:
        need(0 <= stage.layer < len(self.layers), f"layer is {stage.layer}, expected less than {len(self.layers)}")
        layer, sources = self.layers[stage.layer], self.sources[stage.layer]
        need(part.phase == "classify" or layer.branch == "selector", f"{layer.name} in a select slice")
        need(1 <= stage.chunk <= layer.rows_out, f"chunk is {stage.chunk}, expected 1 to {layer.rows_out}")
        whole = layer.kind == "fc"
        self._check_map(need, "out", stage.out, stage.layer, whole)
        need(not whole or self.plan.buffers[stage.out].stride == 1, f"{layer.name} writes a stride other than 1")
        self._check_map(need, "in0", stage.in0, sources[0], whole)
        if len(sources) == 2:
            self._check_map(need, "in1", stage.in1, sources[1], whole)
        else:
            need(stage.in1 == NONE, f"{layer.name} reads one operand, in1 is {stage.in1}")
        for name, index, kind in (
            ("carry", stage.carry, BufferKind.CARRY),
            ("scratch", stage.scratch, BufferKind.SCRATCH),
        ):
            if index != NONE:
                need(index < len(self.plan.buffers), f"{name} is buffer {index} of {len(self.plan.buffers)}")
                need(self.plan.buffers[index].kind == kind, f"{name} is buffer {index}, which is of another kind")
        size = self.plan.buffers[stage.scratch].size if stage.scratch != NONE else 0
        edge = edge_bytes(layer, stage.chunk)
        need(size >= edge, f"scratch has {size} bytes, expected {edge} for rows at the edge of {layer.name}")
        if stage.carry != NONE:
            channels = self.plan.buffers[stage.carry].channels
            need(channels == layer.channels_out, f"carry has {channels} channels, expected {layer.channels_out}")

    def _check_map(self, need: Callable[[bool, str], None], what: str, index: int, layer: int, whole: bool) -> None:
        """Buffer ``index`` can hold the map of ``layer``; ``whole``: all of it."""
        need(index < len(self.plan.buffers), f"{what} is buffer {index} of {len(self.plan.buffers)}")
        buffer = self.plan.buffers[index]
        rows, channels = self.rows_of(layer), self.channels_of(layer)
        need(buffer.kind == BufferKind.MAP, f"{what} is buffer {index}, which is not a map")
        need(buffer.channels == channels, f"{what} has {buffer.channels} channels, expected {channels}")
        need(buffer.rows == rows if whole else buffer.rows <= rows, f"{what} has {buffer.rows} rows for {rows}")
