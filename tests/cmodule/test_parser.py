"""Files that nobody vouches for: the C loader never reads past the end, and accepts what the host's reader accepts."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from struct import pack, pack_into, unpack_from

import numpy as np
import pytest
from ditmos.bench import golden
from ditmos.bench.golden_feeds import feed_case
from ditmos.model import container
from ditmos.model.forest import LEAF
from ditmos.model.padding import edge_bytes
from ditmos.model.plan import Buffer, BufferKind, Plan, Slice, Stage, layer_table
from ditmos.model.reader import ModelFileError, decode
from ditmos.model.section_forest import pack_forest
from ditmos.model.sections import KNOWN
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.use import Rule
from ditmos.model.writer import encode
from ditmos.planner import front, whole_plan
from drivers import CMODULE, SANITIZERS, SOURCES, WARNINGS
from mutations import judged_alike, mutated, original, repaired, sections, targets


def with_section(data: bytes, tag: bytes, flags: int) -> bytes:
    """The same file with one more section at its end."""
    count, table = unpack_from("<H", data, 6)[0], 16 + 16 * unpack_from("<H", data, 6)[0]
    longer = bytearray(data[:table] + pack("<4sIII", tag, len(data) + 16, 4, flags) + data[table:] + b"what")
    pack_into("<H", longer, 6, count + 1)
    for i in range(count):
        pack_into("<I", longer, 16 + 16 * i + 4, unpack_from("<I", longer, 16 + 16 * i + 4)[0] + 16)
    return repaired(longer)


def test_every_truncation(driver):
    """Cut anywhere: as it is, and with length and checksum that fit."""
    data = original(1).data
    for size in range(len(data)):
        assert driver.ask(data[:size], offset=size % 4).startswith("bad"), size
        assert driver.ask(repaired(bytearray(data[:size])), offset=size % 4).startswith("bad"), size


def test_every_flipped_bit_of_the_header(driver):
    data = original(2).data
    fields = {0: "magic", 4: "version", 6: "section", 8: "length", 12: "crc"}
    for bit in range(8 * 16):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        field = fields[max(offset for offset in fields if offset <= bit // 8)]
        answer = driver.ask(bytes(damaged))
        assert answer.startswith("bad" if field == "section" else f"bad {field} "), (bit, answer)


def test_sections_that_are_not_known(driver):
    """One that answers depend on is refused by its tag, another one skipped; version 1 says what to do."""
    data = original(2).data
    assert driver.ask(with_section(data, b"HINT", 0)) == "ok"
    assert driver.ask(with_section(data, b"FUTR", 1)).startswith("bad sectionFUTR")
    for tag, flags in ((b"FUTR", 2), (b"F\x1b[m", 0), (b"META", 1), (b"NETW", 1)):
        assert driver.ask(with_section(data, tag, flags)).startswith("bad section"), tag
        with pytest.raises(ModelFileError):
            decode(with_section(data, tag, flags))
    old = bytearray(data)
    pack_into("<H", old, 4, 1)
    assert driver.ask(repaired(old)) == "bad version 4 is of an older ditmos, export the model again"


def test_an_older_input_section_says_what_to_do(driver):
    """Once it held no number of channels: the first channel's scale came right behind the rate."""
    data = original(2).data
    places = [(tag, *place) for tag, place in sections(data).items() if tag != b"table"]
    contents = {tag: data[at : at + size] for tag, at, size in places}
    contents[b"INPT"] = contents[b"INPT"][:4] + contents[b"INPT"][8:]
    old = container.pack((tag, KNOWN[tag], part) for tag, part in contents.items())
    at = sections(old)[b"INPT"][0] + 6
    what = "of an older ditmos, export the model again"
    assert driver.ask(old) == f"bad INPT.reserved {at} is {what}"
    with pytest.raises(ModelFileError, match=f"INPT reserved at offset {at}: .* {what}"):
        decode(old)


def test_once_plans_are_judged_alike(driver):
    once = 0
    for seed in range(0, 80, 8):
        made = original(seed)
        once += decode(made.data)[1].once
        assert driver.ask(made.data, made.vectors) == "ok"
    assert once > 3


def test_mutations_are_judged_as_the_host_does(driver):
    """The long version: tests/long/mutated_models.py."""
    verdicts = Counter()
    for seed in range(54):
        made, chance = original(seed), Random(seed)
        at = targets(made.data)
        verdicts.update(judged_alike(driver, made, mutated(chance, made.data, at), i % 4) for i in range(30))
    assert min(verdicts["refused"], verdicts["accepted"]) > 100, verdicts


def test_sections_that_share_bytes(driver):
    """A single byte is too many, whichever of the two comes first in the table; side by side is right."""
    data = original(2).data
    two = with_section(with_section(data, b"ONE1", 0), b"TWO2", 0)
    count, end = unpack_from("<H", two, 6)[0], len(two)
    for size, overlaps in ((4, False), (5, True)):
        places = {b"ONE1": (end - 8, size), b"TWO2": (end - 4, 4)}
        for order in ((b"ONE1", b"TWO2"), (b"TWO2", b"ONE1")):
            changed = bytearray(two)
            for i, tag in enumerate(order):
                pack_into("<4sIII", changed, 16 + 16 * (count - 2 + i), tag, *places[tag], 0)
            answer = driver.ask(repaired(changed))
            assert answer == "ok" if not overlaps else answer.endswith("sections overlap"), (order, answer)
            if overlaps:
                with pytest.raises(ModelFileError, match="overlaps another section"):
                    decode(repaired(changed))


def test_the_last_word_of_padding_is_filled_up_with_zeros(driver):
    seen = 0
    for seed in range(80):
        case = golden.case(seed, windows=1, max_rows=60, max_classifiers=2)
        if len(case.model.padding) % 4 == 0:
            continue
        data = bytearray(encode(case.model, whole_plan(case.model.spec)))
        at, size = sections(data)[b"PADS"]
        data[at + size - 1] = 2
        assert driver.ask(repaired(data)).startswith(f"bad PADS {at + size - 1} "), seed
        with pytest.raises(ModelFileError, match="PADS"):
            decode(repaired(data))
        seen += 1
    assert seen > 1


def test_planes_of_a_map_do_not_overlap(driver):
    """A plane that is one byte too short, in each of the buffers."""
    model = golden.case(1).model
    plan = whole_plan(model.spec)
    data = encode(model, plan)
    at = sections(data)[b"PLAN"][0] + 16
    maps = [i for i, buffer in enumerate(plan.buffers) if buffer.rows > 1]
    for i in maps:
        short = bytearray(data)
        pack_into("<H", short, at + 12 * i + 4, plan.buffers[i].rows - 1)
        assert driver.ask(repaired(short)).startswith(f"bad PLAN.buffer.stride {at + 12 * i + 4} "), i
        with pytest.raises(ModelFileError):
            decode(repaired(short))
    assert len(maps) > 2


def test_a_buffer_ends_in_the_arena_to_the_byte(driver):
    """One after the other is moved behind its end; with four bytes less of an arena the last one is."""
    model = golden.case(1).model
    plan = whole_plan(model.spec)
    data = encode(model, plan)
    at = sections(data)[b"PLAN"][0]
    for i, buffer in enumerate(plan.buffers):
        most = plan.arena_size - buffer.size
        for offset in (most + 1, most + 4) if buffer.kind == BufferKind.MAP else (most // 4 * 4 + 4,):
            moved = bytearray(data)
            pack_into("<I", moved, at + 16 + 12 * i, offset)
            assert driver.ask(repaired(moved)).startswith(f"bad PLAN.buffer.offset {at + 16 + 12 * i} "), (i, offset)
            with pytest.raises(ModelFileError, match=f"PLAN buffer {i} .* ends at byte"):
                decode(repaired(moved))
    small = bytearray(data)
    pack_into("<I", small, at, plan.arena_size - 4)
    assert driver.ask(repaired(small)).startswith("bad PLAN.buffer.offset ")


def test_the_scratch_of_a_padded_stage_is_not_a_byte_too_small(driver):
    """Of all stages that have it."""
    seen = 0
    for seed in range(0, 60, 3):
        model = golden.case(seed, windows=1, max_rows=60, max_classifiers=2).model
        plan = whole_plan(model.spec)
        data = encode(model, plan)
        at = sections(data)[b"PLAN"][0]
        layers = layer_table(model.spec)
        edges = [edge_bytes(layers[stage.layer], stage.chunk) for stage in plan.stages]
        most = {stage.scratch: 0 for stage in plan.stages}
        for stage, edge in zip(plan.stages, edges, strict=True):
            most[stage.scratch] = max(most[stage.scratch], edge)
        for scratch, edge in most.items():
            for size in (edge, edge - 1) if edge else ():
                changed = bytearray(data)
                pack_into("<H", changed, at + 16 + 12 * scratch + 4, size)
                answer = driver.ask(repaired(changed))
                assert answer == "ok" if size == edge else answer.startswith("bad PLAN.stage.scratch "), (seed, answer)
                if size < edge:
                    with pytest.raises(ModelFileError, match="for rows at the edge"):
                        decode(repaired(changed))
            seen += edge > 0
    assert seen > 5


def test_a_line_buffer_with_too_few_rows(driver):
    """Row after row is taken away: what both sides still accept runs and is right, then both refuse at the same row."""
    refused = 0
    for seed in (1, 2, 3, 10):
        case = golden.case(seed, windows=1, max_rows=60, max_classifiers=2)
        plan = front(case.model.spec, case.model)[0].plan
        data = encode(case.model, plan)
        at = sections(data)[b"PLAN"][0]
        layers = case.model.spec.selector_layers() + case.model.spec.classifier_layers()
        for stage in plan.stages:
            most = plan.buffers[stage.out].rows
            for rows in range(most - 1, 0, -1) if most < layers[stage.layer].rows_out else ():
                short = bytearray(data)
                pack_into("<H", short, at + 16 + 12 * stage.out + 6, rows)
                answer = driver.ask(repaired(short), golden.vectors(case))
                if answer != "ok":
                    assert answer.endswith("line buffer overruns"), (seed, stage, rows)
                    with pytest.raises(ModelFileError):
                        decode(repaired(short))
                    refused += 1
                    break
                decode(repaired(short))
    assert refused > 3


def test_a_line_buffer_that_an_earlier_slice_filled(driver):
    """All rows that the layer needs are still in it, yet only whole maps last from slice to slice: both refuse."""
    selector, classifier = BranchSpec((ConvSpec(1, 8), ConvSpec(3, 2))), BranchSpec((), (2,))
    spec = NetworkSpec(16, 1, 8, 2, classifier, selector, start=2, selector_outputs=8)
    model = golden.random_model(np.random.default_rng(0), spec)
    shapes = ((0, 16, 1), (16, 3, 1), (20, 1, 3), (24, 1, 8), (32, 1, 3), (36, 1, 2), (40, 1, 8), (48, 3, 1))
    buffers = tuple(Buffer(BufferKind.MAP, at, rows, rows, channels) for at, rows, channels in shapes)
    table = ((0, 0, 1), (1, 1, 2), (2, 2, 3), (0, 0, 7), (1, 7, 4), (3, 4, 5), (4, 5, 6))  # layer, in, out
    stages = tuple(Stage(layer, source, out, 1) for layer, source, out in table)
    slices = Slice("", 0, 3, "select"), Slice("", 3, 4, "classify")
    good = encode(model, Plan("by hand", 52, buffers, stages, slices, window=0, logits=6, selector_logits=3))
    decode(good)
    assert driver.ask(good) == "ok"
    bad = bytearray(good)
    at = sections(good)[b"PLAN"][0] + 16 + 12 * len(buffers) + 8 * 4 + 1
    assert bad[at] == 7
    bad[at] = 1  # the selector's, where the first three of four rows are
    assert driver.ask(repaired(bad)).endswith("nothing in the slice fills the line buffer")
    with pytest.raises(ModelFileError, match=r"buffer 1 holds some rows of the map of selector\.1"):
        decode(repaired(bad))


def test_a_selector_with_an_output_too_few_does_not_choose(driver):
    branch = BranchSpec((ConvSpec(4, 3),))
    spec = NetworkSpec(20, 1, 3, 4, classifier=branch, selector=branch, selector_outputs=3)
    model = golden.random_model(np.random.default_rng(0), spec)
    data = bytearray(encode(model, whole_plan(spec)))
    at = sections(data)[b"ROUT"][0]
    assert driver.ask(bytes(data)) == "ok" and data[at] != Rule.SELECTOR
    data[at] = Rule.SELECTOR
    assert driver.ask(repaired(data)) == f"bad ROUT.rule {at} selector has too few outputs to choose"
    with pytest.raises(ModelFileError, match="the selector chooses, but has 3 outputs for 4 classifiers"):
        decode(repaired(data))


@pytest.mark.parametrize("kernels", [(3, 5), (5, 3)])
def test_operands_have_the_same_rows(driver, kernels):
    """NETW says that the second layer of the classifiers also reads a map of the selector, of more rows or fewer."""
    selector, classifier = (BranchSpec((ConvSpec(4, kernel), ConvSpec(4, 3))) for kernel in kernels)
    spec = NetworkSpec(20, 1, 3, 4, classifier=classifier, selector=selector)
    data = bytearray(encode(golden.random_model(np.random.default_rng(0), spec), whole_plan(spec)))
    network, layers = (sections(data)[tag][0] for tag in (b"NETW", b"LAYR"))
    assert driver.ask(bytes(data)) == "ok"
    pack_into("<I", data, network + 12, 1 << 1)
    at = layers + 28 * (len(spec.selector_layers()) + 1) + 10
    assert driver.ask(repaired(data)) == f"bad LAYR.rows_in {at} operands differ in rows"
    with pytest.raises(ModelFileError, match="does not make a network"):
        decode(repaired(data))


def test_rows_follow_from_the_layer_neither_more_nor_fewer(driver):
    model = golden.case(1).model
    data = encode(model, whole_plan(model.spec))
    begin, size = sections(data)[b"LAYR"]
    for at in range(begin + 14, begin + size, 28):
        rows = unpack_from("<H", data, at)[0]
        for other in (rows - 1, rows + 1):
            changed = bytearray(data)
            pack_into("<H", changed, at, other)
            assert driver.ask(repaired(changed)).startswith(f"bad LAYR.rows_out {at} "), (at, other)
            with pytest.raises(ModelFileError, match=r"rows_out|does not make a network"):
                decode(repaired(changed))


def test_an_input_of_too_many_rows_is_refused(driver):
    """Rows are counted in 16 bits, those of padding too."""
    data = bytearray(encode(golden.case(1).model, whole_plan(golden.case(1).model.spec)))
    network, layer = (sections(data)[tag][0] for tag in (b"NETW", b"LAYR"))
    data[network : network + 2] = data[layer + 10 : layer + 12] = pack("<H", 65535)
    data[layer + 18] = 1
    _, name, where, *_ = driver.ask(repaired(data)).split()
    assert (name, int(where)) == ("LAYR.padding", layer + 7)


def test_a_right_child_lies_in_its_tree(driver):
    """The node right behind a tree is of the next one, or of nobody."""
    seen = set()
    for seed in range(1, 40, 4):
        made = feed_case(seed)
        forest = made.model.forest
        data = encode(made.model, made.plan)
        places = [(tag, *place) for tag, place in sections(data).items() if tag != b"table"]
        contents = {tag: data[at : at + size] for tag, at, size in places}
        ends = np.append(forest.roots[1:], forest.nodes)
        for node in np.flatnonzero(forest.feature != LEAF)[:3]:
            end = ends[ends > node].min()
            for outside in (False, True):
                right = forest.right.copy()
                right[node] = end - node - (not outside)
                contents[b"FRST"] = pack_forest(replace(forest, right=right))
                changed = container.pack((tag, KNOWN[tag], part) for tag, part in contents.items())
                answer = driver.ask(changed)
                assert outside == answer.endswith("right child outside the tree"), (seed, node, answer)
                if outside:
                    with pytest.raises(ModelFileError, match="right child outside the tree"):
                        decode(changed)
            seen.add(forest.wide)
    assert seen == {False, True}


@pytest.mark.parametrize(
    ("section", "offset", "value", "field"),
    [
        (b"NETW", 2, pack("<H", 0), "NETW.channels"),
        (b"NETW", 8, bytes([65]), "NETW.classifiers"),
        (b"NETW", 16, pack("<f", float("nan")), "NETW.selector_scale"),
        (b"NETW", 26, pack("<h", 128), "NETW.logit_zero_point"),
        (b"NAME", 0, b"\xff", "NAME"),
        (b"NAME", 0, b"\x1b", "NAME"),
        (b"NAME", 0, b"\xc2\x9b", "NAME"),
        (b"NAME", 0, b"\xed\xa0\x80", "NAME"),  # half of a pair of UTF-16
        (b"NAME", 0, b"\xe0\x9f\xbf", "NAME"),  # longer than it need be
        (b"NAME", 0, b"\xf0\x8f\xbf\xbf", "NAME"),
        (b"NAME", 0, b"\xf4\x90\x80\x80", "NAME"),  # beyond the last character
        (b"INPT", 0, pack("<f", -1), "INPT.rate"),
        (b"INPT", 6, b"\1", "INPT.reserved"),
        (b"INPT", 8, pack("<f", 0), "INPT.scale"),
        (b"INPT", 16, pack("<i", 1 + (1 << 21)), "INPT.zero_point"),
        (b"INPT", 24, bytes([63]), "INPT.shift"),
        (b"ROUT", 0, bytes([3]), "ROUT.rule"),
        (b"ROUT", 1, bytes([9]), "ROUT.margins"),
        (b"LAYR", 2, bytes([32]), "LAYR.kernel"),
        (b"LAYR", 5, bytes([200]), "LAYR.packing"),
        (b"LAYR", 5, bytes([1]), "LAYR.packing"),
        (b"LAYR", 14, pack("<H", 9999), "LAYR.rows_out"),
        (b"PLAN", 0, pack("<I", 2), "PLAN.arena_size"),
        (b"PLAN", 7, bytes([63]), "PLAN.window"),
        (b"PLAN", 16, pack("<I", 0xFFFFFFFC), "PLAN.buffer.offset"),
    ],
)
def test_messages_name_the_field(driver, section, offset, value, field):
    """The offset in the message is that of the field (of the layer's weights for a packing that does not exist)."""
    data = bytearray(encode(golden.case(1).model, whole_plan(golden.case(1).model.spec)))
    places = sections(data)
    at = places[section][0] + offset
    data[at : at + len(value)] = value
    _, name, where, *_ = driver.ask(repaired(data)).split()
    assert name == field
    assert int(where) == (places[b"WGHT"][0] if field == "WGHT" else at)


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
def test_fuzzer_builds_and_runs(tmp_path):
    """A second of libFuzzer; for longer: the command in fuzz_model.c."""
    binary, corpus = tmp_path / "fuzz", tmp_path / "corpus"
    corpus.mkdir()
    for seed in range(4):
        (corpus / str(seed)).write_bytes(original(seed).data)
    source = Path(__file__).parent / "fuzz_model.c"
    flags = [*WARNINGS, "-g", "-O1", "-fsanitize=fuzzer,address,undefined", SANITIZERS[1], f"-I{CMODULE}"]
    subprocess.run(["clang", *flags, *SOURCES, source, "-o", binary], check=True, timeout=120)
    done = subprocess.run([binary, "-max_total_time=1", corpus], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
