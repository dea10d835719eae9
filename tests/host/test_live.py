"""What surrounds a stream on the host: sources, tapes, the live view, the faulty line."""

from __future__ import annotations

import io
import random
import time

import numpy as np
import pytest
from ditmos.datasets import save, synthetic
from ditmos.datasets.takes import Signal, Take, join, to_dataset
from ditmos.errors import DitmosError
from ditmos.framing import NOBODY
from ditmos.link.conversation import Counts
from ditmos.link.faults import KINDS, FaultyLine
from ditmos.link.read_ahead import ReadAhead
from ditmos.link.sources import open_source
from ditmos.link.stream import Result
from ditmos.link.tape import Tape
from ditmos.link.view import View, sparkline
from rich.console import Console


def result(number, label=1, who=2, logits=None):
    return Result(number, label, f"class {label}", who, 1, 1500, 0.02, logits, None if logits is None else 0.75)


def test_datasets_and_functions_are_sources(tmp_path, monkeypatch):
    dataset = synthetic.generate(subjects=1, recordings=1, windows=1)
    save(dataset, tmp_path / "d.npz")
    source = open_source(str(tmp_path / "d.npz"), 3)
    assert len(source.blocks) == 3 and source.window == dataset.window and source.scale == dataset.scale
    (tmp_path / "mysensor.py").write_text("def read():\n    for i in range(3):\n        yield [i, i + 0.5]\n")
    monkeypatch.chdir(tmp_path)
    source = open_source("mysensor:read")
    assert source.dtype == np.float32
    assert np.concatenate(list(source.blocks)).tolist() == [[0, 0.5], [1, 1.5], [2, 2.5]]
    for wrong in ("mysensor:nothing", "no_such_module:read", "what.ever"):
        with pytest.raises(DitmosError, match="source"):
            open_source(wrong)


def test_a_tape_comes_back_as_it_was(tmp_path):
    tape = Tape(4, 2, ("a", "b"), 50.0)
    blocks = [np.arange(6, dtype=np.int16).reshape(3, 2), np.arange(10, dtype=np.int16).reshape(5, 2)]
    assert len(list(tape.pass_on(blocks))) == 2
    tape.add(result(0, logits=np.array([3, -4], np.int8)), 0.5)
    tape.add(Result(1, None, None, NOBODY, 0, 10, 0.1, np.array([1, 2], np.int8), None), 1.0)
    tape.counts = Counts(sent=7, bad=1, device={"bad": 2})
    tape.save(tmp_path / "t.npz")
    assert Tape.is_tape(tmp_path / "t.npz") and not Tape.is_tape(__file__)
    back = Tape.load(tmp_path / "t.npz")
    np.testing.assert_array_equal(back.samples, np.concatenate(blocks))
    assert back.counts == tape.counts and back.times == tape.times
    assert (back.window, back.hop, back.class_names, back.rate) == (4, 2, ("a", "b"), 50.0)
    assert [(r.number, r.label, r.classifier, r.confidence) for r in back.results] == [
        (0, 1, 2, 0.75),
        (1, *[None] * 3),
    ]
    assert back.results[0].logits.tolist() == [3, -4]
    np.testing.assert_array_equal(back.window_of(1), np.concatenate(blocks)[2:6])
    np.testing.assert_array_equal(np.concatenate(list(open_source(str(tmp_path / "t.npz")).blocks)), tape.samples)
    np.savez(tmp_path / "x.npz", a=1)
    with pytest.raises(DitmosError, match="not a recorded stream"):
        Tape.load(tmp_path / "x.npz")


def a_tape(path):
    tape = Tape(4, 2, ("a", "b"), 50.0)
    list(tape.pass_on([np.arange(12, dtype=np.int16).reshape(6, 2)]))
    tape.add(result(0), 0.5)
    tape.add(result(1), 1.0)
    tape.save(path)
    return path


def test_damaged_tapes_are_one_line(tmp_path):
    """Cut off, a byte changed, a column gone or of another length, another type, a label beyond the classes."""
    whole = a_tape(tmp_path / "t.npz").read_bytes()
    chance = random.Random(0)
    with np.load(tmp_path / "t.npz") as archive:
        arrays = dict(archive)
    broken = [whole[: chance.randrange(len(whole))] for _ in range(40)]
    for _ in range(200):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        broken.append(bytes(data))
    about = str(arrays["tape"])
    changed = [{key: array for key, array in arrays.items() if key != name} for name in arrays]
    changed += [arrays | {"number": arrays["number"][:1]}, arrays | {"label": arrays["label"] + 7}]
    changed += [arrays | {"samples": arrays["samples"][0]}, arrays | {"tape": np.str_("[]")}, arrays | {"label": "x"}]
    changed += [arrays | {"tape": np.str_(about.replace('"window": 4', '"window": "x"'))}]
    changed += [arrays | {"tape": np.str_(about.replace('"counts": {', '"counts": {"more": 1, '))}]
    for content in changed:
        buffer = io.BytesIO()
        np.savez(buffer, **content)
        broken.append(buffer.getvalue())
    refused = 0
    for i, content in enumerate(broken):
        path = tmp_path / f"{i}.npz"
        path.write_bytes(content)
        try:
            tape = Tape.load(path)
        except DitmosError as error:
            refused += 1
            assert "\n" not in str(error) and str(path) in str(error)
        else:
            assert len(tape.results) == 2
    assert refused >= 40 + len(changed)


def test_a_tape_that_is_kept_is_there_while_it_grows(tmp_path, monkeypatch):
    monkeypatch.setattr("ditmos.link.tape._EVERY", 0.0)
    monkeypatch.setattr("ditmos.link.tape._SHARE", 0.0)
    tape = Tape(4, 2, ("a", "b"), keep=tmp_path / "t.npz")
    for number, block in enumerate(tape.pass_on([np.zeros((4, 2), np.int16)] * 3)):
        assert len(block) == 4
        tape.add(result(number), number)
        assert len(Tape.load(tmp_path / "t.npz").results) == number + 1


def test_rows_that_come_while_a_tape_is_saved_stay_on_it(monkeypatch):
    """Another thread reads the source."""
    tape, rows = Tape(4, 2, ("a", "b")), np.arange(24, dtype=np.int16).reshape(12, 2)
    blocks = tape.pass_on([rows[:4], rows[4:8], rows[8:]])
    next(blocks), next(blocks)
    join = np.concatenate

    def slow(parts):
        joined = join(parts)
        next(blocks, None)
        return joined

    monkeypatch.setattr(np, "concatenate", slow)
    assert len(tape.samples) >= 8
    np.testing.assert_array_equal(tape.samples, rows)


def test_sparkline():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8, 0, 7) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 0, 4, 4], 2, 0, 4) == "▁█"
    assert sparkline([5, 5], 10, 5, 5) == "▁▁"


def test_the_view_shows_signal_label_classifiers_times_and_line():
    view = View(["ax", "ay"], 3, "demo", 20)
    for number in range(10):
        view.add(result(number, who=number % 2, logits=np.zeros(2, np.int8)))
    window = np.stack([np.arange(40), -np.arange(40)], axis=1).astype(np.int16)
    console = Console(width=100, file=io.StringIO())
    console.print(view.render(window, Counts(sent=12, bad=1, resent=3, device={"bad": 2})))
    text = console.file.getvalue()
    for part in ("ax ▁", "█", "class 1", "0.75", "classifier 2", "p99", "20.0", "1.50", "3 damaged", "3 repeated"):
        assert part in text, part


def test_takes_become_windows_that_keep_together():
    signal = Signal(("a", "b"), "g", 0.5, 10.0)
    takes = [
        Take("x", np.arange(40, dtype=np.int16).reshape(20, 2), signal),
        Take("y", np.zeros((9, 2), np.int16), signal),
    ]
    dataset = to_dataset(takes, ["y", "x"], 8, 4)
    assert (
        dataset.x.shape == (5, 8, 2)
        and dataset.y.tolist() == [1, 1, 1, 1, 0]
        and dataset.group.tolist() == [0] * 4 + [1]
    )
    np.testing.assert_array_equal(dataset.x[1], takes[0].samples[4:12])
    both = join(dataset, dataset, "f")
    assert len(both) == 10 and both.group.tolist() == [0, 0, 0, 0, 1, 2, 2, 2, 2, 3]
    with pytest.raises(DitmosError, match=r"take 1 \(y\) has 9 rows, expected at least 10"):
        to_dataset(takes, ["y", "x"], 10, 4)


class Port:
    """A port that remembers."""

    in_waiting = 0

    def __init__(self):
        self.written = b""

    def write(self, data):
        self.written += data

    def read(self, size):
        return b""


def test_the_faulty_line_is_faulty_as_often_as_it_is_told():
    port = Port()
    line = FaultyLine(port, 1 / 50, seed=1)
    data = bytes(range(200))
    for _ in range(500):
        line.write(data)
    assert 1400 < line.counts.total() < 1700, "1540 are expected: a fifth of the bytes is in bursts or cut off"
    assert all(count > 150 for count in line.counts.values()) and len(line.counts) == len(KINDS)
    assert port.written != data * 500
    clean = Port()
    line = FaultyLine(clean, 0)
    line.write(data)
    assert clean.written == data and not line.counts


def test_a_delayed_byte_holds_back_what_follows(monkeypatch):
    port = Port()
    line = FaultyLine(port, 1e-9)
    monkeypatch.setattr("ditmos.link.faults.KINDS", ("delayed",))
    line._next = 2
    line.write(b"abcdef")
    line.write(b"g")
    assert port.written == b""
    time.sleep(0.04)
    line.read(1)
    assert port.written == b"abcdefg"


def test_the_feed_reads_ahead_but_not_without_end():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield np.zeros((1000, 2), np.int16)

    feed = ReadAhead(endless(), np.dtype(np.int16), 2)
    for _ in range(50):
        feed.fill()
        time.sleep(0.002)
    assert len(feed.data) <= ReadAhead.AHEAD + 4000 and len(taken) < 30
    assert feed.take(4, 8) == bytes(4)
    feed.forget(4000)
    assert feed.base == 4000 and feed.take(4000, 4004) == bytes(4)
    feed.close()


def test_the_feed_hands_on_what_its_source_raises():
    def broken():
        yield np.zeros((2, 2), np.int16)
        raise OSError("sensor unplugged")

    feed = ReadAhead(broken(), np.dtype(np.int16), 2)
    with pytest.raises(OSError, match="unplugged"):
        for _ in range(100):
            feed.fill()
            time.sleep(0.005)
