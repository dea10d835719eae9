"""`ditmos plan`: what it writes, prints and refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from ditmos.bench import golden
from ditmos.bench.golden_forests import linear_model
from ditmos.cli import plan as command
from ditmos.errors import DitmosError
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import write_model
from ditmos.planner import feed_of, front, whole_plan
from ditmos.planner.price import summary_price
from typer.testing import CliRunner

BRANCH = BranchSpec((ConvSpec(4, 5), ConvSpec(3, 3)), (6,))
SPEC = NetworkSpec(40, 2, 4, 3, BRANCH, BRANCH, aggregate=(1,))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.dtm"
    write_model(path, golden.random_model(np.random.default_rng(0), SPEC), whole_plan(SPEC))
    return path


def run(*arguments: object) -> str:
    app = typer.Typer()
    command.add(app)
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_shows_and_leaves_the_file_alone(model: Path) -> None:
    before = model.read_bytes()
    assert "unsliced" in run(model)
    assert model.read_bytes() == before


def test_tells_what_features_take_beside_the_network(tmp_path: Path) -> None:
    path = tmp_path / "linear.dtm"
    made = linear_model(np.random.default_rng(4), most_window=64)
    write_model(path, made, whole_plan(made.spec, feed=feed_of(made)))
    front = made.front_end
    price = summary_price(front.summary, front.features_rows, front.row_channels)
    assert f"about {round(price):,} instructions for the features of a window" in " ".join(run(path).split())


def test_puts_the_chosen_plan_into_the_file(model: Path, tmp_path: Path) -> None:
    other, figures, picture = tmp_path / "other.dtm", tmp_path / "plan.json", tmp_path / "plan.png"
    before, _ = read_model(model)
    run(model, "--fastest", "-o", other, "--json", figures, "--plot", picture)
    data = json.loads(figures.read_text())
    after, plan = read_model(other)
    assert plan.arena_size == data["chosen"]["arena_bytes"] == data["front"][-1]["arena_bytes"]
    assert [b["name"] for b in data["baselines"]] == ["unsliced", "without aggregation"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    x = golden.random_windows(np.random.default_rng(1), SPEC, 5)
    assert np.array_equal(Model(before).classify_batch(x), Model(after).classify_batch(x))
    smallest = data["front"][0]["arena_bytes"]
    run(other, "--ram", smallest + 1)
    assert read_model(other)[1].arena_size == smallest


def test_refuses(model: Path) -> None:
    with pytest.raises(DitmosError, match="the smallest needs"):
        run(model, "--ram", 10)
    with pytest.raises(DitmosError, match="exclude"):
        run(model, "--ram", 1000, "--fastest")
    with pytest.raises(DitmosError, match="--output needs"):
        run(model, "-o", "x.dtm")
    with pytest.raises(DitmosError, match="cannot be read"):
        run(model.with_name("none.dtm"))


@pytest.mark.parametrize(
    ("policy", "margins", "most"),
    [("fallback", (8,), 2), ("early", (256, 4), 2), ("vote", (), 3), ("average", (), 3), ("budgeted", (1, 10, 8), 2),
     ("top1", (), 1), ("sticky", (16,), 1), ("early", (32, 0), 1), ("early", (32,), 1), ("vote", (1,), 1),
     ("mine", (), 1)],
)  # fmt: skip
def test_a_policy_that_asks_twice_gets_no_plan_for_once(
    tmp_path: Path, policy: str, margins: tuple[int, ...], most: int
) -> None:
    made = golden.random_model(np.random.default_rng(0), SPEC)
    own = replace(made, use=replace(made.use, policy=policy, margins=margins))
    path = tmp_path / "model.dtm"
    write_model(path, own, whole_plan(SPEC))
    before = path.read_bytes()
    smallest = next(c for c in front(SPEC, own, once=True) if c.plan.once)
    arguments = [path, "--once", "--ram", smallest.arena]
    if most == 1:
        run(*arguments)
        assert read_model(path)[1].once
        return
    with pytest.raises(DitmosError, match=rf"policy {policy} asks up to {most} classifiers of a window"):
        run(*arguments)
    assert path.read_bytes() == before
