"""Raw samples over the line: the board's front end makes the rows, and the results are the reference's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.golden_feeds import model_with_front
from ditmos.bench.golden_fronts import random_samples
from ditmos.errors import DitmosError
from ditmos.frontends.memory import memory
from ditmos.link.deploy import Place, deploy
from ditmos.link.stream import classify, samples
from ditmos.model.reference import Model
from ditmos.model.writer import write_model
from ditmos.planner import stream_plan
from ditmos.routing import top1


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    """With a hop of several samples, and without a filter whose state outlives a window."""
    for seed in range(1000):
        model = model_with_front(np.random.default_rng(seed))
        front = model.front_end
        if front and front.hop > 3 and [type(o).__name__ for o in front.operations] == ["Spectrum"]:
            break
    else:
        pytest.fail("no such front end among the random ones")
    path = tmp_path_factory.mktemp("raw") / "fed.dtm"
    write_model(path, model, stream_plan(model.spec, memory(front, model.spec.window)))
    return path, Model(model)


def answer(model: Model) -> tuple[int, int, list[int]]:
    label, k = top1(model, None)
    return label, k, model.classify(k).tolist()


def said(results) -> list[tuple[int, int, list[int]]]:
    return [(r.label, r.classifier, r.logits.tolist()) for r in results]


def test_whole_windows(board, fed):
    """Each by itself; a window may have some samples too many."""
    path, model = fed
    deploy(board, path, Place.ram)
    rng = np.random.default_rng(0)
    count = model.raw_window + model.raw_hop - 1
    windows = np.stack([random_samples(rng, count, model.raw_channels) for _ in range(5)])
    expected = []
    for window in windows:
        model.feed_reset()
        model.feed(window)
        expected.append(answer(model))
    assert said(classify(board, windows, logits=True)) == expected
    with pytest.raises(DitmosError, match=f"the model takes {model.raw_window} x {model.raw_channels}"):
        list(classify(board, windows[:, : model.raw_window - 1]))


def test_samples_as_they_come(board, fed):
    path, model = fed
    deploy(board, path, Place.ram)
    hop = 3 * model.raw_hop
    stream = random_samples(np.random.default_rng(1), model.raw_window + 20 * hop + 5, model.raw_channels)
    model.feed_reset()
    model.feed(stream[: model.raw_window])
    expected = [answer(model)]
    for start in range(model.raw_window, len(stream) - hop + 1, hop):
        model.feed(stream[start : start + hop])
        expected.append(answer(model))
    blocks = np.array_split(stream, 7)
    assert said(samples(board, blocks, np.int16, hop=hop, logits=True)) == expected
    with pytest.raises(DitmosError, match="expected a multiple of"):
        list(samples(board, blocks, np.int16, hop=hop + 1))
