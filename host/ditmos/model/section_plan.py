"""PLAN of a `.dtm`: its tables, and a dry run of what they say."""

from __future__ import annotations

from ditmos.model import records
from ditmos.model.container import ModelFileError, Span, need
from ditmos.model.dryrun import simulate
from ditmos.model.parts import Reading, Writing
from ditmos.model.plan import PHASES, Buffer, BufferKind, Plan, Slice, Stage, layer_table, slice_name
from ditmos.model.plan_tables import PlanError


def write_plan(writing: Writing) -> bytes:
    plan = writing.plan
    data = records.PLAN.pack(
        plan.arena_size,
        len(plan.buffers),
        len(plan.stages),
        len(plan.slices),
        plan.window,
        plan.selector_logits,
        plan.logits,
        records.ONCE if plan.once else 0,
        0,
        0,
    )
    for b in plan.buffers:
        flags = records.KEPT if b.kept else 0
        data += records.BUFFER.pack(b.offset, b.stride, b.rows, b.channels, BufferKind(b.kind), flags)
    for s in plan.stages:
        data += records.STAGE.pack(s.layer, s.in0, s.in1, s.out, s.carry, s.scratch, s.chunk)
    for part in plan.slices:
        data += records.SLICE.pack(part.first, part.count, PHASES.index(part.phase), 0)
    return data


def read_plan(reading: Reading, span: Span) -> None:
    data, (start, size) = reading.data, span
    need(size >= records.PLAN.size, "PLAN", start, f"has {size} bytes, expected at least {records.PLAN.size}")
    fields = records.PLAN.unpack_from(data, start)
    arena, buffers, stages, slices, window, selector_logits, logits, flags, *reserved = fields
    once = flags == records.ONCE
    need(flags <= records.ONCE, "PLAN flags", start + 10, f"is {flags}, expected 0 or 1")
    need(not any(reserved), "PLAN reserved", start + 11, "is not 0")
    starts = {"plan": (start, 0), "buffer": (start + records.PLAN.size, records.BUFFER.size)}
    starts["stage"] = (starts["buffer"][0] + buffers * records.BUFFER.size, records.STAGE.size)
    starts["slice"] = (starts["stage"][0] + stages * records.STAGE.size, records.SLICE.size)
    end = starts["slice"][0] + slices * records.SLICE.size
    need(end - start == size, "PLAN", start, f"has {size} bytes, expected {end - start} for its tables")

    def at(table: str, i: int) -> int:
        return starts[table][0] + i * starts[table][1]

    # The messages of these many checks are put together only where one fails.
    buffer_list = []
    tables = memoryview(data)[:end]
    for i, record in enumerate(records.BUFFER.iter_unpack(tables[starts["buffer"][0] : starts["stage"][0]])):
        offset, stride, rows, channels, kind, kept = record
        if kind > 2:
            raise ModelFileError(f"PLAN buffer {i} kind", at("buffer", i) + 10, f"is {kind}, expected 0, 1 or 2")
        if kept > records.KEPT:
            raise ModelFileError(f"PLAN buffer {i} flags", at("buffer", i) + 11, f"is {kept}, expected 0 or 1")
        buffer_list.append(Buffer(BufferKind(kind), offset, stride, rows, channels, kept == records.KEPT))
    stage_list = []
    for record in records.STAGE.iter_unpack(tables[starts["stage"][0] : starts["slice"][0]]):
        layer, in0, in1, out, carry, scratch, chunk = record
        stage_list.append(Stage(layer, in0, out, chunk, in1, carry, scratch))
    layers = layer_table(reading.spec)
    slice_list = []
    for i, (first, count, phase, zero) in enumerate(records.SLICE.iter_unpack(tables[starts["slice"][0] :])):
        if phase > 1:
            raise ModelFileError(f"PLAN slice {i} phase", at("slice", i) + 2, f"is {phase}, expected 0 or 1")
        if zero:
            raise ModelFileError(f"PLAN slice {i} reserved", at("slice", i) + 3, f"is {zero}, expected 0")
        members = [layers[s.layer] for s in stage_list[first : first + count] if s.layer < len(layers)]
        slice_list.append(Slice(slice_name(members) if members else "", first, count, PHASES[phase]))
    plan = Plan(
        name="file",
        arena_size=arena,
        buffers=tuple(buffer_list),
        stages=tuple(stage_list),
        slices=tuple(slice_list),
        window=window,
        logits=logits,
        selector_logits=selector_logits,
        packings=reading.packings,
        once=once,
    )
    try:
        simulate(reading.spec, plan)
    except PlanError as error:
        field = "PLAN" if error.table == "plan" else f"PLAN {error.table} {error.index}"
        raise ModelFileError(field, at(error.table, error.index), error.message) from None
    reading.plan = plan
