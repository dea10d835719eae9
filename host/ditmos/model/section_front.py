"""FRNT of a `.dtm`: the front end, and where in the arena it works (`ditmos.frontends.section`)."""

from __future__ import annotations

from dataclasses import replace

from ditmos.errors import DitmosError
from ditmos.frontends.memory import memory
from ditmos.frontends.section import SectionError, decode, encode
from ditmos.model.container import ModelFileError, Span, need
from ditmos.model.dryrun import simulate
from ditmos.model.parts import Reading, Writing
from ditmos.model.plan import Feed
from ditmos.model.plan_tables import PlanError


def write_front(writing: Writing) -> bytes:
    front, feed = writing.model.front_end, writing.plan.feed
    if front is None and feed is None:
        return b""
    if front is None or feed is None:
        raise DitmosError(f"plan: is for a model {'with' if feed else 'without'} a front end")
    needed = memory(front, writing.model.spec.window)
    if (feed.kept_size, feed.work_size) != (needed.kept, needed.work):
        raise DitmosError(f"plan: is for another front end, expected {needed.kept} and {needed.work} bytes")
    return encode(front, feed.kept, feed.work)


def read_front(reading: Reading, span: Span) -> None:
    """After PLAN, in whose arena the front end works."""
    plan, spec = reading.plan, reading.spec
    assert plan
    try:
        section = decode(reading.data[span.begin : span.end])
    except SectionError as error:
        raise ModelFileError(error.field, span.begin + error.offset, error.message) from None
    made, said = section.front.channels_out, len(reading.fields["inputs"])
    need(made == said, "FRNT", span.begin, f"rows have {made} channels, INPT describes {said}")
    try:
        section.front.check_window(spec.window)
    except DitmosError as error:
        raise ModelFileError("FRNT", span.begin, str(error)) from None
    needed = memory(section.front, spec.window)
    for name, at, begin, size in (
        ("kept", 12, section.kept, needed.kept),
        ("work", 16, section.work, needed.work),
    ):
        fits = begin + size <= plan.arena_size
        need(fits, f"FRNT {name}", span.begin + at, f"ends at {begin + size}, the arena at {plan.arena_size}")
    reading.plan = replace(plan, feed=Feed(section.kept, needed.kept, section.work, needed.work))
    try:
        simulate(spec, reading.plan)
    except PlanError as error:
        raise ModelFileError("FRNT", span.begin, error.message) from None
    reading.fields["front_end"] = section.front
