"""The reference model on raw samples: what is fed in pieces is what the whole window gives."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest
from ditmos.bench.golden import random_model, random_spec
from ditmos.bench.golden_feeds import feed_case, model_with_front
from ditmos.bench.golden_forests import linear_model
from ditmos.bench.golden_fronts import random_affine, random_samples
from ditmos.errors import DitmosError
from ditmos.frontends.frontend import FrontEnd
from ditmos.model.inputs import quantize_input
from ditmos.model.quantized import check
from ditmos.model.reader import ModelFileError, decode
from ditmos.model.reference import Model
from ditmos.model.writer import encode
from ditmos.planner import whole_plan


def some_model(seed: int) -> tuple[Model, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return Model(model_with_front(rng)), rng


@pytest.mark.parametrize("seed", range(10))
def test_pieces_are_the_window(seed: int) -> None:
    """feed and select_fed, select(None), and quantize of a raw window, which may have some samples too many."""
    model, rng = some_model(seed)
    more = int(rng.integers(model.raw_hop))
    samples = random_samples(rng, model.raw_window + more, model.raw_channels)
    window = model.quantize(samples)
    assert window.shape == (model.window, model.channels)
    expected = model.select(window)
    for split in (0, len(samples) // 3, len(samples)):
        model.feed_reset()
        assert model.feed(samples[:split]) + model.feed(samples[split:].reshape(-1)) == model.window
        np.testing.assert_array_equal(model.select(None), expected)
        np.testing.assert_array_equal(model.select_fed(), expected)
    np.testing.assert_array_equal(model.select_batch(model.quantize(samples[None]))[0], expected)


def test_rows_of_as_many_channels_as_samples_go_through_once() -> None:
    """A front end of an Affine alone makes rows that look like samples."""
    rng = np.random.default_rng(0)
    spec = random_spec(rng, max_rows=30, max_classifiers=2)
    width = spec.channels
    affine = random_affine(rng, width)
    front = FrontEnd((affine,), 50.0, 1.0, "u", tuple(f"c{i}" for i in range(width)))
    model = Model(replace(random_model(rng, spec), front_end=front))
    samples = random_samples(rng, model.window, width)
    model.feed(samples)
    expected = model.select(quantize_input(affine(samples), model.inputs))
    model.feed_reset()
    model.feed(samples)
    np.testing.assert_array_equal(model.select(None), expected)
    np.testing.assert_array_equal(model.quantize_rows(affine(samples)), model.quantize(samples))


def test_features_are_a_window_of_one_row() -> None:
    """Samples, features, integers: what a network of one row reads, whole or in pieces."""
    rng = np.random.default_rng(4)
    made = linear_model(rng)
    model, summary = Model(made), made.front_end.summary
    samples = random_samples(rng, model.raw_window, model.raw_channels)
    assert (model.window, model.kept_rows) == (1, summary.rows)
    assert model.feed(samples[:-1]) == summary.rows - 1
    with pytest.raises(RuntimeError, match=f"the window needs {summary.rows} rows, there are {summary.rows - 1}"):
        model.select(None)
    model.feed(samples[-1:])
    assert model.summary().tobytes() == made.front_end(samples).tobytes()
    expected = quantize_input(made.front_end(samples), model.inputs)
    np.testing.assert_array_equal(model.quantize(samples), expected)
    model.select(None)
    fed = bytes(model.classify(0))
    model.select(expected)
    assert fed == bytes(model.classify(0))
    with pytest.raises(DitmosError, match="features are a window of 1 row, the network's has 2"):
        made.front_end.check_window(2)


def test_rows_start_anew_after_another_window() -> None:
    model, rng = some_model(1)
    samples = random_samples(rng, model.raw_window, model.raw_channels)
    with pytest.raises(RuntimeError, match=f"the window needs {model.window} rows, there are 0"):
        model.select_fed()
    model.feed(samples)
    model.select_fed()
    model.classify(0)
    model.select(np.zeros((model.window, model.channels), np.int8))
    with pytest.raises(RuntimeError, match="there are 0"):
        model.select_fed()
    model.feed(samples)
    with pytest.raises(RuntimeError, match="classify before select"):
        model.classify(0)


def test_what_feed_refuses() -> None:
    model, _ = next((m, r) for m, r in map(some_model, range(20)) if m.raw_channels > 1)
    with pytest.raises(TypeError, match="expected int16"):
        model.feed(np.zeros(model.raw_channels, np.float32))
    with pytest.raises(ValueError, match=f"expected a multiple of {model.raw_channels}"):
        model.feed(np.zeros(1, np.int16))
    plain = Model(replace(model.model, front_end=None))
    with pytest.raises(ValueError, match="no front end"):
        plain.feed(np.zeros(3, np.int16))
    assert (plain.raw_channels, plain.raw_hop, plain.raw_window) == (0, 0, 0)


def test_a_model_file_keeps_the_front_end() -> None:
    for seed in range(6):
        case = feed_case(seed)
        model, plan = decode(encode(case.model, case.plan))
        assert plan.feed == case.plan.feed and model.front_end is not None
        samples = case.samples
        if Model(case.model).raw_window <= len(samples):
            window = samples[: Model(case.model).raw_window]
            np.testing.assert_array_equal(Model(model).quantize(window), Model(case.model).quantize(window))


def test_plan_and_front_end_belong_together() -> None:
    model = some_model(0)[0].model
    with pytest.raises(DitmosError, match="is for a model without a front end"):
        encode(model, whole_plan(model.spec))
    plan = feed_case(3).plan
    with pytest.raises(DitmosError):
        encode(replace(feed_case(3).model, front_end=None), plan)
    with pytest.raises(DitmosError, match="rows of the front end have"):
        check(replace(model, front_end=some_model(5)[0].model.front_end))


def test_a_section_that_does_not_fit_names_field_and_offset() -> None:
    case = feed_case(0)
    data = bytearray(encode(case.model, case.plan))
    at = data.index(b"FRNT")
    begin = int.from_bytes(data[at + 4 : at + 8], "little")
    data[begin + 2] = 9
    data[12:16] = crc32(data[16:]).to_bytes(4, "little")
    with pytest.raises(ModelFileError, match=f"FRNT operations at offset {begin + 2}: is 9, expected 1 to 8"):
        decode(bytes(data))
