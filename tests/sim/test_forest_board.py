"""Forests on the simulated board: every feature, vote and decision is the reference's, window by window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.golden_forests import forest_model, random_rows
from ditmos.frontends.window_summary import Summary
from ditmos.link.deploy import Place, deploy
from ditmos.link.stream import classify
from ditmos.link.verify import verify
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.model.use import Rule, Use
from ditmos.model.writer import write_model
from ditmos.planner import feed_of, whole_plan
from ditmos.routing import FOREST, first, forest


def plain(seed: int, *, alone: bool) -> QuantizedModel:
    """Three axes and a Summary alone, several classifiers behind."""
    while True:
        model = forest_model(np.random.default_rng(seed), alone=alone, most_window=64)
        only = [type(operation) for operation in model.front_end.operations] == [Summary]
        if only and model.spec.channels == 3 and (alone or model.use.rule != Rule.ALL):
            return model
        seed += 1


@pytest.mark.parametrize("alone", [True, False])
def test_verify_and_stream(board, tmp_path: Path, alone: bool) -> None:
    model = plain(0, alone=alone)
    use = Use("forest", model.use.rule) if alone else Use("first", model.use.rule, (9, 3))
    model = replace(model, use=use)
    path = tmp_path / "model.dtm"
    write_model(path, model, whole_plan(model.spec, feed=feed_of(model)))
    rows = random_rows(np.random.default_rng(5), 24, model.spec.window, 3)
    reference = Model(model)
    report = verify(board, path, np.ascontiguousarray(reference.quantize(rows)), samples=rows)
    assert report.equal and report.windows == 24, report.to_dict()
    assert [part.name for part in report.forest] == ["features", "votes"]
    assert min(part.bytes for part in report.forest) > 0

    deploy(board, path, Place.ram)
    policy = forest if alone else first(9, 3)
    expected = []
    for window in rows:
        reference.feed_reset()
        reference.feed(window)
        expected.append(policy(reference, None))
    assert [(r.label, r.who) for r in classify(board, rows)] == expected
    answered = {who == FOREST for _, who in expected}
    assert answered == ({True} if alone else {True, False})


def test_noise_where_no_windows_are_given(board, tmp_path: Path) -> None:
    model = plain(50, alone=True)
    path = tmp_path / "model.dtm"
    write_model(path, model, whole_plan(model.spec, feed=feed_of(model)))
    windows = np.zeros((3, model.spec.window, model.spec.channels), np.int8)
    assert verify(board, path, windows).equal
