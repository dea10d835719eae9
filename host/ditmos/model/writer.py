"""Write a `.dtm`."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from struct import error as StructError

from ditmos import atomic
from ditmos.errors import DitmosError
from ditmos.model import records
from ditmos.model.dryrun import simulate
from ditmos.model.packings import pack
from ditmos.model.plan import PHASES, BufferKind, Plan, layer_table
from ditmos.model.quantized import QuantizedModel, check


def encode(model: QuantizedModel, plan: Plan) -> bytes:
    """The bytes of a model file.

    Raises:
        DitmosError: the model or the plan breaks a rule, or a number is too large for its field.
    """
    check(model)
    simulate(model.spec, plan)
    try:
        weights, layers, stride = _weights(model, plan)
        sections = [
            (b"NETW", _network(model, stride)),
            (b"NAME", b"".join(name.encode() + b"\0" for name in model.class_names)),
            (b"LAYR", layers),
            (b"PLAN", _plan(plan)),
            (b"WGHT", weights),
        ]
        if model.metadata:
            sections.append((b"META", json.dumps(model.metadata, ensure_ascii=False, sort_keys=True).encode()))
        table = b""
        body = b""
        start = records.HEADER.size + records.SECTION.size * len(sections)
        for tag, data in sections:
            table += records.SECTION.pack(tag, start + len(body), len(data))
            body += data + bytes(-len(data) % 4)
        rest = table + body
        length = records.HEADER.size + len(rest)
        header = records.HEADER.pack(records.MAGIC, records.VERSION, len(sections), length, zlib.crc32(rest))
    except StructError as error:
        raise DitmosError(f"model: too large for a model file ({error})") from None
    return header + rest


def write_model(path: str | Path, model: QuantizedModel, plan: Plan) -> int:
    """Write a model file and return its size in bytes. A file of that name is replaced only when all is written."""
    path = Path(path)
    data = encode(model, plan)
    atomic.write(path, data)
    return len(data)


def _network(model: QuantizedModel, classifier_stride: int) -> bytes:
    spec = model.spec
    return records.NETWORK.pack(
        spec.window,
        spec.channels,
        spec.classes,
        spec.selector_outputs,
        spec.classifiers,
        len(model.selector),
        len(spec.classifier_layers()),
        spec.start,
        sum(1 << level for level in spec.aggregate),
        model.input_scale,
        model.sample_scale,
        model.selector_scale,
        model.logit_scale,
        model.input_zero_point,
        model.selector_zero_point,
        model.logit_zero_point,
        0,
        classifier_stride,
    )


def _weights(model: QuantizedModel, plan: Plan) -> tuple[bytes, bytes, int]:
    """WGHT, LAYR and the classifier stride. All classifiers give a layer the bytes of the one that needs most."""
    shapes = layer_table(model.spec)
    first = len(model.selector)  # of the classifier's layers
    packings = plan.packings or (0,) * len(shapes)
    if len(packings) != len(shapes):
        raise DitmosError(f"plan: {len(packings)} packings, expected one for each of {len(shapes)} layers")
    blocks = [[pack(packings[i], shapes[i], layer)] for i, layer in enumerate(model.selector)]
    blocks += [
        [pack(packings[i], shapes[i], layers[i - first]) for layers in model.classifiers]
        for i in range(first, len(shapes))
    ]
    table = b""
    offset = 0
    for i, (shape, packed) in enumerate(zip(shapes, blocks, strict=True)):
        size = max(len(data) for data in packed)
        offset = 0 if i == first else offset
        zero_points = (model.selector if i < first else model.classifiers[0])[i if i < first else i - first]
        table += records.LAYER.pack(
            records.KINDS.index(shape.kind),
            shape.relu,
            shape.kernel,
            shape.stride,
            shape.pool,
            packings[i],
            zero_points.zero_point,
            0,
            shape.channels_in,
            shape.rows_in,
            shape.channels_out,
            shape.rows_out,
            shape.input_channels[0],
            0,
            offset,
            size,
        )
        offset += size
        blocks[i] = [data + bytes(size - len(data)) for data in packed]
    weights = b"".join(data for (data,) in blocks[:first])
    for k in range(len(model.classifiers)):
        weights += b"".join(packed[k] for packed in blocks[first:])
    return weights, table, offset


def _plan(plan: Plan) -> bytes:
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
