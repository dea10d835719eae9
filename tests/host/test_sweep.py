"""The whole path from a sweep file to the report on the synthetic set, small; what is resumed and what failed."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from ditmos.bench.baremetal import missing_tools
from ditmos.cli import application
from ditmos.errors import DitmosError
from ditmos.model.reader import read_model
from ditmos.model.spec import NetworkSpec
from ditmos.model.use import Rule
from ditmos.study import counted, onboard, page, sweep, sweepfile
from ditmos.study import job as jobs
from small_sweep import WIDE, sweep_text, write_sweep
from typer.testing import CliRunner

PAPER = """
paper.classifiers = { epochs = 1, lr = 0.02 }
paper.selector = { epochs = 1, lr = 0.02 }
paper.strong = { widths = [8, 8], kernels = [9, 9], hidden = 16, schedule = { epochs = 1, lr = 0.01 } }
paper.adversarial = { rounds = 1, selector_epochs = 1, classifier_epochs = 1 }
"""
JOBS = """
[[job]]
data = "synthetic"
method = "best"
macs = 12_000
[job.settings.network]
selector = "4k5s2 4k3"
classifier = "6k3"
classifiers = 3
start = 1
aggregate = [2]
exit = true
[[job]]
data = "synthetic"
method = "exit"
macs = 12_000
settings.search = { count = 2, folds = 0, rounds = [0.5] }
[[job]]
data = "synthetic"
method = "paper, no split"
by = "paper"
macs = 90_000
seeds = [0]
settings.paper.splitting = { by = "none" }
settings.paper.network = { classifier = "4k5 4k3 h8", selector = "4k5 4k3 h8", classifiers = 3 }
[[job]]
data = "synthetic"
method = "specialists"
instructions = 25_000
seeds = [0]
settings.specialists = { count = 2, folds = 2, asked = 0.4 }
settings.network = { classifier = "4k5s2 6k3 8k3" }
[[job]]
data = "synthetic"
method = "forest first, exit"
by = "forest-first"
behind = { method = "exit", macs = 12_000 }
instructions = 25_000
seeds = [0]
[[job]]
data = "synthetic"
method = "forest"
macs = 12_000
seeds = [0]
"""
SWEEP = sweep_text(WIDE + JOBS, seeds=2, fit="epochs = 2, delta = 0.2", settings=PAPER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_sweep(folder, SWEEP)
    return folder


@pytest.fixture(scope="module")
def content(folder: Path) -> sweepfile.SweepFile:
    return sweepfile.read_sweep(folder / "sweep.toml")


@pytest.fixture(scope="module")
def out(folder: Path, content: sweepfile.SweepFile) -> Path:
    """The folder of a sweep that ran in this process, one job after the other."""
    out = folder / "out"
    out.mkdir()
    for job in content.jobs:
        key, ok = sweep.run_one(content, job, folder, out, 0)
        assert ok, sweep.error_file(out, key).read_text()
    return out


def test_every_job_leaves_a_run(content: sweepfile.SweepFile, out: Path) -> None:
    assert sweep.pending(content, out) == []
    rows = sweep.results(out)
    found = sorted((row["method"], row["seed"]) for row in rows)
    twice = [(method, seed) for method in ("best", "exit", "wide") for seed in (0, 1)]
    once = ("forest", "forest first, exit", "paper, no split", "specialists")
    assert found == sorted([*twice, *((method, 0) for method in once)])
    for row in rows:
        assert sum(map(sum, row["confusion"])) == row["test"]["windows"] and row["macs"] <= row["worst_macs"]
        assert row["predictions"].right.mean() == pytest.approx(row["test"].get("accuracy", row["int8"]))
        if "instructions" in row:
            assert row["instructions"] <= row["worst_instructions"] >= row["p95_instructions"]
        if row["method"] == "specialists":
            assert read_model(out / row["key"] / "model.dtm")[0].use.rule == Rule.VOTES
        elif row["method"] == "forest first, exit":
            shown = next(other for other in rows if (other["method"], other["seed"]) == ("exit", 0))
            assert row["shape"].endswith(shown["shape"]) and row["behind"] == str(out / shown["key"])
        elif row["method"] != "forest":
            model, plan = read_model(out / row["key"] / "model.dtm")
            assert plan.arena_size == row["arena_bytes"] and row["curve"]
            assert model.spec == NetworkSpec.from_dict(row["network"])
    shapes = {(row["method"], row["shape"]) for row in rows}
    assert ("wide", "4k5s2 6k3 8k3") in shapes and len(shapes) == 7  # one search for both seeds
    assert ("paper, no split", "4k5 4k3 h8; 3 x 4k5 4k3 h8 (from 0)") in shapes
    assert len(list((out / "work").glob("pool-*/figures.pt"))) == 1  # shared by all seven
    assert len(list((out / "work").glob("search-*/trials.json"))) == 1


def test_a_job_is_what_the_command_does(folder: Path, content: sweepfile.SweepFile, out: Path, tmp_path: Path) -> None:
    """The same numbers with the same settings, with no sweep around."""
    job = next(job for job in content.jobs if job.method == "best" and job.seed == 1)
    request = content.request(job, folder)
    row = jobs.train(request, tmp_path / "run", jobs.learn)
    before = json.loads(sweep.result_file(out, content.key(job)).read_text())
    for key in ("test", "validation", "margins", "confusion", "curve"):
        assert json.loads(json.dumps(row[key])) == before[key]


def test_a_failed_job_costs_the_others_nothing(folder: Path, content: sweepfile.SweepFile, out: Path) -> None:
    wrong = replace(content.jobs[0], settings={"network": {"classifier": "4k31 6k31 8k31"}}, seed=7)
    key, ok = sweep.run_one(content, wrong, folder, out, 0)
    assert not ok
    error = sweep.error_file(out, key)
    assert "too few for kernel" in error.read_text()
    assert len(sweep.pending(replace(content, jobs=(*content.jobs, wrong)), out)) == 1
    assert len(sweep.results(out)) == 10
    error.unlink()


def test_processes_do_what_one_process_does(
    folder: Path, content: sweepfile.SweepFile, out: Path, tmp_path: Path
) -> None:
    content = replace(content, jobs=content.jobs[:1])
    (tmp_path / "work").symlink_to(out / "work")
    seen = []
    assert sweep.run(content, folder, tmp_path, processes=1, report=lambda key, ok: seen.append((key, ok))) == 0
    key = content.key(content.jobs[0])
    assert seen == [(key, True)]
    ours, theirs = (json.loads(sweep.result_file(at, key).read_text()) for at in (tmp_path, out))
    assert ours["test"] == theirs["test"]
    assert sweep.run(content, folder, tmp_path, processes=1) == 0  # nothing left to do


def report(arguments: list[str], tmp_path: Path) -> tuple[str, list[dict], str]:
    files = {name: tmp_path / name for name in ("page.html", "summary.json", "tables.md")}
    options = [
        "-o",
        str(files["page.html"]),
        "--json",
        str(files["summary.json"]),
        "--markdown",
        str(files["tables.md"]),
        "--plots",
        str(tmp_path / "plots"),
    ]
    result = CliRunner().invoke(application(), ["report", *arguments, *options])
    assert result.exit_code == 0, result.output
    texts = {name: file.read_text() for name, file in files.items()}
    return texts["page.html"], json.loads(texts["summary.json"]), texts["tables.md"]


def test_report_is_one_self_contained_page(out: Path, tmp_path: Path) -> None:
    page, entries, text = report([str(out)], tmp_path)
    assert page.count("<svg") >= 7 and "<img" not in page
    assert not re.search(r"(src|href)=['\"](?!data:|#)", page)
    assert 'name="viewport"' in page.replace("'", '"') and "color-scheme: light dark" in page
    assert page.count("<table") == page.count("<div class=scroll>")  # every table scrolls by itself
    for head in re.findall(r"<tr>((?:<th>.*?</th>)+)</tr>", page):
        assert "<th></th>" not in head
    keys = {"data", "split", "method", "metric", "int8", "seeds", "macs", "arena_bytes", "flash_bytes"}
    assert entries and all(keys <= set(entry) for entry in entries)
    assert "| best | exit |" in text and "pairs on the same windows" in text
    assert "best against the best rival" in text and "| best | 12 k MACs | seed 0 |" in text
    best = next(e for e in entries if e["method"] == "best")
    assert best["routed"]["mean"] <= best["union"]["mean"]
    drawn = [f"synthetic-{axis}.svg" for axis in ("flash", "instructions")]
    assert sorted(file.name for file in (tmp_path / "plots").iterdir()) == drawn
    assert (tmp_path / "plots" / drawn[1]).read_text().startswith("<svg")
    told = {(row["method"], *row["budget"].items()) for row in sweep.results(out) if "per_class" in row}
    assert page.count("<details>") == page.count("<summary>Classes of") == len(told) - 1 > 0  # one is unfolded


def test_report_of_one_training(out: Path, tmp_path: Path) -> None:
    run = next(row["key"] for row in sweep.results(out) if row["method"] == "best")
    page, entries, _ = report([str(out / run)], tmp_path)
    assert len(entries) == 1
    for said in ("Classes: best", "Who answers what", "learning curves", "confusion", "one classifier ends"):
        assert said in page
    assert "accuracy against macs" not in page  # one point is no picture


def test_folders_that_are_no_results(tmp_path: Path) -> None:
    with pytest.raises(DitmosError, match=r"no run\.json in it or in its folders"):
        page.gather([tmp_path])
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DitmosError, match="not what ditmos train writes"):
        page.gather([tmp_path])


def test_every_model_is_measured_on_the_simulated_board(out: Path, tmp_path: Path) -> None:
    if missing := missing_tools():
        pytest.skip(f"not installed: {', '.join(missing)}")
    result = CliRunner().invoke(application(), ["bench", "models", str(out), "--json", str(tmp_path / "board.json")])
    assert result.exit_code == 0, result.output
    measured = json.loads((tmp_path / "board.json").read_text())
    rows = [row for row in counted.merged(out, sweep.results(out)) if row["method"] != "forest"]
    assert len(rows) == 9
    for row in rows:
        assert row["board"]["instructions"] <= row["board"]["worst_instructions"] >= row["board"]["p95_instructions"]
        if row["method"] in ("specialists", "forest first, exit"):
            forest = row["cost"]["forest"]
            assert row["board"]["instructions"] >= round(forest["summary"] + forest["votes"])
            continue
        board = measured[row["key"]]
        assert board == row["board"] and board["arena_bytes"] == row["arena_bytes"]
        again = row["test"]["runs"] * board["classify"]
        assert board["features"] == 0  # the network reads rows
        assert board["instructions"] == pytest.approx(board["load"] + board["select"] + again, abs=1)
        network, estimated = board["select"] + again, row["instructions"]
        assert network == pytest.approx(estimated, rel=0.15)  # the planner's cost is what a board takes
    assert onboard.pending(out) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sedes = [1]", "unknown key sedes"),
        ("seeds = []", "expected a list of integers"),
        ('effort = "some"', "expected one of quick, normal, full"),
        ('[[job]]\ndata = "x"', "data is 'x', expected one of none"),
        (SWEEP + "colour = 1", "unknown key colour"),
        (SWEEP.replace("count = 2 }\nteachers", 'count = "2" }\nteachers'), "views.count is '2', expected an integer"),
        (SWEEP.replace("{ epochs = 2,", "{ epohcs = 2,"), "unknown key fit.epohcs"),
        (SWEEP.replace('split = "subject"', 'split = "person"'), "split is 'person', expected one of file"),
        (SWEEP.replace("macs = 12_000\n", "macs = -1\n", 1), "macs is -1, expected 0 or more"),
        (SWEEP.replace('method = "wide"', 'method = "a/b"\nby = "wide"'), "expected names without /"),
        (SWEEP.replace('by = "paper"', 'by = "book"'), "it is trained by 'book', expected by to be one of best"),
        (SWEEP.replace('"exit", macs = 12_000 }', '"exits" }'), "behind {'method': 'exits'} names 0 jobs on synthetic"),
        (SWEEP.replace('"exit", macs = 12_000 }', '"exit", mac = 1 }'), "unknown key behind.mac, expected method"),
        (SWEEP.replace('behind = { method = "exit", macs = 12_000 }', "behind = 3"), "behind is 3, expected"),
        (SWEEP.replace('by = "forest-first"', 'by = "wide"'), "behind is set, but wide asks no other network"),
        (
            SWEEP.replace('split = "subject"', 'split = "file"\nsplits = [1]'),
            "split is 'file', expected subject, group or",
        ),
        (
            SWEEP.replace('split = "subject"', 'split = "subject"\nsplits = [-1]'),
            "data.synthetic: splits is [-1], expected",
        ),
        (
            SWEEP.replace('split = "subject"', 'split = "subject"\nsplits = [1]\nsettings.data.split_seed = 2'),
            "split_seed is set beside splits",
        ),
        (SWEEP + "split_seed = 3", "split_seed is set; expected seeds here, or splits at the data"),
        (SWEEP.replace('by = "paper"', 'by = "lines"'), "it is trained by 'lines', expected by to be"),
        (SWEEP + "settings.fit.epochs = 1", "forest has no settings"),
        (SWEEP.replace("settings.search = {", "settings.fit.delta = 0.1\nsettings.search = {"), "nothing to route"),
        ("data = 3", "data is 3, expected a table"),
        ("job = [3]", "job 1 is 3, expected a table"),
    ],
)
def test_mistakes_in_a_sweep_file_are_named(text: str, message: str) -> None:
    with pytest.raises(DitmosError, match=re.escape(message)):
        sweepfile.parse(tomllib.loads(text))


def test_methods_budgets_and_data_may_be_lists() -> None:
    parsed = sweepfile.parse(
        {"data": {"a": {"file": "a.npz"}, "b": {"file": "b.npz"}},
         "job": [{"data": ["a", "b"], "method": ["best", "wide"], "macs": [1000, 2000]}]}
    )  # fmt: skip
    found = [(job.data, job.method, job.macs) for job in parsed.jobs]
    assert found == [(data, method, macs) for data in "ab" for method in ("best", "wide") for macs in (1000, 2000)]
    assert len({parsed.key(job) for job in parsed.jobs}) == 8


def test_the_first_split_of_all_jobs_comes_first() -> None:
    parsed = sweepfile.parse(
        {"seeds": [0, 1], "data": {"a": {"file": "a.npz", "split": "subject", "splits": [3, 4]}},
         "job": [{"data": "a", "method": "wide", "macs": 1000},
                 {"data": "a", "method": "x", "by": "forest-first", "behind": {"method": "wide"}}]}
    )  # fmt: skip
    found = [(job.seed, job.split_seed, job.method) for job in parsed.jobs]
    assert found == [(seed, split, method) for seed in (0, 1) for split in (3, 4) for method in ("wide", "x")]
    for wide, other in zip(parsed.jobs[::2], parsed.jobs[1::2], strict=True):
        assert other.behind == parsed.key(wide)
        settings = parsed.request(other, Path("data")).settings
        assert settings and settings["data"]["split_seed"] == other.split_seed


def test_a_network_that_is_not_there_yet_is_missed(folder: Path, content: sweepfile.SweepFile, tmp_path: Path) -> None:
    job = next(job for job in content.jobs if job.behind)
    key, ok = sweep.run_one(content, job, folder, tmp_path, 0)
    assert (
        not ok and "whose network forest first, exit asks has no result" in sweep.error_file(tmp_path, key).read_text()
    )


def test_the_command_sums_up_what_is_done(folder: Path, out: Path, tmp_path: Path) -> None:
    arguments = [
        "sweep",
        str(folder / "sweep.toml"),
        "-o",
        str(out),
        "--data-folder",
        str(folder),
        "--only",
        "best|exit",
    ]
    result = CliRunner().invoke(application(), [*arguments, "--json", str(tmp_path / "summary.json")])
    assert result.exit_code == 0, result.output
    assert "synthetic, 12 k MACs: pairs on the same windows" in result.output and "wide" not in result.output
    best, *_ = entries = json.loads((tmp_path / "summary.json").read_text())
    assert {entry["method"] for entry in entries} == {"best", "exit", "forest first, exit"}
    assert [pair["method"] for pair in best["against"]] == ["exit"] and best["against"][0]["trainings"] == 2


@pytest.mark.parametrize("name", ["sweep", "forests", "tables"])
def test_the_files_of_the_results_parse(name: str) -> None:
    content = sweepfile.read_sweep(Path(__file__).parents[2] / f"docs/results/{name}.toml")
    assert len({content.key(job) for job in content.jobs}) == len(content.jobs) > 10
    for job in content.jobs:
        content.request(job, Path("data"))


def test_features_that_a_network_reads_are_counted(tmp_path: Path) -> None:
    (tmp_path / "linear").mkdir()
    board = {"features": 3000, "load": 900, "select": 10, "classify": 500, "arena_bytes": 1}
    counted.board_file(tmp_path, "linear").write_text(json.dumps(board))
    row = {"key": "linear", "test": {"runs": 1.0, "p95_runs": 1, "worst_runs": 1}}
    (found,) = counted.merged(tmp_path, [row])
    assert {found["board"][key] for key in ("instructions", "p95_instructions", "worst_instructions")} == {4410}
