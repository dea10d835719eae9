"""METHOD as published: every stage does what the paper says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ditmos import keep as keeping
from ditmos.datasets import Dataset, save
from ditmos.datasets.splits import split
from ditmos.datasets.synthetic import generate
from ditmos.datasets.tensors import prepare
from ditmos.errors import DitmosError
from ditmos.keep import Keep
from ditmos.model.spec import reference_spec
from ditmos.networks.routed_network import choice
from ditmos.paper import method
from ditmos.paper.adversarial import classifier_epoch, train_adversarially
from ditmos.paper.config import PaperConfig, paper_config
from ditmos.paper.method import train
from ditmos.paper.pretraining import own_batches, pretrain_classifiers, pretrain_selector, selector_epoch
from ditmos.paper.session import Session, Stepper
from ditmos.paper.sides import classifier_side, learn_only, parameters, selector_side
from ditmos.paper.splitting import split_windows
from ditmos.paper.strong import train_strong
from ditmos.planner.budget import Budget
from ditmos.study.trainings import effort_of
from ditmos.training.run import Request
from ditmos.training.run import train as train_run
from ditmos.training.score import answer_float, score
from ditmos.training.typed_toml import merge

FAST = {"lr": 0.05, "batch": 16}
TINY = {
    "network": {"classifiers": 3, "aggregate": [1], "selector": "4k7 4k5", "classifier": "4k7 4k5 h8"},
    "strong": {"widths": [8, 8], "kernels": [9, 9], "hidden": 16, "schedule": {"epochs": 3, **FAST}},
    "splitting": {"n_init": 2},
    "classifiers": {"epochs": 2, **FAST},
    "selector": {"epochs": 2, **FAST},
    "adversarial": {"rounds": 2, "selector_epochs": 1, "classifier_epochs": 1, "schedule": {"epochs": 0, **FAST}},
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return split(
        generate(subjects=10, activities=4, recordings=2, windows=3, window=48, seed=3), "subject", validation=0.25
    )


def config(**changes: object) -> PaperConfig:
    return paper_config(merge(TINY, changes))


def session(dataset: Dataset, settings: PaperConfig | None = None, keep: Keep | None = None) -> Session:
    settings = settings or config()
    spec = settings.spec((dataset.window, len(dataset.channels), dataset.classes))
    return Session(settings, spec, prepare(dataset), keep=keep)


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(before: dict, module: torch.nn.Module) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


def test_the_choice_is_among_the_first_k_outputs() -> None:
    gate = torch.tensor([[0.0, 2, 1, 9, 9], [3, 2, 1, 9, 0]])
    logits = torch.zeros(2, 3, 2)
    assert choice(gate, logits).tolist() == [1, 0]  # two more outputs: the selector's own answer
    assert choice(gate, logits[:, :1]).tolist() == choice(None, logits).tolist() == [0, 0]
    assert choice(torch.empty(0), logits).tolist() == choice(gate[:, :0], logits).tolist() == [0, 0]


def test_the_defaults_are_method_s() -> None:
    """Every number of METHOD's reference set-up."""
    paper = PaperConfig()
    schedules = {
        "strong": paper.strong.schedule,
        "classifiers": paper.classifiers,
        "selector": paper.selector,
        "adversarial": paper.adversarial.schedule,
    }
    assert {name: (s.epochs, s.lr, s.factor, s.every) for name, s in schedules.items()} == {
        "strong": (50, 0.005, 0.2, 20),
        "classifiers": (30, 0.01, 0.5, 6),
        "selector": (20, 0.01, 0.5, 8),
        "adversarial": (0, 0.001, 0.5, 30),
    }
    for schedule in schedules.values():
        assert schedule.batch == 8
        group = Stepper([torch.nn.Parameter(torch.zeros(1))], schedule).optimizer.param_groups[0]
        assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, True, 1e-4)
    rounds = paper.adversarial
    assert (rounds.rounds, rounds.selector_epochs, rounds.classifier_epochs) == (40, 6, 6)
    assert (rounds.union, rounds.overlap, rounds.single, rounds.selection) == (0.1, 0.03, 0.1, 1.0)
    assert (paper.splitting.by, paper.splitting.n_init, paper.dropout) == ("features", 50, 0.2)
    assert paper.spec((151, 3, 17)) == reference_spec()
    assert (paper.strong.widths, paper.strong.kernels) == ((64, 64, 32, 32, 32, 16), (15, 13, 9, 9, 5, 5))
    baseline = replace(paper, baseline=True).spec((151, 3, 17))
    assert baseline.macs == 261_264 and reference_spec().macs == 222_928
    short = paper.spec((49, 40, 40))  # METHOD's kernels do not fit into 49 rows
    assert [conv.kernel for conv in short.classifier.convs] == [5, 5, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounds": 3}, "unknown key paper.rounds"),
        ({"selector": {"epochs": -1, "lr": 0.1}}, "paper.selector.epochs is -1"),
        ({"classifiers": {"batch": 1}}, "paper.classifiers.batch is 1"),
        ({"strong": {"widths": [8]}}, "widths and kernels differ in number"),
        ({"dropout": 1.0}, "paper.dropout is 1.0"),
        ({"splitting": {"by": "luck"}}, "paper.splitting.by is 'luck'"),
        ({"adversarial": {"rounds": -1}}, "paper.adversarial.rounds is -1"),
    ],
)
def test_a_wrong_setting_is_named(change: dict, message: str) -> None:
    with pytest.raises(DitmosError, match=message):
        paper_config(change)


def test_classifiers_without_a_split_see_all_windows(dataset: Dataset) -> None:
    for by, seen in (("none", 1.0), ("random", 1 / 3)):
        run = session(dataset, config(splitting={"by": by}))
        train_strong(run)
        split_windows(run)
        assert run.done == ["split"]  # no strong network
        index = torch.cat([own_batches(run, 4) for _ in range(40)])
        count = len(run.parts.train)
        assert index.shape[2] == 3
        for k in range(3):
            assert len(index[:, :, k].unique()) / count == pytest.approx(seen, abs=0.03)


# --- data ---------------------------------------------------------------------------------------------------------


def test_prepare_is_in_real_units_with_the_training_parts_statistics(dataset: Dataset) -> None:
    parts = prepare(dataset)
    train = dataset.x[dataset.part(0)].astype(np.float64) * dataset.scale
    np.testing.assert_allclose(parts.mean, train.mean((0, 1)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(parts.std, train.std((0, 1)), rtol=1e-3)
    assert parts.train.x.shape[1:] == (6, 48) and len(parts.test) == len(dataset.part(2))
    small = prepare(replace(dataset, scale=dataset.scale * 1e-9))  # amperes, say
    np.testing.assert_allclose(small.std, 1e-9 * np.array(parts.std), rtol=1e-3)
    lacking = replace(dataset, y=np.where(dataset.y == 2, 1, dataset.y))
    with pytest.raises(DitmosError, match="no training window of class 'walk'"):
        prepare(lacking)


# --- stages -------------------------------------------------------------------------------------------------------


def test_classifiers_learn_their_own_cluster(dataset: Dataset) -> None:
    """Each is better on its cluster than the mean of the others; the selector is not touched."""
    run = session(dataset, config(classifiers={"epochs": 12, **FAST}))
    run.clusters = (run.parts.train.y % 3).clone()
    before = snapshot(run.network.selector)
    pretrain_classifiers(run)
    assert not changed(before, run.network.selector)
    run.network.eval()
    with torch.no_grad():
        right = run.network(run.parts.train.x)[1].argmax(2) == run.parts.train.y[:, None]
    for k in range(3):
        own = right[run.clusters == k].float().mean(0)
        assert own[k] > 0.9 and own[k] > own[[i for i in range(3) if i != k]].max()


@pytest.mark.parametrize("start", [0, 1])
def test_each_step_moves_one_side_only(dataset: Dataset, start: int) -> None:
    shape = {"start": 0, "aggregate": [1]}
    if start:
        shape = {"start": 1, "aggregate": [2], "classifier": "4k5"}
    run = session(dataset, config(network=shape))
    network = run.network
    before = snapshot(network)
    selector_epoch(run, Stepper(parameters(selector_side(network)), run.config.selector))
    moved = changed(before, network)
    assert moved and all(name.startswith("selector.") for name in moved)
    shared = tuple(f"selector.layers.{i}." for i in range(start))
    assert not any(name.startswith(shared) for name in moved if shared)
    before = snapshot(network)
    classifier_epoch(run, Stepper(parameters(classifier_side(network)), run.config.selector))
    moved = changed(before, network)
    assert moved and all(name.startswith(("classifiers.", *shared)) for name in moved)
    assert not start or any(name.startswith(shared) for name in moved)


def test_frozen_side_is_in_evaluation_mode(dataset: Dataset) -> None:
    network = session(dataset).network
    learn_only(network, classifier_side(network))
    assert network.classifiers.training and not network.selector.training
    assert all(not p.requires_grad for p in network.selector.parameters())
    assert all(p.requires_grad for p in network.classifiers.parameters())


def test_selector_learns_who_is_right(dataset: Dataset) -> None:
    """Two classes known to classifier 0, two to classifier 1: the selector must tell them apart."""
    settings = config(network={"classifiers": 2}, selector={"epochs": 15, **FAST}, classifiers={"epochs": 10, **FAST})
    run = session(dataset, settings)
    run.clusters = (run.parts.train.y >= 2).long()
    pretrain_classifiers(run)
    pretrain_selector(run)
    run.network.eval()
    result = score(answer_float(run.network, run.parts.train))
    assert result.value > max(result.classifier) + 0.2 and min(result.usage) > 0


def test_adversarial_rounds_alternate(dataset: Dataset) -> None:
    run = session(dataset, config(adversarial={"rounds": 2, "selector_epochs": 2, "classifier_epochs": 1}))
    train_adversarially(run)
    steps = ["selector" if "selector_loss" in row else "classifier" for row in run.history]
    assert steps == ["selector", "selector", "classifier"] * 2


def test_the_whole_method_learns_and_chooses_on_validation(dataset: Dataset) -> None:
    run = session(dataset)
    train(run)
    assert run.done == ["strong", "split", "classifiers", "selector", "adversarial"]
    rows = [row for row in run.history if row["stage"] in ("selector", "adversarial")]
    assert run.best["value"] == max(row["validation"] for row in rows) > 0.4
    assert score(answer_float(run.network, run.parts.validation)).value == run.best["value"]
    sizes = next(row["cluster_sizes"] for row in run.history if row["stage"] == "split")
    assert sum(sizes) == len(run.parts.train) and len(sizes) == 3


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "SECONDS", 0.0)
    whole = session(dataset)
    train(whole)

    class Stop(Exception):
        pass

    def report(stage: str, done: float, _: str) -> None:
        if stage == "adversarial" and done == 1:  # what is kept is the epoch before
            raise Stop

    stopped = session(dataset, keep=Keep(tmp_path))
    stopped.report = report
    with pytest.raises(Stop):
        train(stopped)
    again = session(dataset, keep=Keep(tmp_path))
    assert again.done == ["strong", "split", "classifiers", "selector"] and again.history == whole.history[:-1]
    train(again)
    assert again.history == whole.history
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name


def test_strong_network_and_split_features(dataset: Dataset) -> None:
    run = session(dataset)
    train_strong(run)
    split_windows(run)
    assert len(run.clusters) == len(run.parts.train) and set(run.clusters.tolist()) == {0, 1, 2}
    assert all(not p.requires_grad for p in run.strong.parameters()) and not run.strong.training


def test_the_method_needs_a_selector(dataset: Dataset) -> None:
    with pytest.raises(DitmosError, match="no selector, expected one"):
        train(session(dataset, config(network={"classifiers": 1, "aggregate": [], "selector": ""})))


def test_the_baseline_is_one_network(dataset: Dataset) -> None:
    run = session(dataset, config(baseline=True, network={"classifiers": 1, "aggregate": [], "selector": ""}))
    train(run)
    assert run.done == ["baseline", "later"] and run.best["value"] > 0.4
    with pytest.raises(DitmosError, match="trains one network, expected no selector"):
        train(session(dataset, config(baseline=True)))


def test_a_loss_that_explodes_is_an_error(dataset: Dataset) -> None:
    run = session(dataset, config(strong={"schedule": {"epochs": 3, "lr": 1e30, "batch": 16}}))
    with pytest.raises(DitmosError, match=r"stage strong, epoch .*no longer a number; lower paper.strong.schedule.lr"):
        train_strong(run)


def test_the_command_s_way_with_the_published_method(dataset: Dataset, tmp_path: Path) -> None:
    """End to end, from the data set to the model file, with a budget that it keeps and one that it does not."""
    data = save(dataset, tmp_path / "d.npz")
    settings = {"paper": TINY, "threads": 1, "int8": {"epochs": 0, "clips": ["error"]}}
    said: list[str] = []
    timed: list[str] = []
    row = train_run(
        Request(data, method="paper", settings=settings), tmp_path / "run", method.learn,
        report=lambda stage, done, note: said.append(stage),
        begun=lambda task, _: timed.extend(name for name, share in effort_of(task) if share > 0),
    )  # fmt: skip
    assert [name for name in dict.fromkeys(said) if name in timed] == timed  # so that it is known what is left
    assert row["shape"] == "4k7 4k5; 3 x 4k7 4k5 h8 (from 0, sees 1)" and row["epoch"]["stage"] in (
        "selector",
        "adversarial",
    )
    assert row["stages"][-1][1] == len(row["curve"]) and row["test"]["routing"]["union"] == row["test"]["union"]
    assert (tmp_path / "run" / "model.dtm").stat().st_size == row["flash_bytes"]
    tight = Request(data, Budget(macs=1000), method="paper", settings=settings)
    with pytest.raises(DitmosError, match=r"no room for the published network within 1,000 MACs.*takes"):
        train_run(tight, tmp_path / "tight", method.learn)
    wrong = Request(data, method="paper", settings={"paper": {"epochs": 3}})
    with pytest.raises(DitmosError, match=r"unknown key paper\.epochs"):
        train_run(wrong, tmp_path / "wrong", method.learn, begun=lambda task, _: bool(effort_of(task)))
    assert not (tmp_path / "wrong" / "request.json").exists()  # a corrected file may have the folder


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_published_method_in_full_schedules(dataset: Dataset, tmp_path: Path) -> None:
    """METHOD's own stages, shapes and optimiser; fewer rounds, since the set is a toy."""
    longer = generate(subjects=10, activities=4, recordings=2, windows=3, window=151, seed=3)
    data = save(split(longer, "subject", validation=0.25), tmp_path / "d.npz")
    settings = {"paper": {"adversarial": {"rounds": 2}}}
    row = train_run(Request(data, method="paper", settings=settings), tmp_path / "run", method.learn)
    assert row["network"]["classifiers"] == 6 and row["test"]["accuracy"] > 0.4
