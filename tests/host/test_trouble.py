"""What `data import` and `data info` find wrong in a set whose form is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.datasets import Dataset
from ditmos.datasets.drawing import draw
from ditmos.datasets.trouble import find_trouble
from ditmos.errors import DitmosError


@pytest.fixture
def sound() -> Dataset:
    """Nothing is wrong in it: 200 windows, three channels around 1 g."""
    x = np.random.default_rng(0).normal(size=(200, 50, 3)).astype(np.float32)
    x[..., 2] += 1
    x *= 0.3
    return Dataset(
        x=x,
        y=np.arange(200) % 4,
        subject=np.arange(200) // 40,
        group=np.arange(200) // 4,
        class_names=("a", "b", "c", "d"),
        channels=("ax", "ay", "az"),
        scale=1.0,
        units="",
        fs=50.0,
    )


def changed(sound: Dataset, **fields: object) -> list[str]:
    return find_trouble(replace(sound, **fields).check())


def test_a_sound_set_has_no_trouble(sound: Dataset) -> None:
    assert find_trouble(sound) == []


def test_channels(sound: Dataset) -> None:
    x = sound.x.copy()
    x[..., 1] = 0.5
    assert changed(sound, x=x) == ["channel ay is 0.5 everywhere: it tells nothing"]
    x = sound.x.copy()
    x[:60, :, 0] = 0.1
    assert changed(sound, x=x)[-1:] == ["channel ax does not change in 60 of 200 windows"]
    assert "channel az looks clipped" in changed(sound, x=np.minimum(sound.x, [9, 9, 0.35]).astype(np.float32))[0]
    x = sound.x.copy()
    x[3, 4, 2] = 1e6
    assert any("channel az has a glitch: 1e+06" in text for text in changed(sound, x=x))
    x = sound.x * np.float32([1, 1, 1e5])
    assert any("channels differ in size: az varies" in text for text in changed(sound, x=x))


def test_copies(sound: Dataset) -> None:
    x, split = sound.x.copy(), np.where(sound.subject == 4, 2, 0).astype(np.int8)
    x[199] = x[0]
    found = changed(sound, x=x, split=split)
    assert found[:3] == [
        "1 of 200 windows are copies of another one",
        "1 windows stand there under more than one class",
        "1 windows stand in training and in test",
    ]


def test_gravity_in_the_wrong_unit(sound: Dataset) -> None:
    still = np.zeros_like(sound.x) + np.random.default_rng(0).normal(size=sound.x.shape).astype(np.float32) * 0.01
    still[..., 2] += 1
    assert "looks like g, not m/s^2" in changed(sound, x=still, units="m/s^2")[0]
    assert "looks like m/s^2, not g" in changed(sound, x=still * np.float32(9.81), units="g")[0]
    assert not any("looks like" in text for text in changed(sound, x=still, units="g"))
    for names, unit in ((("x", "y", "z"), "g"), (("norm", "b", "c"), "g, V, V")):
        other = still[..., ::-1] if names[0] == "norm" else still
        assert "looks like m/s^2, not g" in " ".join(
            changed(sound, x=other * np.float32(9.81), channels=names, units=unit)
        )


def test_classes(sound: Dataset) -> None:
    y = np.where(np.arange(200) < 5, 3, np.arange(200) % 3)
    found = changed(sound, y=y)
    assert "class d has 5 windows" in found
    assert "1 classes are of one person only: d" in found
    assert "all windows are of class a" in changed(sound, y=np.zeros(200, int), class_names=("a",))


def test_splits(sound: Dataset) -> None:
    found = changed(sound, split=np.zeros(200, np.int8))
    assert found == ["the split has no validation window", "the split has no test window"]
    split = np.where(sound.y == 3, 2, np.where(sound.y == 2, 1, 0)).astype(np.int8)
    assert "2 classes are not in training: c, d" in changed(sound, split=split, group=np.arange(200))


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_picture(sound: Dataset, tmp_path: Path, suffix: str) -> None:
    draw(sound, tmp_path / f"x.{suffix}")
    assert (tmp_path / f"x.{suffix}").stat().st_size > 1000
    with pytest.raises(DitmosError, match="unknown kind of picture"):
        draw(sound, tmp_path / "x.doc")
