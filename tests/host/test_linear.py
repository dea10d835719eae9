"""`ditmos train --method linear`: features made by hand, one fully connected layer that reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.route import quantized_windows
from ditmos.datasets import TEST, load, save
from ditmos.datasets.splits import split
from ditmos.datasets.synthetic import generate
from ditmos.errors import DitmosError
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.planner.price import planned
from ditmos.training import linear
from ditmos.training.run import Request, train
from ditmos.training.settings import Settings
from ditmos.training.space import Budget


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = generate(subjects=8, activities=4, recordings=2, windows=3, window=64, seed=3)
    return save(split(made, "subject", validation=0.25), tmp_path_factory.mktemp("data") / "d.npz")


def test_trained_and_decided_from_raw_samples(data: Path, tmp_path: Path) -> None:
    request = Request(data, method="linear", settings={"int8": {"epochs": 1}})
    row = train(request, tmp_path / "run", linear.learn)
    assert row["shape"] == "linear"
    quantized, plan = read_model(tmp_path / "run" / "model.dtm")
    model, dataset = Model(quantized), load(data)
    test = dataset.part(TEST)
    assert row["int8"] > 0.6 > 2 / dataset.classes  # where chance is a quarter
    assert row["strength"] in linear.STRENGTHS and len(row["trials"]) == len(linear.STRENGTHS)
    assert (model.window, model.kept_rows, model.raw_window) == (1, 64, 64)
    assert quantized.front_end.summary.rows == 64 and len(quantized.inputs) == quantized.front_end.channels_out
    windows = quantized_windows(model, dataset, test)
    at_once = model.classify_batch(windows, np.zeros(len(test), np.int64))
    for i, logits in zip(test[:5], at_once, strict=False):
        model.feed_reset()
        assert model.feed(dataset.x[i]) == 64
        model.select(None)
        assert np.array_equal(model.classify(0), logits)
    assert (at_once.argmax(1) == dataset.y[test]).mean() == pytest.approx(row["test"]["accuracy"])
    assert row["instructions"] > planned(quantized, plan).classify > 0  # the features are in it
    assert row["float"] - row["int8"] < 0.05


def test_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DitmosError, match=r"no linear model within 1,000 instructions, expected more; .* instructions"):
        train(Request(data, Budget(instructions=1_000), "linear"), tmp_path / "small", linear.learn)
    for method, content, said in (
        ("wide", {"data": {"features": True}}, "data.features is set, but method wide reads rows"),
        ("linear", {"fit": {"epochs": 3}}, "fit.epochs is set, but method linear has no such choice"),
    ):
        with pytest.raises(DitmosError, match=said):
            Settings().changed(content, method, "f.toml")
