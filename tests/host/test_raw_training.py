"""A set of sound trains as it is: the front end is chosen, goes into the model file, and takes raw samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.route import quantized_windows
from ditmos.datasets import Dataset, save
from ditmos.errors import DitmosError
from ditmos.frontends import log_mel
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.planner import front
from ditmos.planner.budget import Budget, flash_bytes
from ditmos.planner.price import estimated
from ditmos.training.data import load_prepared
from ditmos.training.learn import learn
from ditmos.training.run import MODEL, Request, read_run, train
from ditmos.training.space import keeps
from test_training import GIVEN

FS = 8000.0


def tones(people: int = 24, each: int = 9) -> Dataset:
    """Half a second of a low, a middle or a high tone in noise, from every person alike."""
    rng = np.random.default_rng(0)
    count = people * each
    y, subject = np.arange(count) % 3, np.arange(count) // each
    t = np.arange(int(FS / 2)) / FS
    hz = np.array([300, 900, 2400])[y, None] * rng.uniform(0.9, 1.1, (count, 1))
    x = np.sin(2 * np.pi * hz * t) * 10 ** rng.uniform(-1, 0, (count, 1)) * 0.5 + rng.normal(0, 0.01, (count, len(t)))
    x = np.rint(x * 2048).astype(np.int16)[..., None]
    split = np.where(subject < 15, 0, np.where(subject < 19, 1, 2)).astype(np.int8)
    names = ("low", "middle", "high")
    return Dataset(x, y, subject, subject, names, ("mic",), 1 / 2048, "full scale", FS, split, "tones")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("raw")
    data = save(tones(), folder / "tones.npz")
    train(Request(data, settings=GIVEN), folder / "run", learn)
    return data, folder / "run"


def test_the_front_end_is_in_the_model_file(run: tuple[Path, Path]) -> None:
    _, out = run
    model, plan = read_model(out / MODEL)
    frames = (len(tones().x[0]) - 240) // 160 + 1
    assert model.front_end is not None and plan.feed is not None
    assert (model.spec.window, model.spec.channels) == (frames, log_mel.MELS)
    assert (model.front_end.fs, model.front_end.scale, model.front_end.units) == (FS, 1 / 2048, "full scale")


def test_raw_windows_get_the_labels_of_their_rows(run: tuple[Path, Path]) -> None:
    data, out = run
    reference = Model(read_model(out / MODEL)[0])
    prepared = load_prepared(read_run(out)[1].data, data)
    index = np.arange(len(prepared.dataset))
    rows = quantized_windows(reference, prepared.dataset, index)
    np.testing.assert_array_equal(quantized_windows(reference, prepared.sent, index), rows)
    reference.feed(prepared.sent.x[0])
    np.testing.assert_array_equal(reference.select(None), reference.select_batch(rows[:1])[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fs": 16000.0}, "fs is 16000 Hz, the model was made for 8000"),
        ({"scale": 1 / 32768}, "the model was made for raw samples of 0.000488281"),
        (
            {"x": tones().x.repeat(2, 2), "channels": ("left", "right")},
            "channels are left, right, the model was made for",
        ),
        ({"x": tones().x[:, :3000]}, "windows of 3000 samples make 18 rows, the model takes 24"),
    ],
)
def test_samples_of_another_kind_are_refused_by_name(run: tuple[Path, Path], changes: dict, message: str) -> None:
    reference = Model(read_model(run[1] / MODEL)[0])
    with pytest.raises(DitmosError, match=f"tones: .*{message}"):
        quantized_windows(reference, replace(tones(), **changes), np.arange(3))


def test_budgets_count_the_front_end_before_anything_is_trained(run: tuple[Path, Path], tmp_path: Path) -> None:
    """The network alone would keep each of them."""
    spec = read_model(run[1] / MODEL)[0].spec
    budgets = (
        Budget(flash=flash_bytes(spec)),
        Budget(ram=front(spec)[0].arena),
        Budget(worst=1.4 * estimated(spec).of(1)),
    )
    for budget in budgets:
        assert keeps(spec, budget)
        taken = r"\(of that the front end [\d,]+ instructions a row, [\d,]+ bytes of RAM, [\d,]+ of flash\)"
        with pytest.raises(DitmosError, match=f"no room .* within .*, expected more; the smallest takes .*{taken}"):
            train(Request(run[0], budget, settings=GIVEN), tmp_path / "run", learn)
    row = read_run(run[1])[0]
    assert row["front_end"]["instructions"] > 0 and row["arena_bytes"] > row["front_end"]["kept_bytes"]
