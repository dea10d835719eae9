"""Configurations: TOML in, frozen values out, everything wrong named."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path

import pytest
from ditmos.errors import DitmosError
from ditmos.model.spec import reference_spec
from ditmos.training import config as configuration
from ditmos.training.config import from_dict, from_toml, load, merge, names
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MINIMAL = {"network": {"classifier": {"convs": [{"channels": 8, "kernel": 5}]}}}


def test_shipped_configurations() -> None:
    assert names() == ["activity", "keywords", "workload"]
    for name in names():
        for profile in (None, "quick"):
            config = load(name, profile)
            assert from_toml(config.to_toml(), name) == config
            assert config.task == name


def test_activity_is_the_authors_set_up() -> None:
    config = load("activity")
    assert config.network.spec(151, 3, 17) == reference_spec()
    assert (config.strong.widths, config.strong.kernels) == ((64, 64, 32, 32, 32, 16), (15, 13, 9, 9, 5, 5))
    schedules = (config.strong.schedule, config.classifiers, config.selector, config.adversarial.schedule)
    assert [s.lr for s in schedules] == [0.005, 0.01, 0.01, 0.001]
    assert [s.epochs for s in schedules[:3]] == [50, 30, 20]
    assert [s.every for s in schedules] == [20, 6, 8, 30] and schedules[0].factor == 0.2
    assert all(s.batch == 8 and s.optimizer == "sgd" and s.weight_decay == 1e-4 for s in schedules)
    adversarial = config.adversarial
    assert (adversarial.rounds, adversarial.selector_epochs, adversarial.classifier_epochs) == (40, 6, 6)
    assert (adversarial.union, adversarial.overlap, adversarial.single, adversarial.selection) == (0.1, 0.03, 0.1, 1.0)
    assert config.splitting.n_init == 50 and config.recipe == "paper"


def test_digest_is_of_the_meaning() -> None:
    base = from_dict(MINIMAL)
    assert from_dict(MINIMAL | {"seed": 0}).digest == base.digest  # a default spelt out
    assert from_dict(MINIMAL | {"data": {"file": "elsewhere.npz"}}).digest == base.digest
    assert from_dict(MINIMAL | {"seed": 1}).digest != base.digest


def test_merge_is_deep() -> None:
    assert merge({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2, 3]}}) == {"a": {"b": 1, "c": [2, 3]}, "d": 2}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sed": 1}, "unknown key sed, expected one of network"),
        ({"network": {"kernels": 3}}, r"unknown key network\.kernels"),
        ({"network": {"classifier": {"convs": [{"channels": 8, "kernel": 5, "size": 1}]}}}, r"convs\[0\]\.size"),
        ({"network": {"classifier": {"convs": [{"channels": 8}]}}}, r"convs\[0\]\.kernel missing"),
        ({"seed": "one"}, "seed is 'one', expected an integer"),
        ({"seed": True}, "seed is True, expected an integer"),
        ({"data": {"test": "a fifth"}}, r"data\.test is 'a fifth', expected a number"),
        ({"data": {"split": "day"}}, r"data\.split is 'day', expected one of file, subject, group, random"),
        ({"data": 3}, "data is 3, expected a table"),
        ({"network": {"aggregate": 1}}, r"network\.aggregate is 1, expected a list"),
        ({"classifiers": {"epochs": 1, "lr": 0.1, "batch": 1}}, r"classifiers\.batch is 1, expected 2 or more"),
        ({"selector": {"epochs": -1, "lr": 0.1}}, r"selector\.epochs is -1"),
        ({"strong": {"widths": [8]}}, "widths and kernels differ in number"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_what_is_wrong_is_named(change: dict, message: str) -> None:
    with pytest.raises(DitmosError, match=message):
        from_dict(merge(MINIMAL, change))


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(configuration.load("activity").to_toml() + "\n[profiles.fast]\nseed = 7\n")
    assert load(path, "fast").seed == 7 and load(path).seed == 0
    assert load(path, "fast", {"seed": 8}).seed == 8
    with pytest.raises(DitmosError, match="no profile 'slow', expected one of fast"):
        load(path, "slow")
    with pytest.raises(DitmosError, match="no such configuration, expected a TOML file or one of activity, keywords"):
        load("motion")
    path.write_text("seed = = 3")
    with pytest.raises(DitmosError, match=r"mine\.toml: .*line 1"):
        load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DitmosError, match=r"mine\.toml"):
        load(path)


def test_settings_from_the_command_line() -> None:
    assert configuration.setting("data.split=random") == {"data": {"split": "random"}}
    assert configuration.setting("seed = 3") == {"seed": 3}
    assert configuration.setting("network.aggregate=[1, 2]") == {"network": {"aggregate": [1, 2]}}
    assert configuration.setting("data.file=a=b.npz") == {"data": {"file": "a=b.npz"}}
    for text in ("seed", "=3", "se ed=3"):
        with pytest.raises(DitmosError, match=f"setting '{text}'"):
            configuration.setting(text)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_damaged_files_raise_nothing_else(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    lines = load("activity").to_toml().splitlines()
    for _ in range(2):
        i = rng.randrange(len(lines))
        line = bytearray(lines[i].encode() or b"=")
        line[rng.randrange(len(line))] = rng.randrange(1, 256)
        lines[i] = rng.choice([line.decode("latin-1"), lines[rng.randrange(len(lines))], "-1", '"x"', "[]"])
    path = tmp_path / "damaged.toml"
    path.write_text("\n".join(lines), "utf-8")
    try:
        load(path).network.spec(151, 3, 5)
    except DitmosError as error:
        assert str(error)


def test_toml_is_toml() -> None:
    config = from_dict(MINIMAL | {"task": 'a "quoted" nämé\n', "classifiers": {"epochs": 1, "lr": 1e-7}})
    assert tomllib.loads(config.to_toml())["task"] == config.task
    assert from_toml(config.to_toml(), "again") == config
