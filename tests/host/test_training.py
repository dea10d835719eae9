"""`ditmos train`: from a data set to a model file; stopped, killed, gone on with; what is refused, and what stays."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ditmos import keep as keeping
from ditmos.cli import application
from ditmos.cli.train import show
from ditmos.datasets import TEST, Dataset, load, save
from ditmos.datasets.splits import split
from ditmos.datasets.synthetic import generate
from ditmos.datasets.tensors import prepare
from ditmos.errors import DitmosError
from ditmos.model.inputs import quantize_input
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.planner import front
from ditmos.planner.budget import Budget, flash_bytes
from ditmos.training import export
from ditmos.training import run as runs
from ditmos.training.data import load_data
from ditmos.training.learn import learn
from ditmos.training.results import gain, interval
from ditmos.training.run import Request, load_network, read_run, train
from ditmos.training.score import Margins, Score, answer_integer, score
from ditmos.training.space import fits_ram
from ditmos.training.typed_toml import read, render
from rich.console import Console
from typer.testing import CliRunner

SHAPE = {"classifier": "6k3", "selector": "4k5s2 4k3", "classifiers": 3, "start": 1, "aggregate": [2], "exit": True}
SMALL = {
    "threads": 1,
    "views": {"count": 2},
    "teachers": {"count": 1, "epochs": 1, "widths": [4], "kernels": [3]},
    "fit": {"epochs": 4.0, "batch": 32},
    "int8": {"epochs": 2, "clips": ["error"]},
}
GIVEN = {**SMALL, "network": SHAPE}


def synthetic(seed: int = 3) -> Dataset:
    made = generate(subjects=8, activities=3, recordings=2, windows=3, window=48, seed=seed)
    return split(made, "subject", validation=0.25)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(synthetic(), tmp_path_factory.mktemp("data") / "d.npz")


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    train(Request(data, settings=GIVEN), out, learn)
    return out


def same(a: dict, b: dict) -> bool:
    """Whether two rows say the same, but for when and where."""
    kept = [{k: v for k, v in json.loads(json.dumps(row)).items() if k not in ("seconds", "origin")} for row in (a, b)]
    for row in kept:
        for trial in row.get("trials", ()):
            trial.pop("seconds")
        row["int8_choice"]["history"][0][1] = None  # not a number before the first epoch
    return kept[0] == kept[1]


def test_a_run_holds_all_that_is_promised(data: Path, finished: Path) -> None:
    names = {"model.dtm", "run.json", "settings.toml", "network.pt", "predictions.npz"}
    assert {file.name for file in finished.iterdir()} == names
    row, settings = read_run(finished)
    keys = ("int8", "float", "instructions", "worst_instructions", "arena_bytes", "flash_bytes")
    assert all(isinstance(row[key], int | float) for key in keys)
    model, plan = read_model(finished / "model.dtm")
    assert plan.arena_size == row["arena_bytes"] and (finished / "model.dtm").stat().st_size == row["flash_bytes"]
    # It holds room for four channels over the lane bound in each layer: much, where a layer has four or six.
    assert row["flash_bytes"] <= flash_bytes(model.spec) < 1.25 * row["flash_bytes"]
    assert settings.network.classifier == "6k3" and settings.fit.epochs == 4
    assert model.spec == load_network(finished / "network.pt").spec
    test = row["test"]
    assert sum(map(sum, row["confusion"])) == test["windows"] == sum(c["windows"] for c in row["per_class"])
    assert sum(row["confusion"][i][i] for i in range(3)) == pytest.approx(test["accuracy"] * test["windows"])
    assert test["interval"][0] <= test["accuracy"] <= test["interval"][1]
    assert row["instructions"] <= row["worst_instructions"] and row["int8"] == test["int8"]
    assert sum(sum(counts) for _, counts in row["answered_by"]) == test["windows"]
    chosen = [what for what, _ in row["chosen"]]
    assert chosen[:2] == ["kind motion", "split file"]
    assert not any("epochs" in what or "views of" in what for what in chosen)  # the TOML file has set those


def test_the_figures_are_those_of_the_file(data: Path, finished: Path) -> None:
    """The model file, run by the reference with the margins of the row, over the test windows."""
    row, settings = read_run(finished)
    dataset = load_data(settings.data, data)
    model, _ = read_model(finished / "model.dtm")
    parts = prepare(dataset)
    found = score(answer_integer(model, parts.test), Margins(**row["margins"]))
    assert found.value == row["int8"] and found.runs == row["test"]["runs"]
    reference, index = Model(model), dataset.part(TEST)
    x = quantize_input(dataset.x[index] * np.float32(dataset.scale), model.inputs)
    gate, logits = reference.select_batch(x), reference.classify_batch(x)
    early = row["margins"]["early"]
    for i in range(len(index)):
        own = np.sort(gate[i, 3:].astype(int))
        if early is not None and (own[-1] - own[-2]) * model.selector_scale >= early:
            assert found.answered[i] == -1
        else:
            assert found.answered[i] == gate[i, :3].argmax() and found.predicted[i] in logits[i].argmax(1)


def test_nothing_depends_on_names(tmp_path: Path, data: Path, finished: Path) -> None:
    made = synthetic()
    other = replace(made, class_names=("x", "y", "z"), channels=tuple("abcdef"))
    renamed = save(other, tmp_path / "renamed.npz")
    row = train(Request(renamed, settings=GIVEN), tmp_path / "run", learn)
    before = read_run(finished)[0]
    for key in ("int8", "float", "instructions", "margins", "curve", "network", "confusion"):
        assert json.loads(json.dumps(row[key])) == before[key]
    assert [what for what, _ in row["chosen"]] == [what for what, _ in before["chosen"]]


def test_another_seed_is_another_network(tmp_path: Path, data: Path, finished: Path) -> None:
    row = train(Request(data, settings=GIVEN, seed=1), tmp_path / "run", learn)
    assert row["curve"] != read_run(finished)[0]["curve"]


def test_a_search_keeps_the_budget_and_leaves_its_trials(tmp_path: Path, data: Path) -> None:
    settings = {**SMALL, "search": {"count": 3, "folds": 0}, "fit": {"epochs": 2.0, "batch": 32}}
    for method, budget in (("best", Budget(macs=30_000)), ("wide", Budget(instructions=40_000))):
        row = train(Request(data, budget, method, settings=settings), tmp_path / method, learn)
        assert len(row["trials"]) == 4 and row["network"] == row["trials"][0]["network"]
        validation = row["validation"]
        assert validation["macs"] <= 30_000 if method == "best" else validation["instructions"] <= 40_000
    assert row["classifiers"] == 1


def test_quick_has_a_template(tmp_path: Path, data: Path) -> None:
    settings = {**SMALL, "fit": {"epochs": 1.0, "batch": 32}}
    row = train(Request(data, effort="quick", settings=settings), tmp_path / "run", learn)
    assert row["classifiers"] == 6 and row["margins"]["early"] is None and "trials" not in row


# --- stop and go on ---------------------------------------------------------------------------------------------------


class Stop(Exception):
    pass


@pytest.mark.parametrize(
    ("stage", "share"), [("teachers", 0.95), ("network", 0.3), ("network", 0.9), ("integers", 0), ("integers", 0.5)]
)
def test_a_stopped_run_goes_on_to_the_same_numbers(
    data: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, share: float
) -> None:
    monkeypatch.setattr(keeping, "SECONDS", 0.0)
    request, out = Request(data, settings=GIVEN), tmp_path / "run"

    def stop(name: str, done: float, _: str) -> None:
        if name == stage and done >= share:
            raise Stop

    with pytest.raises(Stop):
        train(request, out, learn, report=stop)
    with pytest.raises(DitmosError, match="unfinished run in it; go on with --resume"):
        train(request, out, learn)
    with pytest.raises(DitmosError, match="not finished"):
        read_run(out)
    row = train(request, out, learn, resume=True)
    assert same(row, read_run(finished)[0])
    assert (out / "model.dtm").read_bytes()[-64:] == (finished / "model.dtm").read_bytes()[-64:]
    assert not (out / "work").exists()


def test_a_kill_loses_half_a_minute(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stage that takes long asks at each step whether it is time to save, and then saves."""
    assert keeping.SECONDS <= 30
    monkeypatch.setattr(keeping, "SECONDS", 0.0)
    saved: list[str] = []
    save = keeping.save

    def noted(file: Path, state: dict) -> None:
        saved.append(file.stem)
        save(file, state)

    monkeypatch.setattr(keeping, "save", noted)
    settings = {**SMALL, "search": {"count": 2, "folds": 0}, "fit": {"epochs": 8.0, "batch": 32}}
    train(Request(data, Budget(macs=10_000), settings=settings), tmp_path / "run", learn)
    steps = {name: saved.count(name) for name in saved}
    assert {"teacher-0", "view-0", "view-1", "figures", "student", "tuning"} <= steps.keys()
    assert steps["teacher-0"] > 1 and steps["student"] > 20 and steps["tuning"] == 2


def test_a_stopped_search_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "SECONDS", 0.0)
    settings = {**SMALL, "search": {"count": 2, "folds": 2}, "fit": {"epochs": 1.0, "batch": 32}}
    request = Request(data, Budget(macs=10_000), settings=settings)
    whole = train(request, tmp_path / "whole", learn)

    def stop(name: str, done: float, _: str) -> None:
        if name == "search" and done > 0.5:
            raise Stop

    with pytest.raises(Stop):
        train(request, tmp_path / "stopped", learn, report=stop)
    assert same(train(request, tmp_path / "stopped", learn, resume=True), whole)


@pytest.mark.parametrize(
    ("how", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 130, marks=pytest.mark.slow), (signal.SIGKILL, -9)],
)
def test_a_process_that_is_stopped_or_killed_can_go_on(
    data: Path, tmp_path: Path, how: signal.Signals, code: int
) -> None:
    out, toml = tmp_path / "run", tmp_path / "long.toml"
    toml.write_text(render({**GIVEN, "fit": {"epochs": 1e5, "batch": 32}}))
    command = [sys.executable, "-m", "ditmos", "train", str(data), "--config", str(toml), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 200
        while not list(out.glob("work/pool-*/figures.pt")) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(how)
        _, errors = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == code, errors
    assert how == signal.SIGKILL or "--resume" in errors
    assert (out / "request.json").exists() and not (out / "model.dtm").exists()


def test_a_full_disk_leaves_what_is_done(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "SECONDS", 0.0)
    real, calls = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DitmosError, match="No space left on device"):
        train(Request(data, settings=GIVEN), tmp_path / "run", learn)
    monkeypatch.setattr(os, "fsync", real)
    train(Request(data, settings=GIVEN), tmp_path / "run", learn, resume=True)


def test_another_training_in_the_folder_is_refused(data: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(DitmosError, match="there is a finished run in it"):
        train(Request(data, settings=GIVEN), finished, learn)
    assert train(Request(data, settings=GIVEN), finished, learn, resume=True) == read_run(finished)[0]
    with pytest.raises(DitmosError, match="finished run in it was made with seed 0, asked for is 1; expected the same"):
        train(Request(data, settings=GIVEN, seed=1), finished, learn, resume=True)
    other = load(data)
    save(replace(other, units="mg"), tmp_path / "other.npz")
    with pytest.raises(DitmosError, match="was made with units 'g, rad/s', asked for is 'mg'"):
        train(Request(tmp_path / "other.npz", settings=GIVEN), finished, learn, resume=True)
    with pytest.raises(DitmosError, match="no run in it to go on with"):
        train(Request(data, settings=GIVEN), tmp_path / "none", learn, resume=True)

    def stop(name: str, *_: object) -> None:
        if name == "network":
            raise Stop

    with pytest.raises(Stop):
        train(Request(data, settings=GIVEN), tmp_path / "run", learn, report=stop)
    with pytest.raises(DitmosError, match="begun with seed 0, asked for is 1; expected the same"):
        train(Request(data, settings=GIVEN, seed=1), tmp_path / "run", learn, resume=True)


def test_damaged_files_are_named(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    file = tmp_path / "run" / "network.pt"
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    for damaged in (b"", whole[: len(whole) // 2], rng.bytes(100)):
        file.write_bytes(damaged)
        with pytest.raises(DitmosError, match=r"network\.pt: not a trained network"):
            load_network(file)
    for text, said in (("{", "not JSON"), ("{}", "not what ditmos train"), ("[]", "not what ditmos train")):
        (tmp_path / "run" / "run.json").write_text(text)
        for reader in (read_run, partial(runs.finished, asked={}, resume=True)):
            with pytest.raises(DitmosError, match=rf"run\.json: {said}"):
                reader(tmp_path / "run")
    with pytest.raises(DitmosError, match="expected the folder of a finished training"):
        read_run(tmp_path / "nowhere")


# --- bad input --------------------------------------------------------------------------------------------------------


def test_the_worst_case_is_kept_by_the_plan_that_the_ram_allows(finished: Path) -> None:
    """In little RAM the same network is slower: shapes are judged by that, and what is trained is held against it."""
    spec = read_run(finished)[1].network.spec((48, 6, 3))
    plans = front(spec)
    slow, fast = plans[0], plans[-1]
    assert slow.instructions > 1.1 * fast.instructions and slow.arena < fast.arena
    worst = 1.05 * fast.instructions
    assert fits_ram(spec, Budget(worst=worst, ram=fast.arena)) and not fits_ram(
        spec, Budget(worst=worst, ram=slow.arena)
    )
    with pytest.raises(DitmosError, match=r"dearest decision takes [\d.]+ us, expected at most [\d.]+; allow more"):
        export.check_worst(worst, slow.instructions)
    export.check_worst(worst, worst)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(macs=500), r"no routed-few network .* within 500 MACs, expected more; the smallest takes [\d,]+ MACs"),
        (Budget(worst=527), r"within 527 instructions at worst \(3 us\), expected more; .* instructions \(\d+ us\), "),
        (Budget(macs=30_000, ram=64), "64 bytes of RAM, expected more; the smallest takes"),
        (Budget(macs=30_000, flash=600), "600 bytes of flash, expected more; the smallest takes"),
    ],
)
def test_a_budget_that_nothing_meets(data: Path, tmp_path: Path, budget: Budget, message: str) -> None:
    with pytest.raises(DitmosError, match=message):
        train(Request(data, budget, settings={**SMALL, "search": {"count": 2, "folds": 0}}), tmp_path / "run", learn)
    assert not (tmp_path / "run").exists()


def test_data_that_cannot_be_learned_from(tmp_path: Path) -> None:
    made = synthetic()

    def wrong(name: str, dataset: Dataset, split: str | None = None) -> str:
        file = save(dataset, tmp_path / f"{name}.npz")
        with pytest.raises(DitmosError) as caught:
            train(Request(file, split=split, settings=GIVEN), tmp_path / name, learn)
        return str(caught.value)

    one = replace(made, y=np.zeros_like(made.y), class_names=("walk",))
    assert "one class ('walk'), expected 2 or more" in wrong("one", one)
    lacking = replace(made, y=np.where((made.split == 0) & (made.y == 1), 0, made.y))
    assert re.search(r"no training window of class '.*expected some of every class", wrong("lacking", lacking))
    alone = replace(made, subject=np.zeros_like(made.subject), group=np.zeros_like(made.group), split=None)
    assert "number of people: 1, of recordings: 1, expected 3 or more of either" in wrong("alone", alone)
    assert "number of people: 1, expected 3 or more, to train" in wrong("subject", alone, "subject")
    few = replace(made, split=np.where(np.arange(len(made)) % 50 == 0, 0, made.split).astype(np.int8))
    few = replace(few, split=np.where((few.split == 0) & (np.arange(len(few)) % 50 != 0), 1, few.split).astype(np.int8))
    few = replace(few, group=np.arange(len(few)))
    assert re.search(r"\d training windows, expected 8 or more; record more", wrong("few", few))


def test_a_failure_leaves_the_last_good_model(data: Path, finished: Path, tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in finished.iterdir()}
    with pytest.raises(DitmosError):
        train(Request(data, settings=GIVEN), finished, learn)
    assert {file.name: file.read_bytes() for file in finished.iterdir()} == before
    tight = {**GIVEN, "network": {**SHAPE, "classifier": "60k3"}}
    with pytest.raises(DitmosError, match=r"no room for this network within .*3,000 bytes of flash, expected more"):
        train(Request(data, Budget(flash=3_000), settings=tight), tmp_path / "run", learn)
    assert not (tmp_path / "run" / "model.dtm").exists()


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_prints_one_table_and_writes_the_row(data: Path, tmp_path: Path) -> None:
    toml = tmp_path / "small.toml"
    toml.write_text(render(GIVEN))
    arguments = ["train", str(data), "--config", str(toml), "--out", str(tmp_path / "run"), "--seed", "2"]
    arguments += ["--max-macs", "40000", "--max-ram", "4000", "--json", str(tmp_path / "row.json")]
    result = CliRunner().invoke(application(), arguments)
    assert result.exit_code == 0, result.output
    for said in (
        "accuracy, int8",
        "int8 against float, points",
        "instructions, worst",
        "arena, model file",
        "recall",
        "walk",
    ):
        assert said in result.output
    row = json.loads((tmp_path / "row.json").read_text())
    assert row["seed"] == 2 and row["budget"]["macs"] == 40_000 and row["arena_bytes"] <= 4_000
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == row
    for people, said in ((9, "people drawn anew with all"), (1, "of test, with fewer than 3 people, windows drawn")):
        printed = io.StringIO()
        parts = {"validation": row["validation"] | {"people": 9}, "test": row["test"] | {"people": people}}
        show(row | parts, Console(file=printed, width=200))
        assert said in printed.getvalue()
    for asked in (0.0, 0.2):
        printed = io.StringIO()
        show(row | {part: row[part] | {"asked": asked} for part in parts}, Console(file=printed, width=200))
        assert ("the network is never asked" in printed.getvalue()) == (asked == 0)


def test_integers_that_lose_more_than_a_point_are_said_with_the_layer(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is put where every network is beyond it; `test_quantize.py` tests that the layer is the right one."""
    monkeypatch.setattr(export, "LOSS", -2.0)
    toml = tmp_path / "small.toml"
    toml.write_text(render(GIVEN))
    arguments = ["train", str(data), "--config", str(toml), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(application(), arguments)
    assert result.exit_code == 0, result.output
    layer, part, _ = read_run(tmp_path / "run")[0]["loses"]
    known = {shape.name for shape in load_network(tmp_path / "run" / "network.pt").spec.classifier_layers()}
    assert layer in known | {"selector.1", "selector.2", "selector.fc1", "window"} and 0 < part < 1
    assert re.search(rf"integers lose -?\d+\.\d points on validation, most in {re.escape(layer)} \(", result.output)


def test_settings_that_a_method_does_not_read_are_refused(data: Path, tmp_path: Path) -> None:
    toml = tmp_path / "small.toml"
    for method, table, message in (
        ("wide", {"fit": {"delta": 0.2}}, "fit.delta is set, but method wide has nothing to route"),
        ("best", {"paper": {"dropout": 0.1}}, "paper.dropout is set, but method best is not that of the paper"),
        ("paper", {"views": {"count": 3}}, "views.count is set, but method paper has no such choice"),
        ("best", {"network": SHAPE, "search": {"keep": 2}}, "search.keep is set, but network.classifier gives"),
        ("wide", {"network": SHAPE}, "network.selector is set, but method wide has a network without"),
        ("best", {"network": SHAPE | {"exit": False}, "fit": {"exit": 0.2}}, "fit.exit is set, but the network has no"),
        ("best", {"search": {"count": 0}, "fit": {"exit": 0.2}}, "fit.exit is set, but the network has no early exit"),
        ("forest", {"views": {"count": 3}}, "views.count is set, but method forest has no such choice"),
        ("best", {"data": {"test": 0.3}}, "data.test is set, but the file has that part"),
    ):
        toml.write_text(render(table))
        arguments = ["train", str(data), "--config", str(toml), "--out", str(tmp_path / "run"), "--method", method]
        result = CliRunner().invoke(application(), arguments)
        assert isinstance(result.exception, DitmosError) and message in str(result.exception)


def test_the_settings_of_a_run_make_it_again(data: Path, finished: Path, tmp_path: Path) -> None:
    """`--config RUN/settings.toml`: it holds what the run has read, and nothing that would be refused."""
    row = train(Request(data, settings=read(finished / "settings.toml")), tmp_path / "run", learn)
    before = read_run(finished)[0]
    assert all(json.loads(json.dumps(row[key])) == before[key] for key in ("int8", "float", "curve", "margins"))
    assert (tmp_path / "run" / "settings.toml").read_bytes() == (finished / "settings.toml").read_bytes()


def test_intervals_are_over_people() -> None:
    right = np.array([True] * 50 + [False] * 50)
    windows = interval(right, np.zeros(100, int))
    people = interval(right, np.repeat(np.arange(4), 25))  # two people all right, two all wrong
    assert windows[0] > 0.35 and windows[1] < 0.65
    assert people == (0.0, 1.0)


def test_what_integers_win_or_lose_is_said_with_its_chance() -> None:
    """Ten windows of two classes, two of class 1: floats lose one of those, integers another one of class 0."""
    y, people = np.array([0] * 8 + [1] * 2), np.arange(10)
    floats, integers = y.copy(), y.copy()
    floats[9], integers[0] = 0, 1

    def said(predicted: np.ndarray) -> Score:
        return Score(0.0, 0.0, 1.0, None, (), (), predicted, np.zeros(10, int), np.ones(10, int))

    plain, low, high = gain(said(integers), said(floats), y, people, balanced=False)
    assert plain == 0 and low < 0 < high
    assert gain(said(integers), said(floats), y, people, balanced=True)[0] == pytest.approx(0.5 / 2 - 1 / 8 / 2)
    assert gain(said(y), said(y), y, people, balanced=True) == (0.0, 0.0, 0.0)


def test_rivals_at_the_same_cost_stand_in_the_table(data: Path, tmp_path: Path) -> None:
    toml = tmp_path / "small.toml"
    toml.write_text(
        render({**SMALL, "fit": {"epochs": 1.0, "batch": 32, "delta": 0.2}, "search": {"count": 1, "folds": 0}})
    )
    arguments = ["train", str(data), "--config", str(toml), "--out", str(tmp_path / "run"), "--compare"]
    result = CliRunner().invoke(application(), [*arguments, "--max-macs", "15000"])
    assert result.exit_code == 0, result.output
    assert "rival wide, int8" in result.output and "rival exit, int8" in result.output
    assert (tmp_path / "run" / "rivals" / "wide" / "model.dtm").is_file()


def test_a_run_with_a_choice_that_is_no_more_is_named(tmp_path: Path) -> None:
    (tmp_path / runs.REQUEST).write_text(json.dumps({"seed": 1, "gone": 2}))
    with pytest.raises(DitmosError, match="begun with gone 2"):
        runs.finished(tmp_path, {"seed": 1}, resume=True)
