"""The model file: what is written is read back, and nothing that was tampered with is believed."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from struct import pack_into, unpack_from

import numpy as np
import pytest
from ditmos.bench import golden
from ditmos.errors import DitmosError
from ditmos.model.plan import Plan
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reader import ModelFileError, decode, read_model
from ditmos.model.records import HEADER, SECTION
from ditmos.model.spec import reference_spec
from ditmos.model.writer import encode, write_model
from ditmos.planner import whole_plan
from hypothesis import given, settings
from hypothesis import strategies as st


@cache
def encoded(seed: int) -> bytes:
    case = golden.case(seed, windows=1, max_rows=60, max_classifiers=3)
    return encode(case.model, whole_plan(case.model.spec))


def with_crc(data: bytes | bytearray) -> bytes:
    data = bytearray(data)
    pack_into("<I", data, 12, zlib.crc32(data[16:]))
    return bytes(data)


def section(data: bytes, tag: bytes) -> int:
    """Offset of a section."""
    for i in range(unpack_from("<H", data, 6)[0]):
        name, offset, _ = SECTION.unpack_from(data, HEADER.size + i * SECTION.size)
        if name == tag:
            return offset
    raise AssertionError(tag)


def assert_equal(a: QuantizedModel, b: QuantizedModel) -> None:
    for (_, _, x), (_, _, y) in zip(a.branches(), b.branches(), strict=True):
        assert np.array_equal(x.weight, y.weight) and np.array_equal(x.bias, y.bias)
        assert np.array_equal(x.multiplier, y.multiplier) and x.zero_point == y.zero_point
    assert replace(a, selector=(), classifiers=()) == replace(b, selector=(), classifiers=())


@pytest.mark.parametrize("seed", range(40))
def test_round_trip(seed: int) -> None:
    case = golden.case(seed, windows=1)
    plan = whole_plan(case.model.spec)
    model, read = decode(encode(case.model, plan))
    assert_equal(model, case.model)
    assert read == replace(plan, name="file")


def test_file_round_trip(tmp_path: Path) -> None:
    case = golden.case(1)
    path = tmp_path / "model.dtm"
    size = write_model(path, replace(case.model, metadata={"data": "hüm", "seed": 3}), whole_plan(case.model.spec))
    assert path.stat().st_size == size
    model, _ = read_model(path)
    assert model.metadata == {"data": "hüm", "seed": 3}
    assert [p.name for p in tmp_path.iterdir()] == ["model.dtm"]


def test_unwritable_file_is_a_clear_error(tmp_path: Path) -> None:
    case = golden.case(1)
    (tmp_path / "file").write_text("")
    with pytest.raises(DitmosError, match="cannot be written"):
        write_model(tmp_path / "file" / "model.dtm", case.model, whole_plan(case.model.spec))


@given(st.integers(0, 5), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_truncated(seed: int, part: float) -> None:
    data = encoded(seed)
    with pytest.raises(ModelFileError, match="at offset"):
        decode(data[: int(part * (len(data) - 1))])


@given(st.integers(0, 5), st.floats(0, 1, exclude_max=True))
@settings(max_examples=200, deadline=None)
def test_flipped_bit(seed: int, where: float) -> None:
    data = bytearray(encoded(seed))
    bit = int(where * len(data) * 8)
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ModelFileError, match="at offset"):
        decode(bytes(data))


@given(
    st.integers(0, 5),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3),
)
@settings(max_examples=400, deadline=None)
def test_changed_with_correct_crc(seed: int, changes: list[tuple[float, int]]) -> None:
    """Either refused with a field and an offset inside the file, or read as a model that is sound."""
    data = bytearray(encoded(seed))
    structure = section(bytes(data), b"WGHT")  # all that comes before the weights
    for where, value in changes:
        data[16 + int(where * (structure - 16))] = value
    changed = with_crc(data)
    try:
        model, plan = decode(changed)
    except ModelFileError as error:
        assert 0 <= error.offset <= len(changed)
    else:
        assert decode(encode(model, plan))[1] == plan


@given(st.binary(max_size=300))
def test_noise(data: bytes) -> None:
    with pytest.raises(ModelFileError):
        decode(data)
    with pytest.raises(ModelFileError):
        decode(b"DTMS" + data)


def test_errors_name_field_and_offset() -> None:
    case = golden.case(3, windows=1, max_rows=60, max_classifiers=3)
    data = encode(case.model, whole_plan(case.model.spec))
    network, layers, plan, weights = (section(data, tag) for tag in (b"NETW", b"LAYR", b"PLAN", b"WGHT"))
    for offset, layout, value, field in [
        (0, "<4s", b"ELF ", "magic"),
        (4, "<H", 2, "version"),
        (8, "<I", len(data) + 1, "length"),
        (network, "<H", 0, "NETW window"),
        (network + 8, "<B", 65, "NETW classifiers"),
        (network + 32, "<h", 128, "NETW input_zero_point"),
        (layers, "<B", 7, "LAYR kind"),
        (layers + 5, "<B", 200, "weights"),
        (plan, "<I", 4, "PLAN"),
        (plan, "<I", 2**32 - 1, "PLAN"),
        (weights + 4 * case.model.selector[0].bias.size, "<i", 0, "selector.1 weights"),
    ]:
        changed = bytearray(data)
        pack_into(layout, changed, offset, value)
        with pytest.raises(ModelFileError, match=f"{field}.* at offset \\d+: "):
            decode(with_crc(changed))


def test_what_does_not_fit_the_format_is_refused() -> None:
    case = golden.case(1)
    plan: Plan = whole_plan(case.model.spec)
    with pytest.raises(DitmosError, match="arena of 4294967296 bytes"):
        encode(replace(case.model, metadata={}), replace(plan, arena_size=2**32))
    layer = case.model.classifiers[0][-1]
    bad = replace(layer, weight=np.full_like(layer.weight, -128))
    classifiers = ((*case.model.classifiers[0][:-1], bad), *case.model.classifiers[1:])
    with pytest.raises(DitmosError, match="-128"):
        encode(replace(case.model, classifiers=classifiers), plan)
    heavy = replace(layer, bias=np.full_like(layer.bias, 2**31 - 1))
    classifiers = ((*case.model.classifiers[0][:-1], heavy), *case.model.classifiers[1:])
    with pytest.raises(DitmosError, match="accumulator can reach"):
        encode(replace(case.model, classifiers=classifiers), plan)


def test_reference_network_size() -> None:
    """docs/method.md's network with six classifiers: weights, biases and multipliers, nothing else of weight."""
    spec = reference_spec()
    model = golden.random_model(np.random.default_rng(0), spec, golden.Style.TRAINED)
    parameters = sum(layer.weight.size + 8 * layer.bias.size for _, _, layer in model.branches())
    assert 0 <= len(encode(model, whole_plan(spec))) - parameters < 1200
