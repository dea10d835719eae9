"""Training: every stage does what METHOD says, a run that was stopped goes on as if it had not been."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ditmos.datasets import Dataset, save
from ditmos.datasets.splits import split
from ditmos.datasets.synthetic import generate
from ditmos.errors import DitmosError
from ditmos.model.spec import reference_spec
from ditmos.paper.adversarial import classifier_epoch, train_adversarially
from ditmos.paper.pretraining import own_batches, pretrain_classifiers, pretrain_selector, selector_epoch
from ditmos.paper.recipe import train
from ditmos.paper.session import Session, Stepper
from ditmos.paper.sides import classifier_side, learn_only, parameters, selector_side
from ditmos.paper.splitting import split_windows
from ditmos.paper.strong import train_strong
from ditmos.paper.train import train_run
from ditmos.study.entries import DataEntry, Job
from ditmos.study.recipes import settings
from ditmos.training import checkpoint
from ditmos.training import config as configuration
from ditmos.training.config import AugmentConfig, Config, from_dict, merge
from ditmos.training.data import load_data, prepare
from ditmos.training.evaluation import choice, evaluate
from ditmos.training.run import load_run
from typer.testing import CliRunner

FAST = {"lr": 0.02, "batch": 16, "optimizer": "adamw"}
TINY = {
    "task": "tiny",
    "recipe": "joint",
    "threads": 1,
    "data": {"split": "subject"},
    "augment": {"shift": 3, "scale": 0.1},
    "network": {
        "classifiers": 3,
        "aggregate": [1],
        "selector": {"convs": [{"channels": 4, "kernel": 7}, {"channels": 4, "kernel": 5}]},
        "classifier": {"convs": [{"channels": 4, "kernel": 7}, {"channels": 4, "kernel": 5}], "hidden": [8]},
    },
    "strong": {"widths": [8, 8], "kernels": [9, 9], "hidden": 16, "schedule": {"epochs": 3, **FAST}},
    "splitting": {"n_init": 2},
    "classifiers": {"epochs": 2, **FAST},
    "selector": {"epochs": 2, **FAST},
    "mixture": {"schedule": {"epochs": 5, **FAST, "decay": "one-cycle"}, "balance": 0.1},
    "adversarial": {"rounds": 2, "selector_epochs": 1, "classifier_epochs": 1, "schedule": {"epochs": 0, **FAST}},
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return split(
        generate(subjects=10, activities=4, recordings=2, windows=3, window=48, seed=3), "subject", validation=0.25
    )


def config(**changes: object) -> Config:
    return from_dict(merge(TINY, changes))


def session(dataset: Dataset, settings: Config | None = None) -> Session:
    settings = settings or config()
    spec = settings.network.spec(dataset.window, len(dataset.channels), dataset.classes)
    return Session(settings, spec, prepare(dataset))


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


def test_the_paper_s_recipe_is_method_s() -> None:
    """Every number of METHOD's reference set-up, as the packaged configuration has it."""
    paper = configuration.load("activity")
    assert paper.recipe == "paper" and paper.metric == "accuracy" and paper.augment == AugmentConfig()
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
        assert (schedule.batch, schedule.optimizer, schedule.decay) == (8, "sgd", "step")
        group = Stepper([torch.nn.Parameter(torch.zeros(1))], schedule).optimizer.param_groups[0]
        assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, True, 1e-4)
    rounds = paper.adversarial
    assert (rounds.rounds, rounds.selector_epochs, rounds.classifier_epochs) == (40, 6, 6)
    assert (rounds.union, rounds.overlap, rounds.single, rounds.selection) == (0.1, 0.03, 0.1, 1.0)
    assert (paper.splitting.by, paper.splitting.n_init) == ("features", 50)
    assert paper.network.spec(151, 3, 17) == reference_spec() and paper.network.dropout == 0.2
    assert (paper.strong.widths, paper.strong.kernels) == ((64, 64, 32, 32, 32, 16), (15, 13, 9, 9, 5, 5))
    job = Job("d", "paper", 223_000, recipe="paper")
    assert replace(settings(job, DataEntry("d.npz")), task=paper.task, threads=paper.threads) == paper
    baseline = settings(replace(job, recipe="plain"), DataEntry("d.npz")).network.spec(151, 3, 17)
    assert baseline.macs == 261_264 and reference_spec().macs == 222_928


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
        shape = {"start": 1, "aggregate": [2], "classifier": {"convs": [{"channels": 4, "kernel": 5}]}}
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
    result = evaluate(run.network, run.parts.train)
    assert result.accuracy > max(result.classifier) + 0.2 and result.used == 2


def test_adversarial_rounds_alternate(dataset: Dataset) -> None:
    run = session(dataset, config(adversarial={"rounds": 2, "selector_epochs": 2, "classifier_epochs": 1}))
    train_adversarially(run)
    steps = ["selector" if "selector_loss" in row else "classifier" for row in run.history]
    assert steps == ["selector", "selector", "classifier"] * 2


def test_whole_recipe_learns_and_chooses_on_validation(dataset: Dataset) -> None:
    run = session(dataset)
    train(run)
    assert run.done == ["strong", "split", "classifiers", "selector", "adversarial", "mixture"]
    rows = [row for row in run.history if row["stage"] in ("selector", "mixture", "adversarial")]
    assert run.best["value"] == max(row["accuracy"] for row in rows) > 0.5
    assert evaluate(run.network, run.parts.validation).accuracy == run.best["value"]
    sizes = next(row["cluster_sizes"] for row in run.history if row["stage"] == "split")
    assert sum(sizes) == len(run.parts.train) and len(sizes) == 3


def test_strong_network_and_split_features(dataset: Dataset) -> None:
    run = session(dataset)
    train_strong(run)
    split_windows(run)
    assert len(run.clusters) == len(run.parts.train) and set(run.clusters.tolist()) == {0, 1, 2}
    assert all(not p.requires_grad for p in run.strong.parameters()) and not run.strong.training


def test_a_plain_network_is_trained_by_the_same_code(dataset: Dataset) -> None:
    plain = {k: v for k, v in TINY["network"].items() if k != "selector"} | {"classifiers": 1, "aggregate": []}
    values = {k: v for k, v in TINY.items() if k != "network"} | {"network": plain, "recipe": "single"}
    run = session(dataset, from_dict(values))
    train(run)
    assert run.best["value"] > 0.4
    with pytest.raises(DitmosError, match="needs a selector"):
        train(session(dataset, from_dict(values | {"recipe": "paper"})))
    with pytest.raises(DitmosError, match="recipe is 'fast', expected one of"):
        train(session(dataset, from_dict(values | {"recipe": "fast"})))


def test_a_loss_that_explodes_is_an_error(dataset: Dataset) -> None:
    run = session(dataset, config(strong={"schedule": {"epochs": 3, "lr": 1e30, "batch": 16}}))
    with pytest.raises(DitmosError, match=r"stage strong, epoch .*no longer a number"):
        train_strong(run)


# --- stop and go on -----------------------------------------------------------------------------------------------


class Stop(Exception):
    pass


@pytest.mark.parametrize("stage, epoch", [("strong", 2), ("classifiers", 1), ("mixture", 2), ("adversarial", 3)])
def test_a_stopped_run_goes_on_to_the_same_numbers(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, epoch: int
) -> None:
    monkeypatch.setattr("ditmos.paper.session.CHECKPOINT_SECONDS", 0.0)
    whole = train_run(config(), dataset, tmp_path / "whole")

    def stop(name: str, done: int, *_: object) -> None:
        if (name, done) == (stage, epoch + 1):
            raise Stop

    with pytest.raises(Stop):
        train_run(config(), dataset, tmp_path / "stopped", report=stop)
    with pytest.raises(DitmosError, match="unfinished run"):
        train_run(config(), dataset, tmp_path / "stopped")
    with pytest.raises(DitmosError, match="not finished"):
        load_run(tmp_path / "stopped")
    seen = []
    again = train_run(config(), dataset, tmp_path / "stopped", resume=True, report=lambda *a: seen.append(a[:2]))
    assert seen[0] == (stage, epoch + 1)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], value), name
    histories = [json.loads((tmp_path / folder / "history.json").read_text()) for folder in ("whole", "stopped")]
    assert histories[0] == histories[1]
    assert not (tmp_path / "stopped" / "checkpoint.pt").exists()


@pytest.mark.parametrize("how, code", [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_process_that_is_stopped_or_killed_can_go_on(
    dataset: Dataset, tmp_path: Path, how: signal.Signals, code: int
) -> None:
    out, toml = tmp_path / "run", tmp_path / "long.toml"
    toml.write_text(config(mixture={"schedule": {"epochs": 5000}}).to_toml())
    data = save(dataset, tmp_path / "d.npz")
    command = [sys.executable, "-m", "ditmos", "train", str(toml), "--data", str(data), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 200
        while not _stages_done(out) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(how)
        _, errors = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == code, errors
    assert how == signal.SIGKILL or "--resume" in errors
    again = session(dataset, configuration.load(toml))
    again.resume(out / "checkpoint.pt")
    assert again.done == ["strong", "split", "classifiers", "selector", "adversarial"]


def _stages_done(out: Path) -> bool:
    """The mixture stage has begun, as far as the checkpoint says."""
    return (out / "checkpoint.pt").exists() and len(checkpoint.load(out / "checkpoint.pt", "")["done"]) >= 5


def test_a_full_disk_leaves_the_last_checkpoint(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ditmos.paper.session.CHECKPOINT_SECONDS", 0.0)
    real = os.fsync
    calls = 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DitmosError, match=r"No space left on device.*the old one is still there"):
        train_run(config(), dataset, tmp_path)
    monkeypatch.setattr(os, "fsync", real)
    assert not list(tmp_path.glob(".*"))  # no half-written file
    assert checkpoint.load(tmp_path / "checkpoint.pt", "a checkpoint")["history"]
    train_run(config(), dataset, tmp_path, resume=True)


def test_damaged_and_foreign_checkpoints(dataset: Dataset, tmp_path: Path) -> None:
    def stop(*_: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        train_run(config(), dataset, tmp_path, report=stop)
    with pytest.raises(DitmosError, match="another configuration"):
        train_run(config(seed=1), dataset, tmp_path, resume=True)
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DitmosError, match="not readable as a checkpoint"):
        train_run(config(), dataset, tmp_path, resume=True)
    with pytest.raises(DitmosError, match="no such file"):
        train_run(config(), dataset, tmp_path / "empty", resume=True)


# --- runs ---------------------------------------------------------------------------------------------------------


def test_run_folder_and_command_line(dataset: Dataset, tmp_path: Path) -> None:
    import typer
    from ditmos.cli import train as train_cli

    app = typer.Typer()
    train_cli.add(app)
    app.callback()(lambda: None)
    data, toml, out = save(dataset, tmp_path / "d.npz"), tmp_path / "tiny.toml", tmp_path / "run"
    toml.write_text(config().to_toml())
    arguments = ["train", str(toml), "--data", str(data), "--out", str(out), "--json", str(tmp_path / "m.json")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {"config.toml", "model.pt", "metrics.json", "history.json"}
    metrics = json.loads((out / "metrics.json").read_text())
    assert json.loads((tmp_path / "m.json").read_text())["test"] == metrics["test"]

    run = load_run(out)
    assert run.metadata["class_names"] == list(dataset.class_names) and run.metadata["sample_scale"] == dataset.scale
    origin = run.metadata["origin"]
    assert origin["config_sha256"] == run.config.digest == config().digest
    assert origin["data_sha256"] == dataset.sha256 and origin["seed"] == 0 and origin["torch"] == str(torch.__version__)
    again = prepare(load_data(run.config.data))
    assert evaluate(run.network, again.test).to_dict() == run.metadata["metrics"]["test"]
    assert metrics["test"]["accuracy"] == run.metadata["metrics"]["test"]["accuracy"]
    assert metrics["test"]["accuracy"] <= metrics["test"]["union"]
    assert sum(metrics["test"]["usage"]) == pytest.approx(1)

    with pytest.raises(DitmosError, match="finished run"):
        train_run(config(), dataset, out)
    whole, rng = (out / "model.pt").read_bytes(), np.random.default_rng(0)
    (out / "model.pt").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(DitmosError, match="not readable as a trained model"):
        load_run(out)
    for position in rng.integers(len(whole), size=60):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        (out / "model.pt").write_bytes(damaged)
        with contextlib.suppress(DitmosError):  # a flip among the weights goes unseen: the file has no checksum
            load_run(out)
    with pytest.raises(DitmosError, match="no such file"):
        load_run(tmp_path / "nowhere")


def test_same_seed_same_model_other_seed_another(dataset: Dataset) -> None:
    results = []
    for seed in (4, 4, 5):
        run = session(dataset, config(seed=seed, recipe="single", mixture={"schedule": {"epochs": 1}}))
        train(run)
        results.append(run.network.state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    assert any(not torch.equal(results[0][name], results[2][name]) for name in results[0])


def test_no_data_named(tmp_path: Path) -> None:
    with pytest.raises(DitmosError, match="name one with --data"):
        load_data(config().data)
