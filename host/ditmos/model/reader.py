"""Read a `.dtm` and trust none of it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from ditmos.errors import DitmosError
from ditmos.model import records
from ditmos.model.dryrun import simulate
from ditmos.model.packings import PackingError, unpack
from ditmos.model.plan import PHASES, Buffer, BufferKind, Plan, Slice, Stage, layer_table, slice_name
from ditmos.model.plan_tables import PlanError
from ditmos.model.quantized import INT32_MAX, QuantizedLayer, QuantizedModel, accumulator_bound
from ditmos.model.spec import MAX_CLASSIFIERS, BranchSpec, ConvSpec, LayerShape, NetworkSpec

REQUIRED = (b"NETW", b"NAME", b"LAYR", b"PLAN", b"WGHT")


class ModelFileError(DitmosError, ValueError):
    """What is wrong with a file: ``field`` and the ``offset`` in the file where it lies."""

    def __init__(self, field: str, offset: int, message: str) -> None:
        super().__init__(f"{field} at offset {offset}: {message}")
        self.field = field
        self.offset = offset


def need(ok: bool, field: str, offset: int, message: str) -> None:
    if not ok:
        raise ModelFileError(field, offset, message)


def read_model(path: str | Path) -> tuple[QuantizedModel, Plan]:
    """Read and validate a model file.

    Raises:
        DitmosError: the file cannot be read; `ModelFileError`: it is no valid model.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DitmosError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return decode(data)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error.field}", error.offset, str(error).partition(": ")[2]) from None


def decode(data: bytes) -> tuple[QuantizedModel, Plan]:
    """Inverse of `encode`. Raises ModelFileError at the first violation."""
    sections = _sections(data)
    network = _Network(data, *sections[b"NETW"])
    shapes, table = network.layers(*sections[b"LAYR"])
    names = _names(data, *sections[b"NAME"], network.values["classes"])
    plan = _plan(data, *sections[b"PLAN"], network.spec, tuple(row["packing"] for row in table))
    selector, classifiers = network.weights(shapes, table, *sections[b"WGHT"])
    values = network.values
    model = QuantizedModel(
        spec=network.spec,
        selector=selector,
        classifiers=classifiers,
        class_names=names,
        metadata=_metadata(data, *sections[b"META"]) if b"META" in sections else {},
        **{name: values[name] for name in ("input_scale", "sample_scale", "selector_scale", "logit_scale")},
        **{name: values[name] for name in ("input_zero_point", "selector_zero_point", "logit_zero_point")},
    )
    return model, plan


def _sections(data: bytes) -> dict[bytes, tuple[int, int]]:
    """Header and table checked; offset and length of each section by tag."""
    need(data[:4] == records.MAGIC, "magic", 0, f"is {data[:4]!r}, expected {records.MAGIC!r}: not a model file")
    need(len(data) >= records.HEADER.size, "header", len(data), f"file ends, expected {records.HEADER.size} bytes")
    _, version, count, length, crc = records.HEADER.unpack_from(data)
    need(version == records.VERSION, "version", 4, f"is {version}, expected {records.VERSION}")
    need(length == len(data), "length", 8, f"is {length}, but the file has {len(data)} bytes")
    table_end = records.HEADER.size + count * records.SECTION.size
    need(table_end <= length, "sections", 6, f"is {count}, but the table does not fit into {length} bytes")
    actual = zlib.crc32(data[records.CRC_START :])
    need(crc == actual, "crc", 12, f"is {crc:#010x}, but the contents have {actual:#010x}")
    sections: dict[bytes, tuple[int, int]] = {}
    taken: list[tuple[int, int]] = [(0, table_end)]
    for i in range(count):
        at = records.HEADER.size + i * records.SECTION.size
        tag, offset, size = records.SECTION.unpack_from(data, at)
        name = f"section {tag.decode('ascii', 'replace')}"
        need(tag not in sections, name, at, "appears twice")
        need(offset % 4 == 0, f"{name} offset", at + 4, f"is {offset}, expected a multiple of 4")
        need(offset <= length, f"{name} offset", at + 4, f"is {offset}, beyond the end at {length}")
        need(size <= length - offset, f"{name} length", at + 8, f"is {size}, beyond the end at {length}")
        clash = any(offset < end and start < offset + size for start, end in taken)
        need(not clash, f"{name} offset", at + 4, f"is {offset}: overlaps another section")
        taken.append((offset, offset + size))
        sections[tag] = offset, size
    for tag in REQUIRED:
        need(tag in sections, "sections", 6, f"there is no {tag.decode()} section")
    return sections


class _Network:
    """NETW, and what else follows from the shape of the network."""

    def __init__(self, data: bytes, start: int, size: int) -> None:
        self.data = data
        need(size == records.NETWORK.size, "NETW", start, f"has {size} bytes, expected {records.NETWORK.size}")
        values = records.NETWORK.unpack_from(data, start)
        self.values: dict[str, Any] = dict(zip(records.NETWORK_FIELDS, values, strict=True))
        self.at = {name: start + at for name, at in zip(records.NETWORK_FIELDS, records.NETWORK_OFFSETS, strict=True)}
        v = self.values
        for name in ("window", "channels", "classes"):
            self._need(v[name] >= 1, name, "is 0")
        self._need(1 <= v["classifiers"] <= MAX_CLASSIFIERS, "classifiers", f"expected 1 to {MAX_CLASSIFIERS}")
        for name in ("input_scale", "sample_scale", "selector_scale", "logit_scale"):
            self._need(isfinite(v[name]) and v[name] > 0, name, "expected a positive number")
        for name in ("input_zero_point", "selector_zero_point", "logit_zero_point"):
            self._need(-128 <= v[name] <= 127, name, "expected -128 to 127")
        self._need(v["reserved"] == 0, "reserved", "expected 0")
        self._need(v["classifier_stride"] % 4 == 0, "classifier_stride", "expected a multiple of 4")
        has_selector = v["selector layers"] > 0
        self._need(has_selector == (v["selector_outputs"] > 0), "selector_outputs", "does not fit the selector layers")
        self._need(v["classifier layers"] >= 1, "classifier layers", "expected at least 1")

    def _need(self, ok: bool, name: str, message: str) -> None:
        need(ok, f"NETW {name}", self.at[name], f"is {self.values[name]}: {message}")

    def layers(self, start: int, size: int) -> tuple[tuple[LayerShape, ...], list[dict[str, int]]]:
        """LAYR: shapes that the specification gives, and the records, found to be equal."""
        v = self.values
        counts = v["selector layers"], v["classifier layers"]
        expected = sum(counts) * records.LAYER.size
        need(size == expected, "LAYR", start, f"has {size} bytes, expected {expected} for {sum(counts)} layers")
        rows = [
            dict(zip(records.LAYER_FIELDS, records.LAYER.unpack_from(self.data, start + i), strict=True))
            for i in range(0, size, records.LAYER.size)
        ]
        for i, row in enumerate(rows):
            need(row["kind"] < 2, "LAYR kind", start + i * records.LAYER.size, f"is {row['kind']}, expected 0 or 1")
        try:
            self.spec = NetworkSpec(
                window=v["window"],
                channels=v["channels"],
                classes=v["classes"],
                classifiers=v["classifiers"],
                classifier=_branch(rows[counts[0] :]),
                selector=_branch(rows[: counts[0]]) if counts[0] else None,
                start=v["start"],
                aggregate=tuple(level for level in range(32) if v["aggregate"] >> level & 1),
                selector_outputs=v["selector_outputs"],
            )
        except DitmosError as error:
            raise ModelFileError("LAYR", start, f"does not make a network: {error}") from None
        shapes = layer_table(self.spec)
        need(len(shapes) == len(rows), "LAYR", start, "fully connected layers do not come last")
        end = 0
        for i, (shape, row) in enumerate(zip(shapes, rows, strict=True)):
            end = 0 if i == counts[0] else end  # offsets of a classifier's layers count from its block
            zero_point = v["selector_zero_point" if shape.branch == "selector" else "logit_zero_point"]
            wanted = (
                *(records.KINDS.index(shape.kind), shape.relu, shape.kernel, shape.stride, shape.pool, row["packing"]),
                *(-128 if shape.relu else zero_point, 0, shape.channels_in, shape.rows_in, shape.channels_out),
                *(shape.rows_out, shape.input_channels[0], 0, end, row["weights bytes"]),
            )
            record = start + i * records.LAYER.size
            values = records.LAYER.unpack_from(self.data, record)
            for name, offset, value, expected in zip(
                records.LAYER_FIELDS, records.LAYER_OFFSETS, values, wanted, strict=True
            ):
                field = f"LAYR {shape.name} {name}"
                need(value == expected, field, record + offset, f"is {value}, expected {int(expected)}")
            size = row["weights bytes"]
            need(size % 4 == 0, f"LAYR {shape.name} weights bytes", record + 24, f"is {size}, expected a multiple of 4")
            end += size
        return shapes, rows

    def weights(
        self, shapes: Sequence[LayerShape], table: Sequence[dict[str, int]], start: int, size: int
    ) -> tuple[tuple[QuantizedLayer, ...], tuple[tuple[QuantizedLayer, ...], ...]]:
        """WGHT: the selector's layers, and those of each classifier."""
        first = self.values["selector layers"]
        stride = self.values["classifier_stride"]
        ends = [sum(row["weights bytes"] for row in rows) for rows in (table[:first], table[first:])]
        self._need(ends[1] == stride, "classifier_stride", f"the layers of a classifier have {ends[1]} bytes")
        total = ends[0] + self.values["classifiers"] * stride
        need(size == total, "WGHT", start, f"has {size} bytes, expected {total}")

        def block(base: int, rows: Sequence[dict[str, int]], part: Sequence[LayerShape]) -> tuple[QuantizedLayer, ...]:
            return tuple(
                self._layer(shape, row, base + row["weights offset"]) for shape, row in zip(part, rows, strict=True)
            )

        selector = block(start, table[:first], shapes[:first])
        classifiers = tuple(
            block(start + ends[0] + k * stride, table[first:], shapes[first:])
            for k in range(self.values["classifiers"])
        )
        return selector, classifiers

    def _layer(self, shape: LayerShape, row: dict[str, int], at: int) -> QuantizedLayer:
        try:
            layer = unpack(row["packing"], shape, row["zero_point"], self.data[at : at + row["weights bytes"]])
        except PackingError as error:
            raise ModelFileError(f"{shape.name} weights", at + error.offset, str(error)) from None
        bound = int(accumulator_bound(layer).max())
        need(bound <= INT32_MAX, f"{shape.name} weights", at, f"accumulator can reach {bound}")
        return layer


def _branch(rows: Sequence[dict[str, int]]) -> BranchSpec:
    convs = tuple(
        ConvSpec(row["channels_out"], row["kernel"], row["stride"], row["pool"]) for row in rows if row["kind"] == 0
    )
    dense = [row["channels_out"] for row in rows if row["kind"] == 1]
    return BranchSpec(convs, tuple(dense[:-1]))


def _names(data: bytes, start: int, size: int, classes: int) -> tuple[str, ...]:
    raw = data[start : start + size]
    need(raw.count(b"\0") == classes, "NAME", start, f"holds {raw.count(0)} names, expected {classes}")
    need(raw.endswith(b"\0"), "NAME", start + size, "the last name does not end")
    try:
        return tuple(part.decode() for part in raw.split(b"\0")[:-1])
    except UnicodeDecodeError as error:
        raise ModelFileError("NAME", start, f"is not UTF-8: {error.reason}") from None


def _metadata(data: bytes, start: int, size: int) -> dict[str, Any]:
    try:
        value = json.loads(data[start : start + size].decode())
    except (ValueError, RecursionError) as error:
        raise ModelFileError("META", start, f"is not JSON: {error}") from None
    need(isinstance(value, dict), "META", start, "is not a JSON object")
    return value


def _plan(data: bytes, start: int, size: int, spec: NetworkSpec, packings: tuple[int, ...]) -> Plan:
    need(size >= records.PLAN.size, "PLAN", start, f"has {size} bytes, expected at least {records.PLAN.size}")
    fields = records.PLAN.unpack_from(data, start)
    arena, buffers, stages, slices, window, selector_logits, logits, flags, *reserved = fields
    need(flags <= records.ONCE, "PLAN flags", start + 10, f"is {flags}, expected 0 or 1")
    need(not any(reserved), "PLAN reserved", start + 11, "is not 0")
    starts = {"plan": (start, 0), "buffer": (start + records.PLAN.size, records.BUFFER.size)}
    starts["stage"] = (starts["buffer"][0] + buffers * records.BUFFER.size, records.STAGE.size)
    starts["slice"] = (starts["stage"][0] + stages * records.STAGE.size, records.SLICE.size)
    end = starts["slice"][0] + slices * records.SLICE.size
    need(end - start == size, "PLAN", start, f"has {size} bytes, expected {end - start} for its tables")

    def at(table: str, i: int) -> int:
        return starts[table][0] + i * starts[table][1]

    buffer_list = []
    for i in range(buffers):
        offset, stride, rows, channels, kind, flags = records.BUFFER.unpack_from(data, at("buffer", i))
        need(kind <= 2, f"PLAN buffer {i} kind", at("buffer", i) + 10, f"is {kind}, expected 0, 1 or 2")
        need(flags <= records.KEPT, f"PLAN buffer {i} flags", at("buffer", i) + 11, f"is {flags}, expected 0 or 1")
        buffer_list.append(Buffer(BufferKind(kind), offset, stride, rows, channels, flags == records.KEPT))
    stage_list = []
    for i in range(stages):
        layer, in0, in1, out, carry, scratch, chunk = records.STAGE.unpack_from(data, at("stage", i))
        stage_list.append(Stage(layer, in0, out, chunk, in1, carry, scratch))
    layers = layer_table(spec)
    slice_list = []
    for i in range(slices):
        first, count, phase, zero = records.SLICE.unpack_from(data, at("slice", i))
        need(phase <= 1, f"PLAN slice {i} phase", at("slice", i) + 2, f"is {phase}, expected 0 or 1")
        need(zero == 0, f"PLAN slice {i} reserved", at("slice", i) + 3, f"is {zero}, expected 0")
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
        packings=packings,
        once=flags == records.ONCE,
    )
    try:
        simulate(spec, plan)
    except PlanError as error:
        field = "PLAN" if error.table == "plan" else f"PLAN {error.table} {error.index}"
        raise ModelFileError(field, at(error.table, error.index), error.message) from None
    return plan
