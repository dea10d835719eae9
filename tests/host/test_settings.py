"""Settings: what the data ask for, what a file changes, what is refused; TOML there and back."""

from __future__ import annotations

import random
import tomllib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.cli import application
from ditmos.datasets import Dataset
from ditmos.datasets.kinds import kind_of
from ditmos.datasets.splits import split
from ditmos.datasets.synthetic import generate
from ditmos.errors import DitmosError
from ditmos.paper.config import PaperConfig, paper_config
from ditmos.training.choose import choose, choose_data, choose_split
from ditmos.training.settings import Settings, only_read
from ditmos.training.teachers import batch_for
from ditmos.training.typed_toml import convert, merge, read, render
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from typer.testing import CliRunner


def a_set(channels: int, fs: float, units: str, *, window: int = 64, alike: bool = False) -> Dataset:
    """Noise of 6 people; ``alike``: neighbouring channels follow each other."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, window, channels)).astype(np.float32)
    if alike:
        x = np.cumsum(x, axis=2).astype(np.float32)
    subject = np.arange(60) % 6
    names = tuple(f"c{i}" for i in range(channels))
    return Dataset(x, np.arange(60) // 6 % 2, subject, np.arange(60), ("a", "b"), names, 1.0, units, fs)


@pytest.mark.parametrize(
    ("dataset", "kind"),
    [
        (a_set(1, 16_000, "full scale"), "sound"),
        (a_set(1, 50, "g"), "other"),
        (a_set(3, 50, "g"), "motion"),
        (a_set(6, 50, "g, rad/s"), "motion"),
        (a_set(6, 16, "BVP a.u., EDA uS, TEMP degC, ACC g"), "other"),
        (a_set(16, 128, "uV"), "electrodes"),
        (a_set(16, 50, "ln(power)", alike=True), "bands"),
    ],
)
def test_the_kind_is_seen_in_the_data(dataset: Dataset, kind: str) -> None:
    assert kind_of(dataset)[0] == kind


def test_splits_by_what_can_be_kept_apart() -> None:
    made = a_set(3, 50, "g")
    assert choose_split(made)[0] == "subject"
    assert choose_split(replace(made, subject=np.zeros(60, int)))[0] == "group"
    assert choose_split(split(made, "subject"))[0] == "file"
    kind, why = choose_split(made.with_split(np.zeros(len(made), np.int8)))
    assert kind == "subject" and "that of the file is not used, it has no test window" in why
    with pytest.raises(DitmosError, match="expected 3 or more of either"):
        choose_split(replace(made, subject=np.zeros(60, int), group=np.zeros(60, int)))


def test_what_is_chosen_and_why() -> None:
    made = generate(subjects=12, activities=3, recordings=2, windows=3, window=64)
    data, kind, reasons = choose_data(made, None)
    assert (data.split, data.metric, kind) == ("subject", "accuracy", "motion") and len(reasons) == 2
    uneven = replace(made, y=np.where(np.arange(len(made)) % 10, 0, made.y))
    assert choose_data(uneven, None)[0].metric == "balanced"
    cut = split(made, "subject")
    normal, quick = (choose(cut, data, kind, effort, "best").settings for effort in ("normal", "quick"))
    assert normal.views.rotate == 40 and normal.search.count == 12 and normal.search.family == "routed-few"
    assert quick.search.count == 0 and quick.teachers.epochs <= normal.teachers.epochs
    windows = len(cut.part(0))
    assert quick.teachers.epochs * (windows // batch_for(windows, quick.teachers.batch)) >= 600, "enough steps"
    random_cut = split(made, "random")
    assert choose(random_cut, data, kind, "normal", "best").settings.views.rotate < 40
    few = cut.with_split(np.where(cut.subject < 2, cut.subject, 2).astype(np.int8))  # one trains, one validates
    alone = cut.with_split(np.where(cut.subject, 2, np.arange(len(cut)) % 2).astype(np.int8))
    assert [choose(s, data, kind, "normal", "best").settings.search.folds for s in (cut, few, alone)] == [4, 2, 0]
    wide = choose(cut, data, kind, "normal", "wide").settings
    assert wide.family("wide") == "wide"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"colour": 1}, "unknown key colour"),
        ({"fit": {"epohcs": 1}}, "unknown key fit.epohcs"),
        ({"fit": {"epochs": 0}}, "fit.epochs is 0.0, expected a number above 0"),
        ({"fit": {"batch": 1}}, "fit.batch is 1, expected 2 or more"),
        ({"fit": {"mixture": [0.6, 0.2]}}, "fit.mixture is [0.6, 0.2], expected fractions"),
        ({"fit": {"lr": float("nan")}}, "fit.lr is nan, expected a number above 0"),
        ({"views": {"count": 0}}, "views.count is 0, expected 1 or more"),
        ({"views": {"mixed": 1.5}}, "views.mixed is 1.5, expected 0 to 1"),
        ({"teachers": {"planar": 3}}, "teachers.planar is 3, expected at most 2"),
        ({"search": {"folds": 1}}, "search.folds is 1, expected 0, or 2 or more"),
        ({"search": {"rounds": []}}, "search.rounds is [], expected fractions"),
        ({"search": {"family": "exodus"}}, "family is 'exodus', expected one of wide"),
        ({"data": {"split": "person"}}, "data.split is 'person', expected one of file"),
        ({"int8": {"clips": []}}, "int8.clips is [], expected one rule or more"),
        ({"fit": 3}, "fit is 3, expected a table"),
        ({"views": {"shift": -1}}, "views.shift is -1, expected 0 or more"),
        ({"teachers": {"widths": [8]}}, "expected an odd number for each of 1 widths"),
        ({"teachers": {"kernels": [9, 7, 4, 3]}}, "teachers.kernels is [9, 7, 4, 3], expected an odd number"),
        ({"teachers": {"planes": [0]}}, "teachers.planes is [0], expected 1 or more each"),
        ({"specialists": {"asked": 0}}, "specialists.asked is 0.0, expected above 0, to 1"),
    ],
)
def test_what_is_wrong_is_named(content: dict, message: str) -> None:
    with pytest.raises(DitmosError) as caught:
        Settings().changed(content, "best", "mine.toml")
    assert str(caught.value).startswith("mine.toml: ") and message in str(caught.value)


def test_shared_settings_reach_only_those_who_read_them() -> None:
    shared = {"fit": {"epochs": 9.0, "delta": 0.2, "exit": 0.1}, "paper": {"dropout": 0.1}, "threads": 1}
    assert only_read(shared, "wide") == {"fit": {"epochs": 9.0}, "paper": {}, "threads": 1}
    assert only_read(shared, "exit") == {"fit": {"epochs": 9.0, "exit": 0.1}, "paper": {}, "threads": 1}
    assert only_read(shared, "best")["fit"] == shared["fit"]
    assert only_read(shared, "paper") == {"fit": {}, "paper": {"dropout": 0.1}, "threads": 1}


def test_settings_there_and_back() -> None:
    wanted = Settings().changed({"fit": {"epochs": 3}, "search": {"family": "exit"}}, "best", "x")
    text = render(asdict(wanted))
    assert convert(tomllib.loads(text), Settings, "again") == wanted
    assert wanted.digest != Settings().digest
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}


@limits(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_damaged_files_raise_nothing_else(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    lines = render(asdict(Settings())).splitlines()
    for _ in range(2):
        i = rng.randrange(len(lines))
        line = bytearray(lines[i].encode() or b"=")
        line[rng.randrange(len(line))] = rng.randrange(1, 256)
        lines[i] = rng.choice([line.decode("latin-1"), lines[rng.randrange(len(lines))], "-1", '"x"', "[]"])
    path = tmp_path / "damaged.toml"
    path.write_text("\n".join(lines), "utf-8")
    try:
        Settings().changed(read(path), "best", str(path))
    except DitmosError as error:
        assert str(error)


def test_the_settings_that_are_printed_are_the_defaults() -> None:
    printed = CliRunner().invoke(application(), ["train", "--settings"])
    content = tomllib.loads(printed.stdout)
    assert paper_config(content.pop("paper")) == PaperConfig()
    assert Settings().checked(content, "printed") == Settings()
    assert "[views]\ncount = 24\n" in printed.stdout and "# rotate: largest angle in degrees" in printed.stdout
