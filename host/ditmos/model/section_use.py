"""NAME, INPT, ROUT and META of a `.dtm`: what goes in, what comes out, and who answers."""

from __future__ import annotations

import json
from math import isfinite

from ditmos.model import records
from ditmos.model.container import ModelFileError, Span, need
from ditmos.model.inputs import MAX_MULTIPLIER, MAX_SHIFT, MAX_ZERO_POINT, InputChannel
from ditmos.model.parts import Reading, Writing
from ditmos.model.strings import read_names, write_names
from ditmos.model.use import MAX_MARGINS, MAX_POLICY, Rule, Use, problem_of_rule


def write_classes(writing: Writing) -> bytes:
    return write_names(writing.model.class_names)


def read_classes(reading: Reading, span: Span) -> None:
    reading.fields["class_names"] = read_names(reading.data, span, reading.network["classes"], "NAME")


def write_inputs(writing: Writing) -> bytes:
    model = writing.model
    data = records.INPUTS.pack(model.rate, len(model.inputs), 0)
    for c in model.inputs:
        flags = records.USED if c.used else 0
        data += records.INPUT.pack(c.scale, c.sample_scale, c.zero_point, c.multiplier, c.shift, flags, 0)
    return data + write_names(text for c in model.inputs for text in (c.name, c.units))


def read_inputs(reading: Reading, span: Span) -> None:
    """INPT: rate, a record for each channel of a row, then the names and units of all."""
    data = reading.data
    need(span.size >= records.INPUTS.size, "INPT", span.begin, f"has {span.size} bytes, expected at least 8")
    rate, count, zero = records.INPUTS.unpack_from(data, span.begin)
    older = "of an older ditmos, export the model again"  # it had a scale there, which is never 0
    need(zero == 0, "INPT reserved", span.begin + 6, f"is {zero}, expected 0: {older}")
    size = records.INPUTS.size + count * records.INPUT.size
    need(span.size >= size, "INPT", span.begin, f"has {span.size} bytes, expected {size} and names")
    need(isfinite(rate) and rate >= 0, "INPT rate", span.begin, f"is {rate}, expected rows per second, or 0")
    texts = read_names(data, Span(span.begin + size, span.size - size), 2 * count, "INPT names")
    inputs = []
    for i in range(count):
        at = span.begin + records.INPUTS.size + i * records.INPUT.size
        scale, sample_scale, zero_point, multiplier, shift, flags, zero = records.INPUT.unpack_from(data, at)
        for field, offset, value, ok in (
            ("scale", 0, scale, isfinite(scale) and scale > 0),
            ("sample_scale", 4, sample_scale, isfinite(sample_scale) and sample_scale > 0),
            ("zero_point", 8, zero_point, abs(zero_point) <= MAX_ZERO_POINT),
            ("multiplier", 12, multiplier, 1 <= multiplier <= MAX_MULTIPLIER),
            ("shift", 16, shift, 1 <= shift <= MAX_SHIFT),
            ("flags", 17, flags, flags <= records.USED),
            ("reserved", 18, zero, zero == 0),
        ):
            if not ok:
                raise ModelFileError(f"INPT channel {i} {field}", at + offset, f"is {value}: out of range")
        name, units = texts[2 * i], texts[2 * i + 1]
        told = flags == records.USED
        inputs.append(InputChannel(name, units, scale, zero_point, sample_scale, told, multiplier, shift))
    used = sum(channel.used for channel in inputs)
    network = reading.network["channels"]
    need(used == network, "INPT channels", span.begin + 4, f"{used} channels are used, the network reads {network}")
    reading.fields["rate"] = rate
    reading.fields["inputs"] = tuple(inputs)


def write_routing(writing: Writing) -> bytes:
    use = writing.model.use
    data = records.ROUTING.pack(use.rule, len(use.margins), 0)
    for margin in use.margins:
        data += records.MARGIN.pack(margin)
    return data + write_names([use.policy])


def read_routing(reading: Reading, span: Span) -> None:
    """ROUT: the rule, then the policy's margins and its name."""
    data, begin = reading.data, span.begin
    need(span.size >= records.ROUTING.size, "ROUT", begin, f"has {span.size} bytes, expected at least 4")
    rule, count, zero = records.ROUTING.unpack_from(data, begin)
    need(rule in list(Rule), "ROUT rule", begin, f"is {rule}, expected 0 to {max(Rule)}")
    need(count <= MAX_MARGINS, "ROUT margins", begin + 1, f"is {count}, expected at most {MAX_MARGINS}")
    need(zero == 0, "ROUT reserved", begin + 2, f"is {zero}, expected 0")
    at = begin + records.ROUTING.size + count * records.MARGIN.size
    need(at <= span.end, "ROUT margins", begin + 1, f"is {count}, but the section has {span.size} bytes")
    margins = [
        records.MARGIN.unpack_from(data, begin + records.ROUTING.size + i * records.MARGIN.size)[0]
        for i in range(count)
    ]
    (policy,) = read_names(data, Span(at, span.end - at), 1, "ROUT policy")
    good = policy.isascii() and policy.isidentifier() and len(policy) <= MAX_POLICY
    need(good, "ROUT policy", at, f"is {policy!r}, expected a name of at most {MAX_POLICY} letters")
    problem = problem_of_rule(reading.spec, Rule(rule))
    need(not problem, "ROUT rule", begin, problem)
    reading.fields["use"] = Use(policy, Rule(rule), tuple(margins))


def write_metadata(writing: Writing) -> bytes:
    metadata = writing.model.metadata
    return json.dumps(metadata, ensure_ascii=False, sort_keys=True).encode() if metadata else b""


def read_metadata(reading: Reading, span: Span) -> None:
    try:
        value = json.loads(reading.data[span.begin : span.end].decode())
    except (ValueError, RecursionError) as error:
        raise ModelFileError("META", span.begin, f"is not JSON: {error}") from None
    need(isinstance(value, dict), "META", span.begin, "is not a JSON object")
    reading.fields["metadata"] = value
