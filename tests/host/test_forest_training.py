"""`ditmos train --method forest` and `forest-first`: conversion, choice on validation, the folder, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ditmos.bench.golden import Style, random_model
from ditmos.bench.route import Logits, decide, quantized_windows, window_rows
from ditmos.cli import application
from ditmos.datasets import TEST, TRAIN, VALIDATION, Dataset, load, save
from ditmos.datasets.features import samples_of
from ditmos.datasets.splits import split
from ditmos.datasets.synthetic import generate
from ditmos.errors import DitmosError
from ditmos.forest import grow as growing
from ditmos.forest import refit
from ditmos.forest.convert import to_forest
from ditmos.forest.first import ALWAYS, Opinions, Setting, choose, opinions_of, outcome
from ditmos.forest.forest_run import train
from ditmos.forest.refit import Verdict, with_validation
from ditmos.forest.specialists import centres_of
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.window_summary import summary_for
from ditmos.model.clusters import around
from ditmos.model.forest import LEAF, VOTES, check_forest, opinions
from ditmos.model.inputs import InputChannel
from ditmos.model.policy import own_policy, parse_policy
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.use import Rule, Use
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan
from ditmos.planner.budget import Budget
from ditmos.planner.forest_price import ForestPrice
from ditmos.planner.price import Price
from ditmos.routing import FOREST
from ditmos.study.trainings import effort_of
from ditmos.training import export, space
from ditmos.training.run import Request
from sklearn.ensemble import ExtraTreesClassifier
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = generate(subjects=8, activities=4, recordings=2, windows=3, window=64, seed=3)
    return save(split(made, "subject", validation=0.25), tmp_path_factory.mktemp("data") / "d.npz")


@pytest.fixture(scope="module")
def dataset(data: Path) -> Dataset:
    return load(data)


@pytest.fixture(scope="module")
def network(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training, with a network that was not trained: 3 classifiers and a selector."""
    folder = tmp_path_factory.mktemp("network")
    branch = BranchSpec((ConvSpec(6, 7, 2),), ())
    spec = NetworkSpec(dataset.window, len(dataset.channels), dataset.classes, 3, branch, branch)
    inputs = tuple(InputChannel.of(0.05, 0, dataset.scale, name, dataset.units) for name in dataset.channels)
    model = random_model(np.random.default_rng(1), spec, Style.TRAINED)
    model = replace(model, inputs=inputs, class_names=dataset.class_names, logit_scale=0.125)
    write_model(folder / "model.dtm", model, whole_plan(spec))
    return folder


def test_leaves_and_thresholds_by_hand() -> None:
    """One feature, one cut: the threshold is rounded down, and votes are the shares of the leaf's windows."""
    x = np.array([[1], [2], [2], [3], [4]])
    y = np.array([7, 7, 7, 9, 7])
    model = ExtraTreesClassifier(1, max_depth=1, max_features=None, random_state=0).fit(x, y)
    forest = to_forest(model, 1)
    cut = float(model.estimators_[0].tree_.threshold[0])
    assert forest.threshold[0] == np.floor(cut)
    assert forest.feature.tolist() == [0, LEAF, LEAF] and forest.right[0] == 2
    for leaf, own in ((1, y[x[:, 0] <= cut]), (2, y[x[:, 0] > cut])):
        votes = dict.fromkeys((7, 9), 0)
        for c, v in zip(forest.classes[leaf], forest.votes[leaf], strict=True):
            votes[int(c)] += int(v)
        assert sum(votes.values()) == VOTES
        assert all(abs(votes[c] - VOTES * float((own == c).mean())) < 1 for c in votes)


def test_converted_forest_answers_as_scikit_learn() -> None:
    """Votes in fifteenths are within a vote of the probabilities; where those are clear, the class is the same."""
    rng = np.random.default_rng(0)
    x = rng.integers(-3000, 3000, (600, 9)).astype(np.int16)
    y = (x[:, 0] > x[:, 1]).astype(int) + 2 * (x[:, 2] > 500)
    model = ExtraTreesClassifier(12, max_leaf_nodes=40, random_state=0).fit(x[:400], y[:400])
    forest = to_forest(model, 9)
    check_forest(forest, 9, 4, 0)
    votes = forest.walk(x[400:], 4)[0] / (VOTES * forest.trees)
    expected = model.predict_proba(x[400:])
    assert np.abs(votes - expected).max() < 1 / VOTES
    clear = np.sort(expected, 1)[:, -1] - np.sort(expected, 1)[:, -2] > 2 / VOTES
    assert clear.sum() > 50 and (votes.argmax(1) == expected.argmax(1))[clear].all()


def test_emlearn_agrees_where_the_forest_is_sure(tmp_path: Path) -> None:
    """emlearn's inline code of the same forest: hard votes of leaves, so they may differ where it is in doubt."""
    from ditmos.bench.emlearn_models import answers, load_emlearn

    rng = np.random.default_rng(1)
    x = rng.integers(-3000, 3000, (700, 6)).astype(np.int16)
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 1000)
    model = ExtraTreesClassifier(15, max_leaf_nodes=60, random_state=0).fit(x[:500], y[:500])
    for tree in model.estimators_:  # whole thresholds: emlearn rounds towards 0
        tree.tree_.threshold[:] = np.where(tree.tree_.children_left < 0, -2, np.floor(tree.tree_.threshold))
    code = load_emlearn().convert(model, method="inline", dtype="int16_t")
    said = answers(lambda file: code.save(file=str(file), name="model"), np.ascontiguousarray(x[500:]))
    votes = to_forest(model, 6).walk(x[500:], 3)[0] / (VOTES * 15)
    sure = np.sort(votes, 1)[:, -1] - np.sort(votes, 1)[:, -2] > 0.3
    assert sure.sum() > 100 and (said == votes.argmax(1))[sure].all()


def test_choice_by_hand() -> None:
    """Two windows; the network knows the second, of which the forest is not sure. Asking both costs too much."""
    forest = ForestPrice(100.0, 0.0, 10.0)
    model = tiny_model()
    found = Opinions(
        np.array([[15, 0], [8, 7]], np.uint16),
        np.array([[0, 50], [0, 50]], np.int8),
        np.zeros(2, int),
        np.array([0, 1]),
    )
    chosen = choose(found, model, forest, Price(500, 490), Budget(instructions=700.0), balanced=False)
    assert chosen.score == 1.0 and chosen.cost == 100 + 0.5 * 1000
    assert chosen.setting.ahead == 2, "it leads by one of 15 votes: more than no sixteenth, less than two"
    done = outcome(found, model, chosen.setting)
    assert done.label.tolist() == [0, 1] and done.asked.tolist() == [False, True]
    assert choose(found, model, forest, Price(500, 490), Budget(instructions=150.0), balanced=False).setting.ahead == 0
    level = replace(found, votes=np.array([[8, 8], [5, 5]], np.uint16))  # the least lead would ask for both
    fewer = choose(level, model, forest, Price(500, 490), Budget(instructions=700.0), balanced=False)
    assert (fewer.score, fewer.setting.ahead, fewer.setting.tau) == (1.0, 1, 6), "80 of 240 is below 6 sixteenths"
    assert (
        not outcome(found, model, Setting(0, 4)).asked.any() and outcome(found, model, Setting(ALWAYS, 4)).asked.all()
    )
    with pytest.raises(DitmosError, match="takes 100 instructions alone, more than the budget"):
        choose(found, model, forest, Price(500, 490), Budget(instructions=90.0), balanced=False)


def tiny_model() -> Model:
    """One classifier of two classes behind one tree."""
    rng = np.random.default_rng(0)
    spec = NetworkSpec(64, 3, 2, 1, BranchSpec((ConvSpec(2, 9, 2),)))
    summary = summary_for(64)
    trees = ExtraTreesClassifier(1, max_leaf_nodes=2, random_state=0)
    x = rng.integers(-99, 99, (20, summary.count(3)))
    forest = replace(to_forest(trees.fit(x, np.arange(20) % 2), summary.count(3)), opinion=opinions(0.1))
    front = FrontEnd((summary,), 50.0, 1.0, "g", ("x", "y", "z"))
    return Model(replace(random_model(rng, spec), front_end=front, forest=forest, logit_scale=float(np.float32(0.1))))


def test_alone(data: Path, dataset: Dataset, tmp_path: Path) -> None:
    """The file's own policy gives what the row says, on the lab bench."""
    row = train(Request(data, Budget(flash=12_000), "forest"), tmp_path / "run")
    model, _ = read_model(tmp_path / "run" / "model.dtm")
    assert (tmp_path / "run" / "model.dtm").stat().st_size == row["flash_bytes"] <= 12_000
    assert (model.use.policy, model.spec.classifiers, row["macs"]) == ("forest", 0, 0)
    reference, index = Model(model), dataset.part(TEST)
    windows = quantized_windows(reference, dataset, index)
    logits = Logits.of(reference, windows, window_rows(reference, dataset, index))
    decisions = decide(own_policy(model), reference, windows, logits)
    assert (decisions.who == FOREST).all() and not decisions.runs.any() and not decisions.selects.any()
    assert float((decisions.label == dataset.y[index]).mean()) == pytest.approx(row["int8"])
    assert row["test"]["windows"] == len(index) and row["worst_instructions"] == row["instructions"]
    request = Request(data, Budget(flash=12_000), "forest")
    assert train(request, tmp_path / "run", resume=True)["int8"] == row["int8"]
    with pytest.raises(DitmosError, match="the finished run in it was made with budget"):
        train(Request(data, Budget(), "forest"), tmp_path / "run", resume=True)
    with pytest.raises(DitmosError, match="was made with behind None, asked for is"):
        train(request, tmp_path / "run", tmp_path, resume=True)
    with pytest.raises(DitmosError, match="there is a finished run in it"):
        train(Request(data, Budget(), "forest"), tmp_path / "run")


def test_a_stopped_forest_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the same numbers, and without the trials that were done."""
    monkeypatch.setattr(growing, "_SIZES", ((250, 0.8),))
    request = Request(data, Budget(flash=12_000), "forest")
    whole, tried = train(request, tmp_path / "whole"), []

    def stop(stage: str, done: float, _: str) -> None:
        if stage == "forest":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(request, tmp_path / "run", report=stop)
    real = growing.Ground.held_out
    monkeypatch.setattr(growing.Ground, "held_out", lambda *given: tried.append(given[1]) or real(*given))
    row = train(request, tmp_path / "run", resume=True)
    assert tried[0].copies == growing.COPIES[1] and not tried[1:]
    assert all(row[key] == whole[key] for key in row if key not in ("seconds", "origin"))


def test_first(data: Path, dataset: Dataset, network: Path, tmp_path: Path) -> None:
    """Margin and weight hold on the lab bench, also window by window on the reference as a board runs it."""
    row = train(Request(data, Budget(flash=40_000), "forest-first"), tmp_path / "run", network)
    model, _ = read_model(tmp_path / "run" / "model.dtm")
    assert model.use == Use("first", Rule.SELECTOR, tuple(row["first"].values()))
    reference, index = Model(model), dataset.part(VALIDATION)
    windows, rows = quantized_windows(reference, dataset, index), window_rows(reference, dataset, index)
    logits = Logits.of(reference, windows, rows)
    for text in (own_policy(model).text, "first(17, 3)", "first(9, 8)", "first(12, 4, 3)"):
        setting = Setting(*map(int, text[6:-1].split(",")))
        decisions = decide(parse_policy(text), reference, windows, logits)
        found = outcome(opinions_of(reference, rows, dataset.y[index].astype(int)), reference, setting)
        assert (decisions.label == found.label).all() and ((decisions.who != FOREST) == found.asked).all()
        assert (decisions.runs == found.asked).all() and (decisions.selects == found.asked).all()
        policy = parse_policy(text).load()
        for i in range(5):
            reference.feed_reset()
            reference.feed(rows[i])
            assert policy(reference, None) == (decisions.label[i], decisions.who[i])
    assert row["instructions"] <= row["worst_instructions"]


TINY = {
    "threads": 1,
    "teachers": {"count": 1, "epochs": 1, "widths": [4, 4], "kernels": [5, 3]}, "views": {"count": 2},
    "search": {"count": 0}, "fit": {"epochs": 2}, "int8": {"epochs": 1, "clips": ["largest"]},
}  # fmt: skip


def decisions_of(run: Path, dataset: Dataset, part: int) -> Any:
    """By the file's own policy on the lab bench."""
    model, _ = read_model(run / "model.dtm")
    reference, index = Model(model), dataset.part(part)
    windows, rows = quantized_windows(reference, dataset, index), window_rows(reference, dataset, index)
    return reference, rows, decide(own_policy(model), reference, windows, Logits.of(reference, windows, rows))


def test_specialists(data: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Votes name the classifier: what the row says is what the file's own policy gives, also window by window. Trained
    again with the validation people, of whom it then says nothing new."""
    monkeypatch.setattr(refit, "more_people", lambda *_: Verdict(0.5, 0.6))
    monkeypatch.setattr(export, "LOSS", -2.0)  # beyond which every network is
    settings = TINY | {"specialists": {"count": 3, "folds": 2, "asked": 0.5}, "refit": True}
    budget = Budget(instructions=22_000, flash=60_000)
    timed: list[str] = []
    seen: list[str] = []
    row = train(
        Request(data, budget, "specialists", "quick", settings=settings), tmp_path / "run",
        report=lambda stage, done, note: None if stage in seen else seen.append(stage),
        begun=lambda task, _: timed.extend(name for name, share in effort_of(task) if share > 0),
    )  # fmt: skip
    assert timed == [stage for stage in seen if stage not in ("data", "figures", "search")]
    reference, rows, decisions = decisions_of(tmp_path / "run", dataset, TEST)
    assert reference.experts == ("forest", "specialists") and reference.specialists == reference.classifiers == 3
    assert reference.model.use == Use("first", Rule.VOTES, tuple(row["first"].values()))
    assert float((decisions.label == dataset.y[dataset.part(TEST)]).mean()) == pytest.approx(row["int8"])
    assert row["refit"] == {"fewer": 0.5, "more": 0.6, "done": True}
    routed = ["route", "--model", str(tmp_path / "run" / "model.dtm"), "--data", str(data)]
    for part, told in (("validation", True), ("test", False)):
        done = CliRunner().invoke(application(), [*routed, "--part", part])
        assert done.exit_code == 0 and ("the model has learned from validation windows" in done.output) == told
    assert row["validation"]["instructions"] <= 22_000 and row["flash_bytes"] <= 60_000
    assert sum(row["windows_of_specialists"]) == len(dataset.part(0))
    assert row["loses"][0].startswith(("classifier.", "window")) and -1 <= row["loses"][2] <= 1
    assert sum(sum(counts) for _, counts in row["answered_by"]) == len(dataset.part(TEST)) and row["curve"]
    policy = parse_policy("first(17, 3)").load()
    for window in rows[:5]:
        reference.feed_reset()
        reference.feed(window)
        _, who = policy(reference, None)
        assert who == reference.specialists_batch(reference.votes_batch(window[None]))[0] == reference.specialist()


def test_validation_people_learn_too(dataset: Dataset) -> None:
    """Every window but the test's is a training window; those of validation stay what they are besides."""
    both, held = with_validation(dataset), dataset.part(VALIDATION)
    assert len(both.part(TRAIN)) == len(dataset.part(TRAIN)) + len(held)
    assert (both.x[both.part(VALIDATION)] == dataset.x[held]).all()
    assert (both.part(TEST) == dataset.part(TEST)).all()
    assert set(both.subject[both.part(TRAIN)]) == set(dataset.subject) - set(dataset.subject[dataset.part(TEST)])


def test_clusters_by_hand() -> None:
    """Two groups of votes: everything near one of them goes to it, and integers say what distances say."""
    votes = np.array([[30, 0, 0], [28, 2, 0], [0, 15, 15], [0, 10, 20]])
    clusters = around(centres_of(votes, 2, 2, 0), 2 * VOTES)
    named = clusters.nearest(votes)
    assert named[0] == named[1] != named[2] == named[3]
    centres = np.array([votes[:2].mean(0), votes[2:].mean(0)])
    rng = np.random.default_rng(0)
    others = rng.multinomial(30, [0.3, 0.4, 0.3], 200)
    distance = ((others[:, None] - centres) ** 2).sum(2)
    clear = np.abs(np.diff(distance, axis=1))[:, 0] > 1
    assert (np.where(distance.argmin(1) == 0, named[0], named[2]) == clusters.nearest(others))[clear].all()


def test_command(data: Path, network: Path, tmp_path: Path) -> None:
    out, figures = tmp_path / "run", tmp_path / "row.json"
    arguments = ["train", str(data), "--method", "forest-first", "--behind", str(network), "--max-flash", "40000"]
    done = CliRunner().invoke(application(), [*arguments, "--out", str(out), "--json", str(figures)])
    assert done.exit_code == 0, done.output
    assert json.loads(figures.read_text())["method"] == "forest-first"
    routed = CliRunner().invoke(
        application(), ["route", "forest", "--model", str(out / "model.dtm"), "--data", str(data)]
    )
    assert routed.exit_code == 0 and "forest" in routed.output
    planned = CliRunner().invoke(application(), ["plan", str(out / "model.dtm")])
    assert planned.exit_code == 0 and "where the network is asked" in planned.output, planned.output
    reported = CliRunner().invoke(application(), ["report", str(out), "--out", str(tmp_path / "page.html")])
    assert reported.exit_code == 0, reported.output


def test_a_network_of_real_numbers_reads_the_forests_samples(dataset: Dataset, network: Path, tmp_path: Path) -> None:
    """Its int8 of a window is that of the training, though what is fed are steps of another size."""
    real = replace(dataset, x=dataset.values(), scale=1.0)
    model, plan = read_model(network / "model.dtm")
    inputs = tuple(InputChannel.of(c.scale, c.zero_point, 1.0, c.name, c.units) for c in model.inputs)
    (tmp_path / "network").mkdir()
    write_model(tmp_path / "network" / "model.dtm", replace(model, inputs=inputs), plan)
    request = Request(save(real, tmp_path / "real.npz"), Budget(flash=40_000), "forest-first")
    train(request, tmp_path / "run", tmp_path / "network")
    made = read_model(tmp_path / "run" / "model.dtm")[0]
    samples, step = samples_of(real)
    assert {channel.sample_scale for channel in made.inputs} == {made.front_end.scale} == {step} != {1.0}
    fed = Model(made).quantize_rows(samples[:9]).astype(int)
    assert np.abs(fed - Model(replace(model, inputs=inputs)).quantize(real.x[:9])).max() <= 1 and fed.std() > 5


def test_refused(data: Path, dataset: Dataset, network: Path, tmp_path: Path) -> None:
    wrong = CliRunner().invoke(application(), ["train", str(data), "--behind", str(network)])
    assert wrong.exit_code != 0 and "--behind is for --method forest-first" in str(wrong.output) + str(wrong.exception)
    model, plan = read_model(network / "model.dtm")
    other = tmp_path / "other"
    other.mkdir()
    names = tuple(f"another {i}" for i in range(dataset.classes))
    write_model(other / "model.dtm", replace(model, class_names=names), plan)
    with pytest.raises(DitmosError, match="classes of other names"):
        train(Request(data, Budget(), "forest-first"), tmp_path / "run", other)


@pytest.mark.parametrize("method", ["forest", "forest-first", "specialists"])
@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(instructions=900), r"within 900 instructions.*; the smallest takes .*[\d,]+ instructions"),
        (Budget(worst=800), r"within 800 instructions at worst \(5 us\).*; the smallest takes .*[\d,]+ instructions"),
        (Budget(ram=500), r"500 bytes.* the smallest (needs|takes) [\d,]+"),
        (Budget(flash=4_000), r"within 4,000 bytes of flash, expected more; the smallest takes [\d,]+ bytes of flash"),
        (Budget(macs=60), r"within .*\d+ MACs, expected more; the smallest takes [\d,]+ MACs"),
    ],
)
def test_a_budget_that_nothing_meets(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Any, budget: Budget, message: str
) -> None:
    """The folder is as if nothing had been tried."""
    if method == "forest" and budget.macs:
        return  # a forest has none
    sizes = ((250, 0.8),)
    for module, name, value in ((space, "_ATTEMPTS", 60), (growing, "_SIZES", sizes), (growing, "COPIES", (0,))):
        monkeypatch.setattr(module, name, value)
    request = Request(data, budget, method, "quick", settings=None if method == "forest" else TINY)
    with pytest.raises(DitmosError, match=message):
        train(request, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_rows_keep_a_channel_that_is_constant(dataset: Dataset, tmp_path: Path) -> None:
    """It goes in as the sensor gives it, and the forest's front end takes it."""
    x = np.concatenate([dataset.x, np.full((*dataset.x.shape[:2], 1), 7, np.int16)], axis=2)
    units = dataset.units if len(set(dataset.channel_units)) == 1 else ", ".join((*dataset.channel_units, ""))
    wide = replace(dataset, x=x, channels=(*dataset.channels, "idle"), units=units)
    save(wide, tmp_path / "wide.npz")
    train(Request(tmp_path / "wide.npz", Budget(flash=12_000), "forest"), tmp_path / "run")
    model, _ = read_model(tmp_path / "run" / "model.dtm")
    assert model.front_end is not None and model.front_end.channels == len(wide.channels) == len(model.inputs)
    assert len(quantized_windows(Model(model), wide, wide.part(TEST)))
