"""Forests in integers: votes as a walk by hand gives them, sections that come back, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest
from ditmos.bench.golden_forests import forest_model, random_forest, random_rows
from ditmos.bench.route import Logits, Replay
from ditmos.errors import DitmosError
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.operations import Norm
from ditmos.frontends.section import decode as decode_front
from ditmos.frontends.section import encode as encode_front
from ditmos.frontends.window_summary import Summary, log_code, summary_for
from ditmos.model.forest import LEAF, VOTES, Forest, both, check_forest, opinions
from ditmos.model.quantized import check
from ditmos.model.reader import ModelFileError, decode
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, without_network
from ditmos.model.writer import encode
from ditmos.planner import feed_of, front, stream_plan, whole_plan


def test_log_code_by_hand() -> None:
    """Bits, then the eight behind the leading one: 5 is 101, 2^40 + 2^39 is 1.1 times 2^40."""
    values = np.array([0, 1, 2, 3, 5, 255, 256, 257, (1 << 40) + (1 << 39), (1 << 64) - 1], np.uint64)
    expected = [0, 256, 512, 512 + 128, 768 + 64, 2048 + 254, 2304, 2304 + 1, 256 * 41 + 128, 256 * 64 + 255]
    assert log_code(values).tolist() == expected


def test_summary_by_hand() -> None:
    """A ramp of one channel: least, largest, mean rounded towards 0, total change, and parts of equal variance."""
    x = np.arange(-10, 30, dtype=np.int16)[None, :, None]  # 40 rows: 5 blocks of 8
    summary = summary_for(40)
    features = summary.features(x)[0]
    assert features[:4].tolist() == [-10, 29, 9, log_code(39)]
    parts = [x[0, a:b, 0].astype(int) for a, b in ((0, 8), (8, 16), (16, 24), (24, 40))]
    assert features[4:8].tolist() == [log_code(len(p) * (p * p).sum() - p.sum() ** 2) for p in parts]
    means = np.array([p.reshape(-1, 8).mean(1) for p in np.split(x[0, :, 0], 5)]).ravel()
    spectrum = np.abs(np.fft.fft(np.floor(means), 5)[1:3]) ** 2 * 2048.0**2
    assert np.abs(features[8:10] - 256 * (np.log2(spectrum) + 1)).max() < 24  # straight lines between powers of 2
    flat = np.full((1, 40, 1), -300, np.int16)
    assert summary.features(flat)[0].tolist() == [-300, -300, -300, 0, 0, 0, 0, 0, *summary.features(flat)[0, 8:]]


def test_norm_of_three_axes() -> None:
    """Its bins do not change when the axes change places; those of two axes have none."""
    x = random_rows(np.random.default_rng(0), 5, 151, 3)
    summary = summary_for(151)
    assert (summary.count(3), summary.count(2), summary.count(6)) == (52, 30, 104)
    a, b = summary.features(x), summary.features(x[:, :, [2, 0, 1]])
    assert (a[:, 45:] == b[:, 45:]).all()
    assert (summary.features(np.concatenate([x, x], 2)) == np.concatenate([a, a], 1)).all()


def test_summary_refuses() -> None:
    with pytest.raises(DitmosError, match="3 rows, expected at least 4"):
        summary_for(3)
    with pytest.raises(DitmosError, match="block is 12"):
        Summary(12, summary_for(64).table)
    with pytest.raises(DitmosError, match="weighs 98304, expected at most 65535"):
        Summary(8, np.full((1, 6, 2), -16384, np.int16))
    with pytest.raises(DitmosError, match="a window of 170 has 22"):
        summary_for(151).features(np.zeros((1, 170, 3), np.int16))
    with pytest.raises(DitmosError, match="Summary is not the last operation"):
        FrontEnd((summary_for(151), Norm(0, 3)), 50.0, 1.0, "g", ("x", "y", "z"))


def test_front_end_comes_back() -> None:
    for window in (32, 151, 3000):
        made = FrontEnd((Norm(0, 2), summary_for(window)), 50.0, 0.5, "g", ("x", "y"))
        found = decode_front(encode_front(made, 8, 16)).front
        assert found.summary and found.summary.block == made.summary.block
        assert (found.summary.table == made.summary.table).all()


def walked(forest: Forest, x: np.ndarray, classes: int) -> np.ndarray:
    """One row, node by node."""
    votes = np.zeros(classes, int)
    for at in map(int, forest.roots):
        while forest.feature[at] != LEAF:
            at += 1 if x[forest.feature[at]] <= forest.threshold[at] else int(forest.right[at])
        for c, v in zip(forest.classes[at], forest.votes[at], strict=True):
            votes[c] += v
    return votes


@pytest.mark.parametrize(
    ("features", "classes", "leaves"), [(52, 34, 60), (104, 5, 20), (9, 70, 30), (52, 3, 3000), (4, 2, 1)]
)
def test_votes_and_nodes_of_both_forms(features: int, classes: int, leaves: int) -> None:
    rng = np.random.default_rng(leaves)
    x = rng.integers(-32768, 32768, (30, features)).astype(np.int16)
    forest = random_forest(rng, x, classes, trees=5, leaves=leaves)
    assert forest.wide == (features > 63 or classes > 64 or leaves > 1000)
    check_forest(forest, features, classes, 0)
    votes, read = forest.walk(x, classes)
    assert (votes.sum(1) == VOTES * forest.trees).all()
    assert read >= forest.trees or leaves == 1
    for row, found in zip(x, votes, strict=True):
        assert (walked(forest, row, classes) == found).all()


def test_both_by_hand() -> None:
    """Two classes; the network is sure of the second by 20 steps of 0.1, the forest says 9 to 6 for the first."""
    opinion = opinions(0.1)
    scores = both([[9, 6]], 1, [[-10, 10]], opinion, 4)[0] / (8 * 15 * 32768)
    network = 1 / (1 + np.exp(2.0))
    assert scores == pytest.approx([(0.6 + network) / 2, (0.4 + 1 - network) / 2], abs=1e-4)
    assert both([[9, 6]], 1, [[-10, 10]], opinion, 8).argmax() == 0
    assert both([[9, 6]], 1, [[-10, 10]], opinion, 0).argmax() == 1
    most = both(np.full((1, 2), 15000), 1000, [[127, -128]], opinion, 8).max()
    assert most < 1 << 32


def test_both_is_checked_in_the_lab_as_on_a_board() -> None:
    made = forest_model(np.random.default_rng(3))
    model = Model(made)
    windows = np.zeros((1, made.spec.window, made.spec.channels), np.int8)
    rows = random_rows(np.random.default_rng(3), 1, made.spec.window, made.spec.channels)
    replay = Replay(model, windows, Logits.of(model, windows, rows))
    replay.next()
    logits = np.zeros(made.spec.classes, np.int8)
    for lab in (model, replay):
        with pytest.raises(RuntimeError, match="both before votes"):
            lab.both(logits, 4)
        with pytest.raises(ValueError, match="weight is 9, expected 0 to 8"):
            lab.both(logits, 9)
        with pytest.raises(ValueError, match="1 logits, expected those of a classifier"):
            lab.both(logits[:1], 4)
    votes = np.asarray(replay.votes(None))
    assert replay.both(logits, 8) == int(votes.argmax())


@pytest.mark.parametrize("alone", [False, True])
def test_file_comes_back(alone: bool) -> None:
    for seed in range(12):
        model = forest_model(np.random.default_rng(seed), alone=alone)
        for plan in (whole_plan(model.spec, feed=feed_of(model)), stream_plan(model.spec, feed_of(model))):
            data = encode(model, plan)
            found, again = decode(data)
            assert encode(found, again) == data
            rows = random_rows(np.random.default_rng(seed), 4, model.spec.window, model.spec.channels)
            assert (Model(found).votes_batch(rows) == Model(model).votes_batch(rows)).all()


def test_alone_has_no_layers_and_a_plan() -> None:
    model = forest_model(np.random.default_rng(5), alone=True)
    assert model.use.policy == "forest"
    [only] = front(model.spec, model)
    assert (only.plan.stages, only.plan.slices, only.macs, only.instructions) == ((), (), 0, 0)
    reference = Model(model)
    with pytest.raises(ValueError, match="the model has no classifier"):
        reference.classify(0)
    with pytest.raises(ValueError, match="feed them, and give None"):
        reference.votes(np.zeros(model.spec.window * model.spec.channels, np.int8))


def test_models_that_are_refused() -> None:
    model = forest_model(np.random.default_rng(2), alone=True)
    with pytest.raises(DitmosError, match="neither a network nor a forest"):
        check(replace(model, forest=None))
    with pytest.raises(DitmosError, match="the front end needs a Summary"):
        check(replace(model, front_end=None))
    with pytest.raises(DitmosError, match="names a class beyond"):
        check_forest(model.forest, model.forest.features, int(model.forest.classes.max()), 0)
    with pytest.raises(DitmosError, match="opinions of logits missing"):
        check_forest(model.forest, model.forest.features, model.spec.classes, 2)
    with pytest.raises(DitmosError, match="has layers, but no classifier"):
        NetworkSpec(64, 3, 4, 0, BranchSpec((ConvSpec(4, 3),)))
    assert without_network(64, 3, 4).macs == 0


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, b"\0\0", "FRST trees"),
        (2, b"\2", "FRST form"),
        (3, b"\1", "FRST reserved"),
        (4, b"\xff\xff\xff\xff", "FRST words"),
        (8, b"\7\7", "FRST features"),
        (12, b"\1", "FRST opinion"),
        (12 + 512, b"\1", "FRST roots"),
    ],
)
def test_damaged_sections_name_field_and_offset(offset: int, value: bytes, message: str) -> None:
    model = next(m for s in range(50) if (m := forest_model(np.random.default_rng(s))).forest.trees > 2)
    data = bytearray(encode(model, whole_plan(model.spec, feed=feed_of(model))))
    entry = data.index(b"FRST")
    at = int.from_bytes(data[entry + 4 : entry + 8], "little") + offset
    data[at : at + len(value)] = value
    data[12:16] = crc32(data[16:]).to_bytes(4, "little")
    with pytest.raises(ModelFileError, match=message) as caught:
        decode(bytes(data))
    assert caught.value.offset == at
