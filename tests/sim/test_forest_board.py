"""Forests on the simulated board: every feature, vote and decision is the reference's, window by window."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.atomic import read_json
from ditmos.bench.golden_forests import forest_model, linear_model, random_rows
from ditmos.cli import stream
from ditmos.datasets import Dataset, save
from ditmos.frontends.window_summary import Summary
from ditmos.link.board import Board
from ditmos.link.deploy import Place, deploy
from ditmos.link.stream import classify
from ditmos.link.verify import verify
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.model.use import Rule, Use
from ditmos.model.writer import write_model
from ditmos.planner import feed_of, price, whole_plan
from ditmos.routing import FOREST, VOTES, first, forest
from ditmos.simulated.qemu import Simulator
from ditmos.ui.live_board import LiveBoard
from ditmos.ui.openers import Plugged
from ditmos.ui.player import supply_of_dataset

ALONE = (Rule.ONLY,)
ROUTED = (Rule.ONLY, Rule.SELECTOR)


def plain(seed: int, rules: tuple[Rule, ...]) -> QuantizedModel:
    """Three axes and a Summary alone; behind the forest nothing, or a network that is asked by one of these rules."""
    while True:
        model = forest_model(np.random.default_rng(seed), alone=rules == ALONE, most_window=64)
        only = [type(operation) for operation in model.front_end.operations] == [Summary]
        if only and model.spec.channels == 3 and model.use.rule in rules:
            return model
        seed += 1


def sure_half(model: QuantizedModel, rows: np.ndarray) -> int:
    """The `tau` of `first` with which the forest answers about half of the windows."""
    votes = Model(model).votes_batch(rows).max(1)
    return int(np.median(16 * votes.astype(int) / (VOTES * model.forest.trees)))


@pytest.mark.parametrize("rules", [ALONE, ROUTED, (Rule.VOTES,)])
def test_verify_and_stream(board, tmp_path: Path, rules: tuple[Rule, ...]) -> None:
    alone, model = rules == ALONE, plain(0, rules)
    rows = random_rows(np.random.default_rng(5), 24, model.spec.window, 3)
    tau = sure_half(model, rows)
    use = Use("forest", model.use.rule) if alone else Use("first", model.use.rule, (tau, 3))
    model = replace(model, use=use)
    path = tmp_path / "model.dtm"
    write_model(path, model, whole_plan(model.spec, feed=feed_of(model)))
    reference = Model(model)
    report = verify(board, path, np.ascontiguousarray(reference.quantize(rows)), samples=rows)
    assert report.equal and report.windows == 24, report.to_dict()
    named = ["specialist"] if rules == (Rule.VOTES,) else []
    assert [part.name for part in report.forest] == ["features", "votes", *named]
    assert min(part.bytes for part in report.forest) > 0
    planned = price.summary_price(model.front_end.summary, model.spec.window, 3)
    if model.front_end.summary.block == 8:  # in blocks of 4 they take more than planned
        assert 0.8 * planned < report.forest[0].ticks < 1.25 * planned, "without the clock and the call"

    deploy(board, path, Place.ram)
    policy = forest if alone else first(tau, 3)
    expected = []
    for window in rows:
        reference.feed_reset()
        reference.feed(window)
        expected.append(policy(reference, None))
    assert [(r.label, r.who) for r in classify(board, rows)] == expected
    answered = {who == FOREST for _, who in expected}
    assert answered == ({True} if alone else {True, False})


def test_a_network_that_reads_features(board, tmp_path: Path) -> None:
    """Verified and streamed: a window of raw samples, its features, one row of int8."""
    model = linear_model(np.random.default_rng(4), most_window=64)
    reference = Model(model)
    rows = random_rows(np.random.default_rng(5), 12, reference.raw_window, reference.raw_channels)
    path = tmp_path / "model.dtm"
    write_model(path, model, whole_plan(model.spec, feed=feed_of(model)))
    report = verify(board, path, np.ascontiguousarray(reference.quantize(rows)), samples=rows)
    assert report.equal and report.windows == 12, report.to_dict()
    deploy(board, path, Place.ram)
    logits = reference.classify_batch(reference.quantize(rows), np.zeros(12, np.int64))
    expected = [(int(label), 0) for label in logits.argmax(1)]
    assert [(r.label, r.who) for r in classify(board, rows)] == expected


@pytest.mark.parametrize("features", [True, False])
def test_real_numbers_are_sent_as_the_samples_that_they_are(
    simulated: Simulator, tmp_path: Path, features: bool
) -> None:
    """Of a set of floats: rows as frequent as samples are told from them by channels or scale."""
    model = linear_model(np.random.default_rng(4), most_window=64) if features else plain(0, ALONE)
    model = model if features else replace(model, use=Use("forest", model.use.rule))
    front, reference = model.front_end, Model(model)
    x = random_rows(np.random.default_rng(5), 8, reference.raw_window, reference.raw_channels)
    logits = reference.classify_batch(reference.quantize(x), np.zeros(8, np.int64)) if features else None
    label = reference.votes_batch(x).argmax(1) if logits is None else logits.argmax(1)
    owner, real = np.zeros(8, np.int64), (x * np.float32(front.scale)).astype(np.float32)
    dataset = Dataset(
        real, label.astype(np.int64), owner, owner, reference.class_names, front.channel_names, 1.0, front.units,
        front.fs, None, "real",
    )  # fmt: skip
    write_model(tmp_path / "model.dtm", model, whole_plan(model.spec, feed=feed_of(model)))
    with Board(simulated.port) as board:
        where = deploy(board, tmp_path / "model.dtm", Place.flash)
    try:
        source = str(save(dataset, tmp_path / "real.npz"))
        stream.stream(source=source, port=simulated.port, json_file=tmp_path / "said.json")
        supply = supply_of_dataset(dataset, np.arange(8))
        page = LiveBoard("board", Plugged(simulated.port), supply, rate=5000, hop=reference.raw_window).start()
        for _ in range(300):
            if page.message or (page.history and page.history.count >= 8):
                break
            time.sleep(0.05)
        page.close()
        assert page.history and page.history.count >= 8, page.message
        shown = [(answer.result.label, answer.truth) for answer in page.history.last(1000)[:8]]
        assert shown == [(value, value) for value in label.tolist()]
    finally:
        with Board(simulated.port) as board:
            board.exec(f"import os\nos.remove({where.path!r})")
    said = read_json(tmp_path / "said.json")
    assert (said["results"], said["accuracy"]) == (8, 1.0)


def test_noise_where_no_windows_are_given(board, tmp_path: Path) -> None:
    model = plain(50, ALONE)
    path = tmp_path / "model.dtm"
    write_model(path, model, whole_plan(model.spec, feed=feed_of(model)))
    windows = np.zeros((3, model.spec.window, model.spec.channels), np.int8)
    assert verify(board, path, windows).equal
    code = (
        "from array import array\nfrom ditmos.script import Stopwatch\nm, w = _model, Stopwatch()\n"
        "m.feed(array('h', bytes(2 * m.kept_rows * m.raw_channels)))\n"
        "print(min(w.measure(m.feed, array('h', bytes(2 * m.raw_channels))) for _ in range(3)))"
    )
    row = price.front_row(model.front_end, model.spec.window)
    assert 0.6 * row < int(board.exec(code)) < 1.2 * row, "instructions of a row that moves the window on"
