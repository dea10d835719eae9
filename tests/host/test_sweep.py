"""The whole path from a sweep file to the report on the synthetic set, small; what is resumed and what failed."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from ditmos.bench import route
from ditmos.bench.baremetal import missing_tools
from ditmos.cli import bench as bench_cli
from ditmos.cli import report as report_cli
from ditmos.cli import sweep as sweep_cli
from ditmos.datasets import TEST, VALIDATION, save, synthetic
from ditmos.errors import DitmosError
from ditmos.model.policy import parse_policy
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.model.spec import NetworkSpec
from ditmos.study import job as jobs
from ditmos.study import onboard, shared, sweep, sweepfile, tree
from typer.testing import CliRunner

SWEEP = """
seeds = [0, 1]
[fit]
epochs = 2
batch = 64
[data.synthetic]
file = "synthetic.npz"
split = "subject"
views = 2
teachers = 1
teacher_epochs = 2
[[job]]
data = "synthetic"
method = "wide"
budget = 9_000
classifier = "4k5s2 6k3 8k3"
[[job]]
data = "synthetic"
method = "best"
budget = 9_000
selector = "4k5s2 4k3"
classifier = "6k3"
classifiers = 3
start = 1
aggregate = [2]
exit = true
[[job]]
data = "synthetic"
method = "exit"
budget = [20_000]
family = "exit"
count = 2
fit = { epochs = 1 }
"""

SHORT = """
[job.config]
strong = { widths = [8, 8], kernels = [9, 9], hidden = 16, schedule = { epochs = 1, lr = 0.01, batch = 32 } }
classifiers = { epochs = 2, lr = 0.02 }
selector = { epochs = 1, lr = 0.02 }
adversarial = { rounds = 1, selector_epochs = 1, classifier_epochs = 1 }
"""
RECIPES = f"""
[data.synthetic]
file = "synthetic.npz"
split = "subject"
preset = "log-mel"
[[job]]
data = "synthetic"
method = "paper"
budget = 90_000
recipe = "paper"
{SHORT}
[[job]]
data = "synthetic"
method = "paper, no split, no aggregation"
budget = 9_000
recipe = "paper"
selector = "4k5 4k3 h8"
classifier = "4k5 4k3 h8"
classifiers = 3
ram = 800
{SHORT}
[job.config.splitting]
by = "none"
[[job]]
data = "synthetic"
method = "baseline"
budget = 90_000
recipe = "plain"
{SHORT}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    save(synthetic.generate(subjects=6, activities=3, recordings=2, windows=4, window=64), folder / "synthetic.npz")
    (folder / "sweep.toml").write_text(SWEEP)
    return folder


@pytest.fixture(scope="module")
def out(folder: Path) -> Path:
    """The folder of a sweep that ran in this process, one job after the other."""
    content, out = sweepfile.read(folder / "sweep.toml"), folder / "out"
    (out / "results").mkdir(parents=True)
    for job in content.jobs:
        key, ok = sweep.run_one(content, job, folder, out, 0)
        assert ok, (out / "results" / f"{key}.error").read_text()
    return out


def test_every_job_leaves_a_result_and_a_model(folder: Path, out: Path) -> None:
    content = sweepfile.read(folder / "sweep.toml")
    assert sweep.pending(content, out) == []
    rows = sweep.results(out)
    found = [(row["method"], row["seed"]) for row in rows]
    assert found == [(method, seed) for method in ("best", "exit", "wide") for seed in (0, 1)]
    (search,) = (out / "searches").glob("*.json")  # one for both seeds
    trials = json.loads(search.read_text())["trials"]
    assert [trial["epochs"] for trial in trials] == pytest.approx([0.8, 0.3, 0.3])
    for row in rows:
        model, arrangement = read_model(out / "models" / f"{row['key']}.dtm")
        searched = NetworkSpec.from_dict(trials[0]["network"])
        shape = {"wide": content.jobs[0].spec((64, 6, 3)), "exit": searched}.get(row["method"])
        assert shape in (None, model.spec)
        assert arrangement.arena_size == row["arena_bytes"]
        assert sum(map(sum, row["confusion"])) == row["test"]["windows"]
        assert row["test"]["macs"] <= row["worst_macs"]
        assert row["curve"]
    assert len(list((out / "pools").glob("*.pt"))) == 1  # shared by all six


def test_recipes_of_the_training_package_are_jobs_too(folder: Path, tmp_path: Path) -> None:
    content = sweepfile.parse(tomllib.loads(RECIPES))
    paper, ablated, baseline = (jobs.run_job(content, job, folder, tmp_path) for job in content.jobs)
    assert paper["shape"] == "8k5 8k5 4k3 h64; 6 x 8k5 8k5 4k3 h64 (from 0, sees 1+2)"
    assert baseline["shape"] == "16k5 16k5 8k3 h64"
    assert ablated["shape"] == "4k5 4k3 h8; 3 x 4k5 4k3 h8 (from 0)" and ablated["arena_bytes"] <= 800
    assert paper["config"]["adversarial"]["rounds"] == 1 and paper["config"]["adversarial"]["selector_epochs"] == 1
    assert paper["chosen"]["stage"] in ("selector", "adversarial")
    assert ablated["config"]["splitting"]["by"] == "none"
    for row in (paper, ablated, baseline):
        assert read_model(tmp_path / "models" / f"{row['key']}.dtm")[1].arena_size == row["arena_bytes"]
        assert row["curve"] and row["test"]["int8"] > 0.3
        assert row["plans"] == sorted(row["plans"])
    known = paper["test"]["routing"]
    assert known["union"] == pytest.approx(paper["test"]["union"])
    assert known["union"] * known["selector"] == pytest.approx(paper["test"]["float"])
    assert known["union"] * (1 + 5 * known["overlap"]) / 6 == pytest.approx(sum(known["accuracy"]) / 6)
    found = sum(share * (right or 0) for share, right in zip(known["load"], known["routed_accuracy"], strict=True))
    assert found == pytest.approx(paper["test"]["float"])
    assert baseline["test"]["routing"] is None
    assert not list((tmp_path / "checkpoints").iterdir())


def test_the_policy_of_the_device_gives_the_same_figures(folder: Path, out: Path) -> None:
    row = next(row for row in sweep.results(out) if row["method"] == "best")
    model = Model(read_model(out / "models" / f"{row['key']}.dtm")[0])
    dataset, _ = jobs.load_parts(sweepfile.read(folder / "sweep.toml").data["synthetic"], folder)
    index = dataset.part(TEST)
    windows = route.quantized_windows(model, dataset, index)
    margin, second = row["margins"]["early"], row["margins"]["second"]
    policy = parse_policy(f"early({1e9 if margin is None else margin}, {second or 0.0})")
    decisions = route.decide(policy, model, windows)
    assert (decisions.label == dataset.y[index]).mean() == pytest.approx(row["test"]["int8"])
    assert route.Costs.of_macs(model).mean(decisions) == pytest.approx(row["test"]["macs"])
    assert (decisions.classifier == -1).mean() == pytest.approx(row["test"]["exits"])


def test_the_same_job_gives_the_same_numbers(folder: Path, out: Path, tmp_path: Path) -> None:
    content = sweepfile.read(folder / "sweep.toml")
    job = next(job for job in content.jobs if job.method == "best" and job.seed == 1)
    again = jobs.run_job(content, job, folder, tmp_path)
    before = json.loads(sweep.result_file(out, content.key(job)).read_text())
    for key in ("test", "validation", "margins", "confusion"):
        assert json.loads(json.dumps(again[key])) == before[key]


def test_a_kept_network_is_scored_without_training(
    folder: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(jobs, "fit", fail)
    content = sweepfile.read(folder / "sweep.toml")
    (tmp_path / "networks").symlink_to(out / "networks")
    for job in content.jobs[:2]:
        again = json.loads(json.dumps(jobs.run_job(content, job, folder, tmp_path)))
        before = json.loads(sweep.result_file(out, content.key(job)).read_text())
        assert again["seconds"].pop("training") == before["seconds"].pop("training")
        assert again | {"seconds": {}} == before | {"seconds": {}}


def test_a_failed_job_costs_the_others_nothing(folder: Path, out: Path) -> None:
    content = sweepfile.read(folder / "sweep.toml")
    wrong = replace(content.jobs[0], classifier="4k31 6k31 8k31", seed=7)
    key, ok = sweep.run_one(content, wrong, folder, out, 0)
    assert not ok
    error = out / "results" / f"{key}.error"
    assert "too few for kernel" in error.read_text()
    assert len(sweep.pending(replace(content, jobs=(*content.jobs, wrong)), out)) == 1
    assert len(sweep.results(out)) == 6
    error.unlink()


def test_processes_do_what_one_process_does(folder: Path, out: Path, tmp_path: Path) -> None:
    content = sweepfile.read(folder / "sweep.toml")
    content = replace(content, jobs=content.jobs[:1])
    (tmp_path / "pools").symlink_to(out / "pools")
    seen = []
    assert sweep.run(content, folder, tmp_path, processes=1, report=lambda key, ok: seen.append((key, ok))) == 0
    key = content.key(content.jobs[0])
    assert seen == [(key, True)]
    ours, theirs = (json.loads(sweep.result_file(at, key).read_text()) for at in (tmp_path, out))
    assert ours["test"] == theirs["test"]
    assert sweep.run(content, folder, tmp_path, processes=1) == 0  # nothing left to do


def test_report_is_one_self_contained_page(out: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    report_cli.add(app)
    files = {name: tmp_path / name for name in ("page.html", "summary.json", "tables.md")}
    arguments = [str(out), "-o", str(files["page.html"]), "--json", str(files["summary.json"])]
    result = CliRunner().invoke(app, [*arguments, "--markdown", str(files["tables.md"])])
    assert result.exit_code == 0, result.output
    page = files["page.html"].read_text()
    assert page.count("data:image/png;base64,") == 7
    assert not re.search(r"(src|href)=['\"](?!data:)", page)
    keys = {"data", "split", "method", "metric", "mean", "sd", "seeds", "macs", "arena_bytes", "flash_bytes"}
    entries = json.loads(files["summary.json"].read_text())
    assert entries and all(keys <= set(entry) for entry in entries)
    text = files["tables.md"].read_text()
    assert "best against the best rival, wide" in text and "| best | 9 k | 0 |" in text
    routed = next(e for e in entries if e["method"] == "best" and e["metric"] == "float routed")
    union = next(e for e in entries if e["method"] == "best" and e["metric"] == "float union")
    assert routed["mean"] <= union["mean"]


def test_a_tree_chooses_in_the_place_of_the_selector(folder: Path, out: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    sweep_cli.add(app)
    shutil.copytree(out, tmp_path / "out")
    arguments = ["tree", str(folder / "sweep.toml"), "-o", str(tmp_path / "out"), "--data-folder", str(folder)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    rows = [row for row in sweep.results(tmp_path / "out") if row["method"] == "tree router"]
    assert [row["seed"] for row in rows] == [0, 1]
    dataset, _ = jobs.load_parts(sweepfile.read(folder / "sweep.toml").data["synthetic"], folder)
    for row in rows:
        key = row["key"].removesuffix("-tree")
        before = json.loads(sweep.result_file(out, key).read_text())
        model = Model(read_model(out / "models" / f"{key}.dtm")[0])
        assert row["test"]["selector"] == before["test"]["int8"]
        assert row["test"]["macs"] > before["test"]["macs"] and row["test"]["exits"] == before["test"]["exits"]
        for part, figures in ((VALIDATION, row["validation"]), (TEST, row["test"])):
            index = dataset.part(part)
            policy = parse_policy(str(tmp_path / "out" / "models" / f"{row['key']}.py"))
            decisions = route.decide(policy, model, route.quantized_windows(model, dataset, index))
            assert (decisions.label == dataset.y[index]).mean() == pytest.approx(figures["int8"])
        if not isinstance(row["tree_board"], str):
            assert row["tree_board"]["differing"] == 0 and row["tree_board"]["instructions"] > 0
    assert "0 trees" in CliRunner().invoke(app, arguments).output


def test_a_tree_learns_who_is_right() -> None:
    """Two features; classifier 2 is right where the second is large, classifier 0 else; windows that all get teach
    nothing, however many they are."""
    rng = np.random.default_rng(0)
    x = rng.integers(-1000, 1000, (600, 2)).astype(np.int16)
    right = np.zeros((600, 3), bool)
    right[x[:, 1] > 300, 2] = right[x[:, 1] <= 300, 0] = True
    right[300:] = True
    router = tree.learn(x, right, lambda found: float(right[np.arange(600), found.predict(x)].mean()))
    assert router.validation > 0.99 and router.tree.get_n_leaves() == 2
    assert tree.learn(x, np.ones((600, 3), bool), lambda found: 1.0).choose(x).tolist() == [0] * 600


def test_every_model_is_measured_on_the_simulated_board(out: Path, tmp_path: Path) -> None:
    if missing := missing_tools():
        pytest.skip(f"not installed: {', '.join(missing)}")
    app = typer.Typer()
    bench_cli.add(app)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results").symlink_to(out / "results")
    (tmp_path / "out" / "models").symlink_to(out / "models")
    arguments = ["bench", "models", str(tmp_path / "out"), "--json", str(tmp_path / "board.json")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    measured = json.loads((tmp_path / "board.json").read_text())
    rows = onboard.merged(tmp_path / "out", sweep.results(tmp_path / "out"))
    assert len(measured) == len(rows)
    for row in rows:
        board = measured[row["key"]]
        assert board == row["board"] and board["arena_bytes"] == row["arena_bytes"]
        again = row["test"]["runs"] * board["classify"]
        assert board["instructions"] == pytest.approx(board["load"] + board["select"] + again, abs=1)
        assert 0.2 < board["instructions"] / row["test"]["macs"] < 20
    assert onboard.pending(tmp_path / "out") == []


def test_an_ensemble_is_a_job(folder: Path, out: Path, tmp_path: Path) -> None:
    (tmp_path / "pools").symlink_to(out / "pools")
    content = sweepfile.read(folder / "sweep.toml")
    job = replace(content.jobs[0], method="ensemble", classifier="3k5s2 4k3", classifiers=2)
    row = jobs.run_job(content, job, folder, tmp_path)
    assert row["shape"] == "2 x 3k5s2 4k3" and row["test"]["routing"] is None
    assert row["test"]["macs"] == row["worst_macs"]


def test_a_search_may_cross_validate(folder: Path, tmp_path: Path) -> None:
    text = SWEEP.replace("views = 2", "views = 2\nfolds = 2")
    content = sweepfile.parse(tomllib.loads(text))
    job = next(job for job in content.jobs if job.family)
    _, parts = shared.load_parts(content.data["synthetic"], folder)
    found = shared.ensure_folds(content.data["synthetic"], folder, tmp_path / "pools")
    assert sum(len(fold.held) for fold in found) == len(parts.train) + len(parts.validation)
    for fold in found:
        assert fold.pool.windows + len(fold.held) == len(parts.train) + len(parts.validation)
        real = fold.pool.x[: fold.pool.windows].float() * fold.pool.std[:, None] + fold.pool.mean[:, None]
        assert torch.cdist(real.flatten(1), fold.held.x.flatten(1)).min() > 0.1  # no window on both sides
    trials = shared.ensure_search(content, job, folder, tmp_path)
    assert len(trials) == 3 and all(trial["macs"] <= job.budget for trial in trials)
    windows = len(parts.train) + len(parts.validation)
    assert all(abs(trial["value"] * windows - round(trial["value"] * windows)) < 0.01 for trial in trials)
    kept = [json.loads(file.read_text()) for file in (tmp_path / "pools").glob("*.json")]
    assert len(kept) == 2 and all(set(figures) == {"held"} for figures in kept)  # test windows are not looked at


def test_search_command(folder: Path, out: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    sweep_cli.add(app)
    trials = tmp_path / "trials.json"
    arguments = ["search", str(folder / "sweep.toml"), "synthetic", "--max-macs", "9000", "--max-ram", "900"]
    arguments += ["--method", "wide", "--method", "routed", "--count", "3", "--epochs", "1", "-o", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--data-folder", str(folder), "--json", str(trials)])
    assert result.exit_code == 0, result.output
    found = json.loads(trials.read_text())
    assert {trial["method"] for trial in found} == {"wide", "routed"} and len(found) == 8
    assert all(trial["macs"] <= 9000 and trial["arena_bytes"] <= 900 for trial in found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sedes = [1]", "unknown key sedes"),
        ("seeds = []", "expected a list of integers"),
        ('[[job]]\ndata = "x"', "data is 'x'"),
        (SWEEP + "colour = 1", "unknown key colour"),
        (
            SWEEP.replace('preset = "motion"', "").replace("views = 2", 'views = "2"'),
            "views is '2', expected an integer",
        ),
        (SWEEP.replace("views = 2", 'preset = "taste"'), "preset is 'taste'"),
        (SWEEP.replace("epochs = 2\nbatch", "epohcs = 2\nbatch"), "unknown key epohcs"),
        (SWEEP.replace("budget = 9_000\n", "", 1), "budget"),
        (SWEEP.replace('classifier = "4k5s2 6k3 8k3"\n', ""), "expected one of classifier, family"),
        (SWEEP.replace('family = "exit"', 'family = "exodus"'), "family is 'exodus'"),
        (RECIPES.replace('recipe = "plain"', 'recipe = "plane"'), "recipe is 'plane'"),
        (RECIPES.replace('by = "none"', 'by = "luck"'), "splitting.by is 'luck'"),
    ],
)
def test_mistakes_in_a_sweep_file_are_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(text)
    with pytest.raises(DitmosError, match=re.escape(message)):
        sweepfile.read(file)
