"""NETW, LAYR, PADS and WGHT of a `.dtm`: the shape of the network and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from ditmos.errors import DitmosError
from ditmos.model import records
from ditmos.model.container import ModelFileError, Span, need
from ditmos.model.layer_shape import KINDS, LayerShape
from ditmos.model.packings import PackingError, pack, unpack
from ditmos.model.parts import Reading, Writing
from ditmos.model.plan import Plan, layer_table
from ditmos.model.quantized import INT32_MAX, QuantizedLayer, QuantizedModel, accumulator_bound
from ditmos.model.spec import MAX_CLASSIFIERS, BranchSpec, ConvSpec, NetworkSpec


def write_network(writing: Writing) -> bytes:
    model, spec = writing.model, writing.model.spec
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
        model.selector_scale,
        model.logit_scale,
        model.selector_zero_point,
        model.logit_zero_point,
        writing.stride,
    )


def write_layers(writing: Writing) -> bytes:
    return writing.layers


def write_weights(writing: Writing) -> bytes:
    return writing.weights


def pack_weights(model: QuantizedModel, plan: Plan) -> tuple[bytes, bytes, int]:
    """LAYR, WGHT and the classifier stride. All classifiers give a layer the bytes of the one that needs most."""
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
            KINDS.index(shape.kind),
            shape.relu,
            shape.kernel,
            shape.stride,
            shape.pool,
            packings[i],
            zero_points.zero_point,
            shape.pad[0],
            shape.channels_in,
            shape.rows_in,
            shape.channels_out,
            shape.rows_out,
            shape.input_channels[0],
            shape.pad[1],
            0,
            offset,
            size,
        )
        offset += size
        blocks[i] = [data + bytes(size - len(data)) for data in packed]
    weights = b"".join(data for (data,) in blocks[:first])
    for k in range(len(model.classifiers)):
        weights += b"".join(packed[k] for packed in blocks[first:])
    return table, weights, offset


def read_network(reading: Reading, span: Span) -> None:
    """NETW: everything but the layers."""
    need(
        span.size == records.NETWORK.size, "NETW", span.begin, f"has {span.size} bytes, expected {records.NETWORK.size}"
    )
    values = records.NETWORK.unpack_from(reading.data, span.begin)
    reading.network = v = dict(zip(records.NETWORK_FIELDS, values, strict=True))
    reading.network_at = {
        name: span.begin + at for name, at in zip(records.NETWORK_FIELDS, records.NETWORK_OFFSETS, strict=True)
    }
    for name in ("window", "channels", "classes"):
        _need(reading, v[name] >= 1, name, "expected at least 1")
    _need(reading, v["classifiers"] <= MAX_CLASSIFIERS, "classifiers", f"expected at most {MAX_CLASSIFIERS}")
    for name in ("selector_scale", "logit_scale"):
        _need(reading, isfinite(v[name]) and v[name] > 0, name, "expected a positive number")
    for name in ("selector_zero_point", "logit_zero_point"):
        _need(reading, -128 <= v[name] <= 127, name, "expected -128 to 127")
    _need(reading, v["classifier_stride"] % 4 == 0, "classifier_stride", "expected a multiple of 4")
    has_selector = v["selector layers"] > 0
    outputs = v["selector_outputs"] > 0
    _need(reading, has_selector == outputs, "selector_outputs", "does not fit the selector layers")
    some = v["classifiers"] > 0
    _need(reading, (v["classifier layers"] > 0) == some, "classifier layers", "expected at least 1, or 0 of none")
    _need(reading, some or not has_selector, "selector layers", "expected 0 without a classifier")
    for name in ("selector_scale", "logit_scale", "selector_zero_point", "logit_zero_point"):
        reading.fields[name] = v[name]


def _need(reading: Reading, ok: bool, name: str, message: str) -> None:
    need(ok, f"NETW {name}", reading.network_at[name], f"is {reading.network[name]}: {message}")


def read_layers(reading: Reading, span: Span) -> None:
    """LAYR: the layers that the specification gives must equal the records."""
    v, start, size = reading.network, span.begin, records.LAYER.size
    counts = v["selector layers"], v["classifier layers"]
    expected = sum(counts) * size
    need(span.size == expected, "LAYR", start, f"has {span.size} bytes, expected {expected} for {sum(counts)} layers")
    rows = [
        dict(zip(records.LAYER_FIELDS, records.LAYER.unpack_from(reading.data, at), strict=True))
        for at in range(start, span.end, size)
    ]
    for i, row in enumerate(rows):
        last = len(KINDS) - 1
        need(row["kind"] <= last, "LAYR kind", start + i * size, f"is {row['kind']}, expected 0 to {last}")
    try:
        spec = NetworkSpec(
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
    shapes = layer_table(spec)
    need(len(shapes) == len(rows), "LAYR", start, "fully connected layers do not come last")
    end = 0
    for i, (shape, row) in enumerate(zip(shapes, rows, strict=True)):
        end = 0 if i == counts[0] else end  # offsets of a classifier's layers count from its block
        _check_record(reading, start + i * size, shape, row, end)
        end += row["weights bytes"]
    reading.fields["spec"] = spec
    reading.packings = tuple(row["packing"] for row in rows)
    reading.weights_bytes = tuple(row["weights bytes"] for row in rows)


def _check_record(reading: Reading, at: int, shape: LayerShape, row: dict[str, int], weights: int) -> None:
    """A record of LAYR says what follows from the network; ``weights``: where the layer's weights must begin."""
    zero_point = reading.network["selector_zero_point" if shape.branch == "selector" else "logit_zero_point"]
    wanted = (
        *(KINDS.index(shape.kind), shape.relu, shape.kernel, shape.stride, shape.pool, row["packing"]),
        *(-128 if shape.relu else zero_point, shape.pad[0], shape.channels_in, shape.rows_in, shape.channels_out),
        *(shape.rows_out, shape.input_channels[0], shape.pad[1], 0, weights, row["weights bytes"]),
    )
    values = records.LAYER.unpack_from(reading.data, at)
    for name, offset, value, expected in zip(records.LAYER_FIELDS, records.LAYER_OFFSETS, values, wanted, strict=True):
        if value != expected:
            raise ModelFileError(f"LAYR {shape.name} {name}", at + offset, f"is {value}, expected {int(expected)}")
    size = row["weights bytes"]
    need(size % 4 == 0, f"LAYR {shape.name} weights bytes", at + 24, f"is {size}, expected a multiple of 4")


def write_padding(writing: Writing) -> bytes:
    values = bytes(value & 255 for value in writing.model.padding)
    return values + bytes(-len(values) % 4)


def read_padding(reading: Reading, span: Span) -> None:
    """PADS: there if and only if a layer pads the window."""
    channels = reading.network["channels"]
    need(reading.spec.pads_window, "PADS", span.begin, "is there, but no layer pads the window")
    size = channels + -channels % 4
    need(span.size == size, "PADS", span.begin, f"has {span.size} bytes, expected {size} for {channels} channels")
    data = reading.data[span.begin : span.end]
    need(not any(data[channels:]), "PADS", span.begin + channels, "what fills up the last word is not zero")
    reading.fields["padding"] = tuple(memoryview(data[:channels]).cast("b"))


def read_weights(reading: Reading, span: Span) -> None:
    """WGHT: the selector's layers, and those of each classifier."""
    padded = "padding" in reading.fields or not reading.spec.pads_window
    need(padded, "sections", 6, "there is no PADS section, but a layer pads the window")
    v, shapes, sizes = reading.network, layer_table(reading.spec), reading.weights_bytes
    first, count, stride = v["selector layers"], v["classifiers"], v["classifier_stride"]
    selector, classifier = sum(sizes[:first]), sum(sizes[first:])
    _need(reading, classifier == stride, "classifier_stride", f"the layers of a classifier have {classifier} bytes")
    total = selector + count * stride
    need(span.size == total, "WGHT", span.begin, f"has {span.size} bytes, expected {total}")

    def block(at: int, layers: range) -> tuple[QuantizedLayer, ...]:
        result = []
        for i in layers:
            result.append(_layer(reading, shapes[i], i, at))
            at += sizes[i]
        return tuple(result)

    reading.fields["selector"] = block(span.begin, range(first))
    reading.fields["classifiers"] = tuple(
        block(span.begin + selector + k * stride, range(first, len(shapes))) for k in range(count)
    )


def _layer(reading: Reading, shape: LayerShape, index: int, at: int) -> QuantizedLayer:
    last = "selector_zero_point" if shape.branch == "selector" else "logit_zero_point"
    zero_point = -128 if shape.relu else reading.network[last]
    data = reading.data[at : at + reading.weights_bytes[index]]
    try:
        layer = unpack(reading.packings[index], shape, zero_point, data)
    except PackingError as error:
        raise ModelFileError(f"{shape.name} weights", at + error.offset, str(error)) from None
    bound = int(accumulator_bound(layer, shape.repeats).max())
    need(bound <= INT32_MAX, f"{shape.name} weights", at, f"accumulator can reach {bound}")
    return layer


def _branch(rows: Sequence[dict[str, int]]) -> BranchSpec:
    kinds = [KINDS[row["kind"]] for row in rows]
    convs = tuple(
        ConvSpec(
            *(row["channels_out"], row["kernel"], row["stride"], row["pool"]),
            kind,
            (row["padding in front"], row["padding behind"]),
        )
        for row, kind in zip(rows, kinds, strict=True)
        if kind != "fc"
    )
    dense = [row["channels_out"] for row, kind in zip(rows, kinds, strict=True) if kind == "fc"]
    return BranchSpec(convs, tuple(dense[:-1]))
