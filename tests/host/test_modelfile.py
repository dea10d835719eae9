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
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, reference_spec
from ditmos.model.use import Rule, Use, problem_of_rule
from ditmos.model.writer import encode, write_model
from ditmos.planner import front, whole_plan
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
        name, offset, *_ = SECTION.unpack_from(data, HEADER.size + i * SECTION.size)
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


def test_a_plan_with_one_classify_is_read_back() -> None:
    """Its flag is not one of a buffer's."""
    case = golden.case(1, windows=1, max_rows=60)
    single = next(c.plan for c in front(case.model.spec, case.model, once=True) if c.plan.once)
    assert decode(encode(case.model, single))[1] == replace(single, name="file")


def with_section(data: bytes, tag: bytes, contents: bytes, flags: int) -> bytes:
    """The same file with one more section at its end."""
    count = unpack_from("<H", data, 6)[0]
    entries = [list(SECTION.unpack_from(data, HEADER.size + i * SECTION.size)) for i in range(count)]
    for entry in entries:
        entry[1] += SECTION.size
    end = HEADER.size + count * SECTION.size
    added = [*entries, [tag, len(data) + SECTION.size, len(contents), flags]]
    table = b"".join(SECTION.pack(*entry) for entry in added)
    whole = bytearray(data[: HEADER.size] + table + data[end:] + contents)
    pack_into("<H", whole, 6, count + 1)
    pack_into("<I", whole, 8, len(whole))
    return with_crc(whole)


def test_sections_that_are_not_known() -> None:
    data = encoded(1)
    assert decode(with_section(data, b"HINT", b"xyz", 0))[1] == decode(data)[1]
    with pytest.raises(ModelFileError, match=r"section FUTR at offset .* not known here: update ditmos"):
        decode(with_section(data, b"FUTR", b"xyz", 1))
    with pytest.raises(ModelFileError, match="section FUTR flags"):
        decode(with_section(data, b"FUTR", b"xyz", 2))
    with pytest.raises(ModelFileError, match="capital letters and digits"):
        decode(with_section(data, b"F\x1b[m", b"xyz", 0))
    with pytest.raises(ModelFileError, match="section META flags"):
        decode(with_section(data, b"META", b"{}", 1))


def test_an_older_version_says_what_to_do() -> None:
    data = bytearray(encoded(1))
    pack_into("<H", data, 4, 1)
    with pytest.raises(ModelFileError, match="version at offset 4: is 1, expected 2: of an older ditmos, export"):
        decode(with_crc(data))


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m", "\x7f", "\x9b", "\0"])
def test_control_characters_in_names(name: str) -> None:
    case = golden.case(1, windows=1)
    plan = whole_plan(case.model.spec)
    first = case.model.inputs[0]
    for model in (
        replace(case.model, class_names=(name, *case.model.class_names[1:])),
        replace(case.model, inputs=(first._replace(name=name), *case.model.inputs[1:])),
        replace(case.model, inputs=(first._replace(units=name), *case.model.inputs[1:])),
    ):
        with pytest.raises(DitmosError, match="has a control character"):
            encode(model, plan)


def test_rules_that_do_not_fit_the_selector() -> None:
    """Outputs are those of the classifiers, then none or one a class."""
    branch = BranchSpec((ConvSpec(2, 3),))
    rng = np.random.default_rng(0)
    for outputs, rule, problem in (
        (3, Rule.SELECTOR, ""),
        (8, Rule.SELECTOR, ""),
        (5, Rule.ALL, ""),
        (4, Rule.SELECTOR, "1 outputs of the selector stand for no classifier, expected 5 class logits or none"),
        (2, Rule.SELECTOR, "the selector chooses, but has 2 outputs for 3 classifiers"),
        (3, Rule.ALL, "3 outputs of the selector stand for no classifier"),
        (5, Rule.ONLY, "one classifier is asked, but there are 3"),
    ):
        spec = NetworkSpec(20, 1, 5, 3, branch, branch, selector_outputs=outputs)
        assert problem in problem_of_rule(spec, rule) and bool(problem) == bool(problem_of_rule(spec, rule))
        model = replace(golden.random_model(rng, replace(spec, selector_outputs=3)), use=Use("top1", Rule.SELECTOR))
        assert decode(encode(model, whole_plan(model.spec)))[0].use == model.use
    with pytest.raises(DitmosError, match=r"margin 0\.5 of policy early, expected a whole number"):
        encode(replace(model, use=Use("early", Rule.SELECTOR, (0.5,))), whole_plan(model.spec))  # type: ignore[arg-type]
    with pytest.raises(DitmosError, match=r"policy 'os\.system', expected a name"):
        encode(replace(model, use=Use("os.system", Rule.SELECTOR)), whole_plan(model.spec))


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
        (4, "<H", 3, "version"),
        (8, "<I", len(data) + 1, "length"),
        (network, "<H", 0, "NETW window"),
        (network + 8, "<B", 65, "NETW classifiers"),
        (network + 26, "<h", 128, "NETW logit_zero_point"),
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
