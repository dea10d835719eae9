"""Forests on the simulated board: every feature, vote and decision is the reference's, window by window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.golden_forests import forest_model, linear_model, random_rows
from ditmos.frontends.window_summary import Summary
from ditmos.link.deploy import Place, deploy
from ditmos.link.stream import classify
from ditmos.link.verify import verify
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.model.use import Rule, Use
from ditmos.model.writer import write_model
from ditmos.planner import feed_of, whole_plan
from ditmos.routing import FOREST, VOTES, first, forest

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


def test_noise_where_no_windows_are_given(board, tmp_path: Path) -> None:
    model = plain(50, ALONE)
    path = tmp_path / "model.dtm"
    write_model(path, model, whole_plan(model.spec, feed=feed_of(model)))
    windows = np.zeros((3, model.spec.window, model.spec.channels), np.int8)
    assert verify(board, path, windows).equal
