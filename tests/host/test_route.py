"""Routing policies on the host: what each decides, and the lab that compares them."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from ditmos import routing
from ditmos.bench import golden
from ditmos.bench.route import PLANNED, Costs, Decisions, class_numbers, decide, part_of, quantized_windows, report
from ditmos.cli import application
from ditmos.datasets import save, synthetic
from ditmos.errors import DitmosError
from ditmos.framing import ALL, FOREST, NOBODY, SELECTOR
from ditmos.model.inputs import InputChannel
from ditmos.model.policy import parse_policy
from ditmos.model.reference import Model
from ditmos.model.signal import Signal, fit
from ditmos.model.spec import reference_spec
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan
from typer.testing import CliRunner


class Scripted:
    """A model whose selector says what it is told, one row a window; classifier k answers `answers[k]`."""

    selector_scale = 0.5
    logit_scale = 0.25

    def __init__(self, rows, answers):
        rows = list(rows)
        self.rows, self.answers, self.asked = iter(rows), answers, []
        self.classifiers, self.classes = len(answers), len(answers[0])
        self.routes = self.classifiers if len(rows[0]) in (self.classifiers, self.classifiers + self.classes) else 0
        if self.classifiers == 1 and len(rows[0]) == self.classes:
            self.routes = 0
        self.exits = len(rows[0]) - self.routes
        self.trees = self.specialists = 0

    def select(self, window):
        return memoryview(np.array(next(self.rows), np.int8))

    def classify(self, k):
        self.asked.append(k)
        return memoryview(np.array(self.answers[k], np.int8))


def run(policy, rows, answers):
    model = Scripted(rows, answers)
    return [policy(model, None) for _ in rows], model.asked


ANSWERS = ([9, 0, 0], [0, 5, 4], [0, 4, 5])  # labels 0, 1, 2


def test_top1_takes_the_first_of_equals():
    assert run(routing.top1, [[1, 3, 3], [-128, -128, -127]], ANSWERS) == ([(1, 1), (2, 2)], [1, 2])


def test_fallback_averages_two_only_when_unsure():
    # 3 steps between the best two: sure at margin 3, unsure above it
    assert run(routing.fallback(3), [[0, 4, 7]], ANSWERS) == ([(2, 2)], [2])
    assert run(routing.fallback(4), [[0, 4, 7]], [[0] * 3, [0, 127, 0], [0, 0, 100]]) == ([(1, 2)], [2, 1])


def test_fallback_does_not_wrap_around_in_int8():
    assert run(routing.fallback(2), [[127, 127]], [[120, 1], [120, 1]])[0] == [(0, 0)]
    assert run(routing.fallback(2), [[-128, 127]], [[120, 1], [120, 1]])[1] == [1], "255 steps apart is sure"


def test_early_lets_the_selector_answer_when_it_is_sure():
    # 3 routes, 3 classes: the classes 4 steps apart
    sure = [[0, 9, 0, 1, 7, 3]]
    assert run(routing.early(4), sure, ANSWERS) == ([(1, SELECTOR)], [])
    assert run(routing.early(5), sure, ANSWERS) == ([(1, 1)], [1])
    assert run(routing.early(routing.NEVER), [[0, 0, 0, 127, -128, -128]], ANSWERS) == ([(0, 0)], [0])
    assert run(routing.early(5), [[0, 9, 0]], ANSWERS) == ([(1, 1)], [1]), "no classes: never"
    assert run(routing.early(4), [[1, 7, 3]], [[9, 0, 0]]) == ([(1, SELECTOR)], []), "one classifier: classes alone"
    assert run(routing.early(5), [[1, 7, 3]], [[9, 0, 0]]) == ([(0, 0)], [0])


def test_early_asks_a_second_classifier_in_doubt():
    doubtful = [[3, 9, 4, 0, 0, 0]]  # classifier 1 is one step from class 2
    assert run(routing.early(4, 1), doubtful, ANSWERS) == ([(1, 1)], [1])
    assert run(routing.early(4, 2), doubtful, ([9, 0, 0], [0, 5, 4], [0, 4, 6])) == ([(2, 1)], [1, 2])
    assert run(routing.early(4, 99), doubtful, ([9, 0, 0], [0, 100, 99], [0, 100, 99]))[0] == [(1, 1)], "no int8 sum"
    assert run(routing.early(5, 99), [[1, 7, 3]], [[9, 8, 0]]) == ([(0, 0)], [0]), "there is no second"
    assert run(routing.early(5, 99), [[3, 9, 1, 7, 3]], ([9, 0, 0], [0, 5, 4])) == ([(0, 1)], [1, 0]), "one of two"


def test_early_without_routes_asks_all():
    assert run(routing.early(5), [[1, 7, 3, 0]], ([9, 0, 0, 0], [5, 6, 0, 0])) == ([(0, ALL)], [0, 1])


def test_average_adds_all():
    assert run(routing.average, [[]], ([100, 99, 0], [0, 5, 4])) == ([(1, ALL)], [0, 1])
    assert run(routing.average, [[]], [[0, 3, 1]]) == ([(1, 0)], [0])


class Voting(Scripted):
    """With a forest of four trees, whose votes are told."""

    def __init__(self, votes, specialist=None):
        super().__init__([[0, 9, 0]], ANSWERS)
        self.trees, self.specialists, self.said = 4, 3 * (specialist is not None), votes
        self.specialist = lambda: specialist
        self.weighed = []

    def votes(self, window):
        return np.array(self.said, np.uint16)

    def both(self, logits, weight):
        self.weighed.append((list(logits), weight))
        return 2


def test_the_forest_answers_where_it_is_sure():
    """Of 60 votes 33.75 are nine sixteenths, 60 are sixteen."""
    for tau, most, sure in ((9, 34, True), (9, 33, False), (16, 60, True), (16, 59, False), (0, 20, True)):
        model = Voting([60 - most, most, 0])
        answer = routing.first(tau, 3)(model, None)
        assert answer == ((int(np.argmax(model.said)), FOREST) if sure else (2, 1)), (tau, most)
        assert model.asked == ([] if sure else [1]) and model.weighed == ([] if sure else [(ANSWERS[1], 3)])
    for ahead, most, sure in ((3, 36, True), (3, 35, False), (0, 30, True), (17, 60, False)):  # 11.25 votes ahead
        model = Voting([60 - most, most, 0])
        assert (routing.first(17, 3, ahead)(model, None)[1] == FOREST) == sure, (ahead, most)
    model = Voting([20, 20, 20], specialist=0)
    assert routing.first()(model, None) == (2, 0) and model.weighed == [(ANSWERS[0], 4)]
    assert routing.forest(Voting([20, 40, 0]), None) == (1, FOREST)


def test_what_a_policy_with_a_forest_needs():
    for weight in (0, 8):
        assert routing.first(17, weight)(Voting([60, 0, 0]), None) == (2, 1)
    for weight in (-1, 9):
        with pytest.raises(ValueError, match=f"weight is {weight}, expected 0 to 8 eighths"):
            routing.first(9, weight)
    for name in ("first", "forest"):
        with pytest.raises(ValueError, match=f"{name}: the model has no forest"):
            run(routing.named(name), [[0, 9, 0]], ANSWERS)


def test_margins_are_whole_steps():
    for make in (routing.fallback, routing.early, routing.sticky):
        with pytest.raises(ValueError, match="expected whole steps of int8 logits"):
            make(0.5)


def test_who_has_nothing_to_choose_by_is_named():
    for name in ("top1", "fallback", "sticky", "vote", "budgeted", "early"):
        with pytest.raises(ValueError, match="nothing chooses among the model's classifiers; use average"):
            run(routing.named(name), [[]], ANSWERS)


def test_policies_by_name():
    assert routing.named("top1") is routing.top1
    assert run(routing.named("early", (4, 2)), [[0, 9, 0, 1, 7, 3]], ANSWERS) == ([(1, SELECTOR)], [])
    for name, margins, problem in (
        ("mine", (), "policy mine is none of this firmware"),
        ("named", (), "policy named is none of this firmware"),
        ("top1", (3,), "takes no margins"),
        ("early", (1, 2, 3), "does not take 3 margins"),
    ):
        with pytest.raises(ValueError, match=problem):
            routing.named(name, margins)


def test_what_a_policy_may_return():
    model = Scripted([[0, 0, 0]], ANSWERS)
    assert routing.verdict(model, (None, None)) == (None, NOBODY)
    assert routing.verdict(model, (2, SELECTOR)) == (2, SELECTOR) and routing.verdict(model, (0, 0)) == (0, 0)
    for answer, said in (
        *(((label, 0), f"gave class {label}, expected 0 to 2$") for label in (3, -1)),
        *(((0, who), f"gave class 0 by {who}, expected classifier 0 to 2, ") for who in (None, 3, -1, NOBODY)),
        *((answer, "expected a class's index .or None. and who answered$") for answer in (2, None, (1,), ("walk", 0))),
    ):
        with pytest.raises(ValueError, match=said):
            routing.verdict(model, answer)
    assert [routing.name_of(who) for who in (2, SELECTOR, ALL, NOBODY)] == [
        *("classifier 2", "selector", "all classifiers", "nobody"),
    ]


def test_sticky_needs_a_lead_to_change():
    rows = [[5, 0, 0], [5, 6, 0], [5, 7, 0], [5, 8, 0], [6, 6, 0]]
    decisions, _ = run(routing.sticky(2), rows, ANSWERS)
    assert [k for _, k in decisions] == [0, 0, 0, 1, 1]  # a lead of exactly 2 is not enough


def test_vote_majority_and_tie():
    rows = [[9, 8, 7]]
    assert run(routing.vote(3), rows, ([1, 0], [0, 1], [0, 1])) == ([(1, 1)], [0, 1, 2])
    assert run(routing.vote(2), rows, ([1, 0], [0, 1], [0, 1])) == ([(0, 0)], [0, 1])


def test_budgeted_by_default_allows_one_more_run_a_second_at_a_lead_below_8():
    """At ten windows a second: of 100 windows in doubt, ten get a second look; a lead of 8 is none."""
    decisions, asked = run(routing.budgeted(), [[7, 0, -9]] * 100, ANSWERS)
    assert len(asked) == 110 and len(decisions) == 100
    assert len(run(routing.budgeted(), [[8, 0, -9]] * 100, ANSWERS)[1]) == 100


def test_budgeted_spends_no_more_than_its_budget():
    rows = [[0, 0, 0]] * 100  # always unsure
    model = Scripted(rows, ANSWERS)
    policy = routing.budgeted(runs=2, rate=10)
    extra = []
    for _ in rows:
        before = len(model.asked)
        policy(model, None)
        extra.append(len(model.asked) - before - 1)
    assert sum(extra) == 20
    assert max(sum(extra[i : i + 10]) for i in range(90)) <= 2


def test_budgeted_saves_at_most_a_second():
    rows = [[99, 0, 0]] * 50 + [[0, 0, 0]] * 10
    _, asked = run(routing.budgeted(runs=2, rate=10), rows, ANSWERS)
    assert len(asked) == 60 + 3  # two saved, one earned during the last ten; the next is not whole yet


def test_every_policy_on_a_network_without_selector():
    answers = [[1, 7, 3]]
    for policy in (routing.top1, routing.fallback(), routing.sticky(), routing.vote(), routing.budgeted()):
        assert run(policy, [[]], answers)[0] == [(1, 0)]


def test_ranked_keeps_equals_in_order():
    assert routing.ranked([3, -128, 127, 3, 127]) == [2, 4, 0, 3, 1]


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
