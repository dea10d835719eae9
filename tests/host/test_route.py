"""The lab that compares policies on a data set, and `ditmos route`."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from ditmos.bench import golden
from ditmos.bench.route import PLANNED, Costs, Decisions, class_numbers, decide, part_of, quantized_windows, report
from ditmos.cli import application
from ditmos.datasets import save, synthetic
from ditmos.errors import DitmosError
from ditmos.framing import NOBODY
from ditmos.model.inputs import InputChannel
from ditmos.model.policy import parse_policy
from ditmos.model.reference import Model
from ditmos.model.signal import Signal, fit
from ditmos.model.spec import reference_spec
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def model():
    spec = reference_spec(classes=14, channels=6)
    return Model(golden.random_model(np.random.default_rng(3), spec, golden.Style.TRAINED))


@pytest.fixture(scope="module")
def windows(model):
    return golden.random_windows(np.random.default_rng(4), model.spec, 60)


def test_decide_equals_calling_the_policy_on_the_reference(model, windows):
    class Plain:
        """`reference.Model` with logits that are Python integers, as on the board."""

        selector_scale, logit_scale = model.selector_scale, model.logit_scale
        classifiers, classes, routes, exits = model.classifiers, model.classes, model.routes, model.exits
        trees, specialists = model.trees, model.specialists

        def select(self, window):
            return memoryview(model.select(window))

        def classify(self, k):
            return memoryview(model.classify(k))

    for text in ("top1", "average", "fallback(20)", "early(2, 30)", "sticky(30)", "vote(3)", "budgeted(1, 4, 50)"):
        decisions = decide(parse_policy(text), model, windows)
        policy = parse_policy(text).load()
        expected = [policy(Plain(), window.reshape(-1)) for window in windows]
        assert list(zip(decisions.label, decisions.who, strict=True)) == expected, text
    assert decide(parse_policy("vote(3)"), model, windows).runs.tolist() == [3] * 60


def test_windows_may_be_stored_channel_by_channel(model):
    dataset = synthetic.generate(subjects=2, recordings=1, windows=2)
    quantized = golden.made_for(model.model, dataset.signal)
    model, index = Model(quantized), np.arange(len(dataset))
    turned = replace(dataset, x=np.asfortranarray(dataset.x))
    found, expected = (
        decide(parse_policy("top1"), model, quantized_windows(model, given, index)) for given in (turned, dataset)
    )
    np.testing.assert_array_equal(found.label, expected.label)


def test_raw_samples_and_real_units_are_quantised_each_by_its_own_rule(model):
    """As on the board: int16 half up, float half to even. At two raw steps to a step of int8 every odd sample tells."""
    data = synthetic.generate(subjects=1, recordings=1, windows=2)
    quantized, index = golden.made_for(model.model, data.signal), np.arange(len(data))
    inputs = tuple(
        InputChannel.of(2 * channel.sample_scale, 0, channel.sample_scale, channel.name, channel.units)
        for channel in quantized.inputs
    )
    model = Model(replace(quantized, inputs=inputs))
    data = replace(data, x=np.resize(np.arange(-99, 100, dtype=np.int16), (len(data), model.window, len(inputs))))
    found = quantized_windows(model, data, index)
    np.testing.assert_array_equal(found, np.clip((data.x.astype(int) + 1) >> 1, -128, 127))
    real = replace(data, x=data.values(index), scale=1.0)
    np.testing.assert_array_equal(quantized_windows(model, real, index), np.rint(data.x / 2))
    assert (found != np.rint(data.x / 2)).any()


def test_data_are_what_the_model_was_made_for(model):
    """Case 40 and 41, and their kind: order of classes and channels, other classes, rate, units, scale."""
    data = synthetic.generate(subjects=1, recordings=1, windows=2)
    model = Model(golden.made_for(model.model, data.signal))
    index = np.arange(len(data))
    plain = quantized_windows(model, data, index)
    numbers, notes = class_numbers(model, data)
    assert numbers.tolist() == list(range(data.classes)) and not notes

    turned = replace(data, class_names=data.class_names[::-1], y=data.classes - 1 - data.y)
    numbers, notes = class_numbers(model, turned)
    assert (numbers[turned.y] == data.y).all() and "compared by name" in notes[0]
    fewer = replace(data, class_names=(data.class_names[2],), y=np.zeros_like(data.y))
    assert class_numbers(model, fewer)[0].tolist() == [2]
    with pytest.raises(DitmosError, match="class 'flying' is none of the model's: "):
        class_numbers(model, replace(data, class_names=(*data.class_names[:-1], "flying")))

    swapped = replace(data, channels=data.channels[::-1], x=data.x[:, :, ::-1])
    assert np.array_equal(quantized_windows(model, swapped, index), plain)
    assert "channels taken in the model's order" in class_numbers(model, swapped)[1][0]
    for changed, message in (
        (replace(data, channels=(*data.channels[:-1], "heart")), "channels are .*heart, the model was made for"),
        (replace(data, fs=data.fs / 2), "fs is 25 Hz, the model was made for 50"),
        (replace(data, units="m/s2, rad/s"), "is in m/s2, rad/s, the model was made for g, rad/s"),
        (replace(data, scale=data.scale * 2), "the model was made for raw samples of"),
    ):
        with pytest.raises(DitmosError, match=message):
            quantized_windows(model, changed, index)
    quantized_windows(model, replace(data, fs=data.fs * 1.01), index)  # clocks differ


def test_a_part_without_windows_is_said():
    data = synthetic.generate(subjects=2, recordings=1, windows=2)
    data = data.with_split(np.zeros(len(data), np.int8))
    with pytest.raises(DitmosError, match="no validation window; take --part train or all"):
        part_of(data, "validation")
    assert len(part_of(data, "train")) == len(part_of(data, "all")) == len(data)


def test_channels_that_are_only_numbered_have_no_names():
    numbered, named = (Signal.of((), names, "g", 1.0) for names in (["c0", "c1", "c2"], ["ax", "ay", "az"]))
    for model, data in ((numbered, named), (named, numbered)):
        found = fit(model, data, "data", raw=True)
        assert found.order is None and "in this order" in found.notes[0]
    with pytest.raises(DitmosError, match="channels are ax, ay, the model was made for c0, c1, c2"):
        fit(numbered, Signal.of((), ["ax", "ay"], "g", 1.0), "data", raw=True)
    turned = fit(numbered, Signal.of((), ["c2", "c1", "c0"], "g", 1.0), "data", raw=True)
    assert turned.order == (2, 1, 0)


def test_units_are_one_however_they_are_written():
    model = Signal.of("a", ["x"], "m/s2", 1.0)
    for units in ("m/s^2", "m/s²", "m s-2", "M/S2"):
        fit(model, Signal.of((), ["x"], units, 1.0), "data", raw=True)
    with pytest.raises(DitmosError, match="scale of channel x is 1 g, the model was made for raw samples of 1 m/s2"):
        fit(model, Signal.of((), ["x"], "g", 1.0), "data", raw=True)
    fit(model, Signal((), (), (), ()), "stdin", raw=True)  # nothing is known


def test_a_view_kept_over_a_second_call_is_overwritten_as_on_the_board(model, windows, tmp_path):
    file = tmp_path / "keeps.py"
    file.write_text(
        "def policy(model, window):\n"
        "    model.select(window)\n"
        "    first = model.classify(0)\n"
        "    second = model.classify(1)\n"
        "    return (1 if list(first) == list(second) else 0), 0\n"
    )
    assert decide(parse_policy(str(file)), model, windows).label.all()


def test_abstaining_counts_as_wrong(model, windows, tmp_path):
    file = tmp_path / "shy.py"
    file.write_text("def make(n):\n    return lambda model, window: (None, None)\n")
    decisions = decide(parse_policy(f"{file}:make(1)"), model, windows)
    top1 = decide(parse_policy("top1"), model, windows)
    row = report("shy", decisions, top1, top1.label, (Costs.of_macs(model),))
    assert (decisions.who == NOBODY).all() and (decisions.classifier == -1).all()
    assert (row.accuracy, row.abstained, row.confusion) == (0.0, 60, [[0, 60], [0, 0]])
    assert row.costs["MACs"] == 0  # it has not even selected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing_like_it", "no nothing_like_it there, but top1, average"),
        ("first", "expected first() for first(tau=9, weight=4, ahead=17)"),
        ("fallback(x)", "expected FILE.py, a name"),
        ("fallback(1, 2, 3)", "takes from 0 to 1"),
        ("fallback(0.5)", "expected whole steps of int8 logits"),
        ("missing.py", "no such file"),
        ("os.system('x')", "expected FILE.py, a name"),
    ],
)
def test_policy_errors_name_the_policy(text, message):
    with pytest.raises(DitmosError, match=re.escape(message)):
        parse_policy(text).load()


@pytest.mark.parametrize("text", ["nothing_like_it", "vote", "best_of(3)"])
def test_a_shipped_policy_is_refused_before_a_board_is_asked(text):
    with pytest.raises(DitmosError, match=f"policy {re.escape(text)}: "):
        parse_policy(text)


def test_naming_and_averaging_cost_where_the_forest_was_asked():
    runs, selects, polls = ([1, 0, 2], [1, 0, 1], [1, 1, 0])
    found = Decisions(*np.array([[0] * 3, [0] * 3, runs, selects, polls], np.int64))
    assert Costs(30, 100, "ticks", forest=7, behind=6).mean(found) == pytest.approx(20 + 100 + 14 / 3 + 2)


def test_a_file_without_the_name_is_refused_before_it_runs(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def mine(model, window):\n    return 1, 0\n")
    with pytest.raises(DitmosError, match="no policy there, but mine"):
        parse_policy(str(file))
    assert parse_policy(f"{file}:mine").name == "mine"
    for bound in ("policy = 1 and print", "from ours import policy", "from ours import *", "import ours as policy"):
        file.write_text(bound)
        assert parse_policy(str(file)).name == "policy"


def test_command(model, tmp_path):
    import typer
    from ditmos.cli import route

    dataset = synthetic.generate(subjects=2, recordings=1, windows=2)
    quantized = golden.made_for(model.model, dataset.signal)
    write_model(tmp_path / "m.dtm", quantized, whole_plan(model.spec))
    save(dataset, tmp_path / "d.npz")
    (tmp_path / "slices.json").write_text(
        json.dumps(
            {
                "unit": "instructions",
                "slices": [{"phase": "select", "ticks": 100}, {"phase": "classify", "ticks": 1000}],
            }
        )
    )
    app = typer.Typer()
    route.add(app)
    app.command()(lambda: None)  # two commands: typer then keeps their names
    result = CliRunner().invoke(
        app,
        f"route top1 vote(2) --model {tmp_path}/m.dtm --data {tmp_path}/d.npz --part all "
        f"--slices {tmp_path}/slices.json --json {tmp_path}/out.json",
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    own, first, second = json.loads((tmp_path / "out.json").read_text())["policies"]
    assert own["policy"] == "top1 (its own)" and own["accuracy"] == first["accuracy"]
    assert first["costs"]["instructions"] == 1100 and second["costs"]["instructions"] == 2100
    assert first["costs"][PLANNED] < second["costs"][PLANNED]
    assert second["extra_runs"] == 1.0 and first["windows"] == len(dataset)


@pytest.mark.parametrize(
    ("policy", "most"),
    [("fallback(8)", 2), ("early(10, second=60)", 2), ("vote()", 3), ("vote(count=2)", 2), ("average", 6),
     ("budgeted(1)", 2), ("top1", 1), ("early(10)", 1), ("sticky(4)", 1)],
)  # fmt: skip
def test_a_plan_for_once_gets_no_policy_that_asks_twice(model, policy, most):
    if most == 1:
        parse_policy(policy).check_once(model.classifiers, model.routes)
        return
    name = policy.partition("(")[0]
    with pytest.raises(DitmosError, match=f"policy {name} asks up to {most} classifiers of a window, but the plan"):
        parse_policy(policy).check_once(model.classifiers, model.routes)


def test_the_command_refuses_what_asks_twice_of_a_plan_for_once(model, tmp_path):
    """One of routing.py before it runs; what a file asks shows when it runs."""
    dataset = synthetic.generate(subjects=2, recordings=1, windows=2)
    quantized = golden.made_for(model.model, dataset.signal)
    write_model(tmp_path / "m.dtm", quantized, replace(whole_plan(model.spec), once=True))
    save(dataset, tmp_path / "d.npz")
    (tmp_path / "twice.py").write_text("from ditmos.routing import vote\npolicy = vote(2)\n")
    (tmp_path / "single.py").write_text("from ditmos.routing import top1\npolicy = top1\n")
    given = ["--model", str(tmp_path / "m.dtm"), "--data", str(tmp_path / "d.npz"), "--part", "all"]
    for policy, message in (
        ("fallback(8)", "policy fallback asks up to 2 classifiers of a window, but the plan uses the window up"),
        ("fallback(1, 2)", "policy fallback(1, 2): too many positional arguments"),
        (f"{tmp_path}/twice.py", "window 0: it asks 2 classifiers, but the plan uses the window up for one"),
    ):
        result = CliRunner().invoke(application(), ["route", policy, *given])
        assert isinstance(result.exception, DitmosError) and message in str(result.exception)
    result = CliRunner().invoke(application(), ["route", "top1", f"{tmp_path}/single.py", *given])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1 // 0, 0", r"window 0: ZeroDivisionError: .* by zero \(mine\.py, line 2\)"),
        ("return model.classify(0)[0], 0", r"RuntimeError: classify before select \(mine\.py, line 2\)"),
        ("raise SystemExit(3)", r"SystemExit: 3 \(mine\.py, line 2\)"),
        ("return 3", "window 0: policy gave 3, expected a class's index"),
        ("return 'walk', 0", r"window 0: policy gave \('walk', 0\), expected a class's index"),
        ("return 1.5, 0", "TypeError: 'float' object cannot be interpreted as an integer"),
    ],
)
def test_what_a_policy_raises_is_one_line(model, windows, tmp_path, body: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(f"def policy(model, window):\n    {body}\n")
    with pytest.raises(DitmosError, match=rf"^policy \S*mine\.py, {message}" if "window" in message else message):
        decide(parse_policy(str(tmp_path / "mine.py")), model, windows)


def test_a_policy_that_does_not_parse_is_named_with_its_line(tmp_path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def policy(model, window):\n    return top1(\n")
    with pytest.raises(DitmosError, match=r"mine\.py, line 2: "):
        parse_policy(str(file))


def test_a_policy_that_exits_is_named(tmp_path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import sys\nsys.exit()\npolicy = print\n")
    with pytest.raises(DitmosError, match=r"mine\.py: SystemExit"):
        parse_policy(str(file)).load()
