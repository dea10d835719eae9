"""`reference.py`: against a direct transcription of docs/arithmetic.md, and its interface."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ditmos.bench import golden
from ditmos.errors import DitmosError
from ditmos.model.inputs import InputChannel, fraction, last_not_finite, quantize_input
from ditmos.model.lanes import LANE_HALF
from ditmos.model.layer_shape import LayerShape
from ditmos.model.quantized import QuantizedLayer, accumulator_bound
from ditmos.model.reference import Model, accumulate, requantize
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, average


def padded_by_hand(shape: LayerShape, maps: list[np.ndarray], window: tuple[int, ...]) -> list[np.ndarray]:
    """Rows of padding, one by one."""
    result = []
    for ref, x in zip(shape.inputs, maps, strict=True):
        row = np.array(window if ref.level == 0 else [-128] * len(x))[:, None]
        result.append(np.hstack([row] * shape.pad[0] + [x] + [row] * shape.pad[1]))
    return result


def weight_by_hand(shape: LayerShape, layer: QuantizedLayer, o: int, i: int, j: int) -> int:
    """What output channel o has for row j of input channel i."""
    if shape.kind == "depthwise":
        return int(layer.weight[o, 0, j]) if i == o else 0
    if shape.kind == "average":
        return int(layer.weight[o, 0, 0]) if i == o else 0
    return int(layer.weight.reshape(shape.channels_out, shape.channels_in, -1)[o, i, j])


def layer_by_hand(shape: LayerShape, layer: QuantizedLayer, x: np.ndarray) -> np.ndarray:
    """docs/arithmetic.md, One layer, in Python integers. x (in, rows) or (in,)."""
    x = x.reshape(shape.channels_in, -1)
    result = np.empty((shape.channels_out, shape.rows_out), np.int8)
    for o in range(shape.channels_out):
        for r in range(shape.rows_out):
            pooled = []
            for p in range(shape.pool):
                t = (r * shape.pool + p) * shape.stride
                acc = int(layer.bias[o])
                for i in range(shape.channels_in):
                    for j in range(shape.kernel):
                        acc += weight_by_hand(shape, layer, o, i, j) * int(x[i, t + j])
                pooled.append(acc)
            y = layer.zero_point + ((max(pooled) * int(layer.multiplier[o]) + 2**31) >> 32)
            result[o, r] = max(-128, min(127, y))
    return result


@pytest.mark.parametrize("seed", range(25))
def test_layers_by_hand(seed: int) -> None:
    case = golden.case(seed, windows=3, max_rows=50, max_classifiers=2)
    model = Model(case.model)
    outputs = model.layer_outputs(case.windows, 0)
    layers = dict(
        zip(outputs, case.model.selector + case.model.classifiers[0], strict=True),
    )
    for n, window in enumerate(case.windows):
        maps = {("selector", 0): window.T}
        previous = None
        for shape in case.model.spec.selector_layers() + case.model.spec.classifier_layers():
            read = [maps[ref.branch, ref.level] for ref in shape.inputs]
            if any(shape.pad):
                read = padded_by_hand(shape, read, case.model.padding)
            x = np.concatenate([part.ravel() for part in read]) if read else previous
            previous = layer_by_hand(shape, layers[shape.name], x)
            if shape.kind != "fc":
                maps[shape.branch, shape.inputs[0].level + 1] = previous
            assert np.array_equal(previous.ravel(), outputs[shape.name][n].ravel()), shape.name


@pytest.mark.parametrize("seed", range(10))
def test_batch_equals_single(seed: int) -> None:
    case = golden.case(seed, windows=6)
    model = Model(case.model)
    selector, logits = model.select_batch(case.windows), model.classify_batch(case.windows)
    chosen = np.arange(len(case.windows)) % model.classifiers
    assert np.array_equal(model.classify_batch(case.windows, chosen), logits[np.arange(len(chosen)), chosen])
    for n, window in enumerate(case.windows):
        assert np.array_equal(model.select(window.ravel()), selector[n])
        for k in range(model.classifiers):
            assert np.array_equal(model.classify(k), logits[n, k])
    for level in range(1, 1 + len(case.model.spec.selector.convs) if case.model.spec.selector else 1):
        name = f"selector.{level}"
        assert np.array_equal(model.features(level), model.layer_outputs(case.windows, 0)[name][-1])


def test_requantize_rounds_half_up() -> None:
    acc = np.array([[3, 1, -1, -3, 5, -5]]).T.reshape(6, 1)
    half = np.array([2**31 - 1], np.int32)  # one step below a half
    assert requantize(acc, half, 0)[:, 0].tolist() == [1, 0, 0, -1, 2, -2]
    quarter = np.array([2**30], np.int32)  # exact: 2 / 4 is a half
    assert requantize(np.array([[2], [-2], [6], [-6]]), quarter, 0)[:, 0].tolist() == [1, 0, 2, -1]
    largest = np.array([[2**31 - 1], [-(2**31)]])
    assert requantize(largest, half, 5)[:, 0].tolist() == [127, -128]
    assert requantize(largest, np.array([1], np.int32), 5)[:, 0].tolist() == [5 + 0, 5 + 0]


def test_quantize_input() -> None:
    """Halves to even for floats and up for samples, saturation, an offset far outside of int8, a channel left out."""
    inputs = (InputChannel.of(0.5, -3, 0.25),)
    floats = np.array([0.0, 0.25, 0.75, -0.25, 64.9, 65.1, 1e30, -np.inf, np.inf, np.nan], np.float32)
    assert quantize_input(floats, inputs).tolist() == [-3, -3, -1, -3, 127, 127, 127, -128, 127, -3]
    samples = np.array([0, 1, 2, 3, -32768, 32767], np.int16)
    assert quantize_input(samples, inputs).tolist() == [-3, -2, -2, -1, -128, 127]
    with pytest.raises(ValueError, match="int32"):
        quantize_input(np.zeros(3, np.int32), inputs)
    pressure = InputChannel.of(0.25, -405300, 0.25)
    three = (*inputs, InputChannel.of(1.0, 5, used=False), pressure)
    rows = np.array([[1.0, 7.0, 101325.0], [np.nan, np.inf, 101335.25]], np.float32)
    assert quantize_input(rows, three).tolist() == [[-1, 0], [-3, 41]]
    assert quantize_input(rows.reshape(-1), three).tolist() == [-1, 0, -3, 41]
    assert quantize_input(np.ones((4, 2, 3), np.int16), three).shape == (4, 2, 2)
    assert [last_not_finite(part, three) for part in (rows, rows[:1], rows[:1].astype(np.int16))] == [2, 0, 0]
    with pytest.raises(ValueError, match="rows of 3"):
        quantize_input(floats, three)


def test_fractions_of_raw_samples() -> None:
    """31 bits of the factor, but for factors beyond what any sensor needs."""
    for factor in (1e-12, 3e-10, 0.1, 1.0, 1 - 1e-12, 127.9, 3e8):
        multiplier, shift = fraction(factor)
        assert 1 <= multiplier < 2**31 and 1 <= shift <= 62
        assert multiplier / 2**shift == pytest.approx(factor, rel=2**-21)


def test_wrong_use() -> None:
    case = golden.case(2)
    model = Model(case.model)
    with pytest.raises(RuntimeError):
        model.classify(0)
    with pytest.raises(RuntimeError):
        model.features(1)
    with pytest.raises(ValueError, match="expected"):
        model.select(np.zeros(3, np.int8))
    with pytest.raises(ValueError, match="int16"):
        model.select(case.windows[0].astype(np.int16))
    model.select(case.windows[0])
    for k in (-1, model.classifiers):
        with pytest.raises(ValueError, match="classifier is"):
            model.classify(k)
    with pytest.raises(ValueError, match="level is"):
        model.features(99)
    with pytest.raises(ValueError, match="windows are"):
        model.select_batch(case.windows[0])


def test_accumulators_never_overflow() -> None:
    """The bound holds on the worst input, and a model that breaks it is refused."""
    rng = np.random.default_rng(0)
    shape = NetworkSpec(5, 2, 3, 1, BranchSpec((ConvSpec(4, 5, pool=1),))).classifier_layers()[0]
    for style in golden.Style:
        layer = golden.random_layer(rng, shape, style, -128)
        bound = accumulator_bound(layer)
        worst = np.where(layer.weight < 0, 127, -128).astype(np.int8)  # (out, in, kernel): the lowest sum of each
        lowest = accumulate(shape, layer, worst)[np.arange(4), np.arange(4), 0]
        assert (np.abs(lowest) <= bound).all()
        assert (np.abs(lowest) >= 0.9 * bound - 2 * np.abs(layer.bias.astype(np.int64))).all()
    case = golden.case(0)
    last = case.model.classifiers[0][-1]
    broken = replace(last, bias=np.full_like(last.bias, -(2**31) + 1))
    with pytest.raises(DitmosError, match="accumulator can reach"):
        Model(replace(case.model, classifiers=((*case.model.classifiers[0][:-1], broken), *case.model.classifiers[1:])))


@pytest.mark.parametrize("wrong", [{"stride": 0}, {"pool": 0}])
def test_an_average_of_all_rows_behind_a_layer_that_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    """As a damaged model file may have it: how many rows there are to average, nobody knows."""
    branch = BranchSpec((ConvSpec(4, 3, **wrong), average()))
    with pytest.raises(DitmosError, match=f"{next(iter(wrong))} is 0, expected 1 to 2|pool is 0, expected 1 or 2"):
        NetworkSpec(20, 3, 2, 1, branch)


def test_golden_is_deterministic_and_varied() -> None:
    cases = list(golden.cases(120, windows=2))
    again = golden.case(17, windows=2)
    assert np.array_equal(again.windows, cases[17].windows) and again.model.spec == cases[17].model.spec
    specs = [case.model.spec for case in cases]
    convs = [layer for spec in specs for layer in spec.classifier_layers() + spec.selector_layers() if layer.pool]
    assert {spec.classifiers for spec in specs} >= {1, 16}
    assert {spec.start > 0 for spec in specs} == {True, False}
    assert any(spec.selector is None for spec in specs) and any(len(spec.aggregate) > 1 for spec in specs)
    assert {layer.kernel for layer in convs} >= {1, 2, 15, 31}
    assert {(layer.stride, layer.pool) for layer in convs} >= {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert {layer.kind for layer in convs} == {"conv", "depthwise", "average", "fc"}
    assert any(spec.pads_window for spec in specs) and any(all(layer.pad) for layer in convs)
    bounds = np.concatenate([accumulator_bound(q, s.repeats) for c in cases for _, s, q in c.model.branches()])
    for bound in (LANE_HALF - 1, LANE_HALF, LANE_HALF + 1):
        assert (bounds == bound).any()
    logits = [Model(case.model).classify_batch(case.windows).ravel() for case in cases]
    assert np.unique(np.concatenate(logits)).size > 200
