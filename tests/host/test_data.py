"""Datasets: file, checks, splits, synthetic generator, the command line."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.cli import data as data_cli
from ditmos.datasets import TEST, TRAIN, VALIDATION, Dataset, load, save
from ditmos.datasets.splits import folds, split
from ditmos.datasets.synthetic import MAX_ACTIVITIES, generate
from ditmos.errors import DitmosError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def synthetic() -> Dataset:
    return generate(subjects=10, activities=5, recordings=3, windows=2, window=64, seed=1)


def small(**changes: object) -> Dataset:
    base = Dataset(
        x=np.arange(6 * 4 * 2, dtype=np.int16).reshape(6, 4, 2),
        y=np.array([0, 1, 2, 0, 1, 2]),
        subject=np.array([0, 0, 0, 1, 1, 1]),
        group=np.array([0, 0, 1, 2, 3, 4]),
        class_names=("a", "b", "c"),
        channels=("u", "v"),
        scale=0.5,
        units="g",
        fs=50.0,
    )
    return replace(base, **changes)


def arrays(dataset: Dataset) -> dict[str, np.ndarray]:
    return {
        "x": dataset.x,
        "y": dataset.y,
        "subject": dataset.subject,
        "group": dataset.group,
        "class_names": np.array(dataset.class_names),
        "channels": np.array(dataset.channels),
        "scale": np.float32(dataset.scale),
        "units": np.str_(dataset.units),
        "fs": np.float32(dataset.fs),
    }


def test_file_round_trip(tmp_path: Path) -> None:
    dataset = small(split=np.array([0, 0, 0, 1, 2, 2], np.int8))
    again = load(save(dataset, tmp_path / "dataset.npz"))
    for field in ("x", "y", "subject", "group", "split"):
        np.testing.assert_array_equal(getattr(again, field), getattr(dataset, field))
        assert getattr(again, field).dtype == getattr(dataset, field).dtype
    assert (again.class_names, again.channels, again.scale, again.units, again.fs) == (
        ("a", "b", "c"),
        ("u", "v"),
        0.5,
        "g",
        50.0,
    )
    assert again.sha256 == dataset.sha256


def test_real_windows_are_channel_first_in_units() -> None:
    real = small().real([1])
    assert real.shape == (1, 2, 4) and real.dtype == np.float32
    np.testing.assert_array_equal(real[0, 1], np.array([9, 11, 13, 15]) * 0.5)


@pytest.mark.parametrize("key", ["x", "y", "scale", "class_names", "group"])
def test_missing_key_is_named(tmp_path: Path, key: str) -> None:
    content = arrays(small())
    del content[key]
    np.savez(tmp_path / "d.npz", **content)
    with pytest.raises(DitmosError, match=f"{key} missing"):
        load(tmp_path / "d.npz")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"x": np.zeros((6, 8), np.int16)}, r"x has shape \(6, 8\), expected \(windows, time, channels\)"),
        ({"x": np.int16(3)}, r"x has shape \(\), expected \(windows, time, channels\)"),
        ({"x": np.zeros((6, 4, 2), np.complex64)}, "x has type complex64, expected int16 or float32"),
        ({"x": np.zeros((0, 4, 2), np.int16)}, "no empty axis"),
        ({"y": np.array([0, 1, 2, 0, 1, 3])}, r"y\[5\] is 3, expected 0 to 2"),
        ({"y": np.array([-1, 1, 2, 0, 1, 2])}, r"y\[0\] is -1"),
        ({"y": np.arange(3)}, r"y has shape \(3,\), expected \(6,\)"),
        ({"subject": np.zeros((6, 1), np.int64)}, r"subject has shape \(6, 1\)"),
        ({"split": np.array([0, 1, 0, 0, 2, 2], np.int8)}, "group 0 lies on both sides of the split"),
        ({"split": np.array([0, 0, 0, 1, 2, 3], np.int8)}, r"split\[5\] is 3"),
        ({"split": np.array([2, 2, 2, 2, 2, 2], np.int8)}, "no training window"),
        ({"class_names": ("a", "b", "a")}, "a name twice"),
        ({"channels": ("u",)}, "1 channels are named, expected 2"),
        ({"scale": 0.0}, "scale is 0.0"),
        ({"fs": float("nan")}, "fs is nan"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, changes: dict, message: str) -> None:
    dataset = small(**changes)
    content = arrays(dataset) | ({"split": dataset.split} if dataset.split is not None else {})
    np.savez(tmp_path / "d.npz", **content)
    with pytest.raises(DitmosError, match=message):
        load(tmp_path / "d.npz")
    with pytest.raises(DitmosError, match=message):
        save(dataset, tmp_path / "never.npz")
    assert not list(tmp_path.glob("*never*"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_found(value: float) -> None:
    x = np.zeros((6, 4, 2), np.float32)
    x[4, 1, 1] = value
    with pytest.raises(DitmosError, match=r"NaN or infinity in 1 windows, the first is \[4\]"):
        small(x=x).check()


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(DitmosError, match="no such file"):
        load(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("not a zip file")
    with pytest.raises(DitmosError, match=r"not a readable \.npz"):
        load(tmp_path / "text.npz")
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(DitmosError, match=r"not a readable \.npz"):
        load(tmp_path / "array.npy")
    np.savez(tmp_path / "object.npz", **(arrays(small()) | {"y": np.array([{}] * 6, dtype=object)}))
    with pytest.raises(DitmosError, match=r"y is an array of Python objects, save it as np\.array\(y, dtype=str\)"):
        load(tmp_path / "object.npz")
    np.savez(tmp_path / "floats.npz", **(arrays(small()) | {"y": np.full(6, 0.5)}))
    with pytest.raises(DitmosError, match="y has type float64, expected whole numbers"):
        load(tmp_path / "floats.npz")
    for key in ("units", "class_names"):
        np.savez(tmp_path / "empty.npz", **(arrays(small()) | {key: np.array([], str)}))
        with pytest.raises(DitmosError, match=f"{key} is empty"):
            load(tmp_path / "empty.npz")


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.int64, np.uint8, np.float16])
def test_windows_of_other_types_are_converted(tmp_path: Path, dtype: type) -> None:
    x = np.arange(6 * 4 * 2).reshape(6, 4, 2)
    np.savez(tmp_path / "d.npz", **(arrays(small()) | {"x": x.astype(dtype)}))
    dataset = load(tmp_path / "d.npz")
    assert dataset.x.dtype == (np.float32 if np.dtype(dtype).kind == "f" else np.int16)
    np.testing.assert_array_equal(dataset.x, x)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((6, 4, 2), 2**24 + 1), "whole numbers beyond 24 bits"),
        (np.full((6, 4, 2), -(2**40)), "whole numbers beyond 24 bits"),
        (np.full((6, 4, 2), 1e200), "numbers beyond float32"),
    ],
)
def test_a_conversion_that_would_change_a_value_is_refused(tmp_path: Path, x: np.ndarray, message: str) -> None:
    np.savez(tmp_path / "d.npz", **(arrays(small()) | {"x": x}))
    with pytest.raises(DitmosError, match=message):
        load(tmp_path / "d.npz")


def test_scale_and_units_may_be_one_a_channel(tmp_path: Path) -> None:
    own = {"scale": np.array([0.5, 1e-4]), "units": np.array(["g", "uS"])}
    np.savez(tmp_path / "d.npz", **(arrays(small()) | own))
    dataset = load(tmp_path / "d.npz")
    assert dataset.units == "g, uS" and dataset.channel_units == ("g", "uS") and dataset.scale == (0.5, 1e-4)
    assert dataset.x.dtype == np.int16
    np.testing.assert_array_equal(dataset.x, small().x)
    np.testing.assert_allclose(dataset.values([0, 2]), small().x[[0, 2]] * [0.5, 1e-4], rtol=1e-6)
    np.testing.assert_array_equal(dataset.real().transpose(0, 2, 1), dataset.values())
    again = load(save(dataset, tmp_path / "e.npz"))
    assert again.channel_units == ("g", "uS") and again.scale == dataset.scale and again.x.dtype == np.int16
    assert dataset.with_channels([1]).scale == 1e-4 and dataset.with_channels([1]).units == "uS"
    np.savez(tmp_path / "d.npz", **(arrays(small()) | {"scale": np.array([0.5, 0.5]), "units": np.array(["g", "g"])}))
    dataset = load(tmp_path / "d.npz")
    assert (dataset.scale, dataset.units, dataset.x.dtype) == (0.5, "g", np.int16)
    assert dataset.channel_units == ("g", "g")
    for wrong, message in (
        ({"scale": np.ones(3)}, r"scale has shape \(3,\)"),
        ({"scale": np.array([1.0, -1.0])}, "expected positive numbers"),
        ({"units": np.array(["g"] * 3)}, "units has 3 entries"),
    ):
        np.savez(tmp_path / "d.npz", **(arrays(small()) | wrong))
        with pytest.raises(DitmosError, match=message):
            load(tmp_path / "d.npz")


def test_labels_and_people_may_be_names(tmp_path: Path) -> None:
    names = {"y": np.array(["b", "c", "a", "b", "c", "a"]), "subject": np.array([b"ann", b"bob"] * 3)}
    np.savez(tmp_path / "d.npz", **(arrays(small()) | names | {"group": np.arange(6.0)}))
    dataset = load(tmp_path / "d.npz")
    np.testing.assert_array_equal(dataset.y, [1, 2, 0, 1, 2, 0])
    np.testing.assert_array_equal(dataset.subject, [0, 1] * 3)
    np.testing.assert_array_equal(dataset.group, np.arange(6))
    np.savez(tmp_path / "d.npz", **(arrays(small()) | {"y": np.array(["a", "z"] * 3)}))
    with pytest.raises(DitmosError, match="y has 'z', expected one of class_names: a, b, c"):
        load(tmp_path / "d.npz")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), cut=st.booleans())
def test_damaged_files_raise_nothing_else(tmp_path: Path, seed: int, cut: bool) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays(small()))
    raw, rng = bytearray(buffer.getvalue()), np.random.default_rng(seed)
    if cut:
        del raw[rng.integers(len(raw)) :]
    else:
        for position in rng.integers(len(raw), size=3):
            raw[position] ^= 1 << int(rng.integers(8))
    path = tmp_path / "damaged.npz"
    path.write_bytes(raw)
    try:
        load(path)
    except DitmosError as error:
        assert "damaged" in str(error)


@pytest.mark.parametrize("kind", ["subject", "group", "random"])
def test_splits_keep_units_whole_and_classes_in_proportion(synthetic: Dataset, kind: str) -> None:
    result = split(synthetic, kind, test=0.2, validation=0.25, seed=5)
    sizes = [len(result.part(i)) / len(result) for i in (TRAIN, VALIDATION, TEST)]
    np.testing.assert_allclose(sizes, [0.6, 0.2, 0.2], atol=0.05)
    for part in (TRAIN, VALIDATION, TEST):
        shares = np.bincount(result.y[result.part(part)], minlength=5) / len(result.part(part))
        np.testing.assert_allclose(shares, 0.2, atol=0.06)
    if kind != "random":
        units = getattr(result, kind)
        assert all(len(np.unique(result.split[units == u])) == 1 for u in np.unique(units))
    again = split(synthetic, kind, test=0.2, validation=0.25, seed=5)
    np.testing.assert_array_equal(result.split, again.split)
    assert (split(synthetic, kind, test=0.2, validation=0.25, seed=6).split != result.split).any()


def test_split_of_the_file_is_honoured(synthetic: Dataset) -> None:
    own = np.where(synthetic.subject < 3, TEST, np.where(synthetic.subject < 5, VALIDATION, TRAIN))
    np.testing.assert_array_equal(split(synthetic.with_split(own), "file").split, own)


def test_validation_is_cut_from_training_by_subject(synthetic: Dataset) -> None:
    own = np.where(synthetic.subject < 3, TEST, TRAIN)
    result = split(synthetic.with_split(own), "file", validation=0.3)
    np.testing.assert_array_equal(result.split == TEST, own == TEST)
    people = [set(result.subject[result.part(i)]) for i in range(3)]
    assert len(people[VALIDATION]) == 2 and not people[VALIDATION] & (people[TRAIN] | people[TEST])


def test_folds_hold_every_person_out_once(synthetic: Dataset) -> None:
    own = np.where(synthetic.subject < 3, TEST, np.where(synthetic.subject < 5, VALIDATION, TRAIN))
    parts = folds(synthetic.with_split(own), 3)
    held = np.stack([part.split == VALIDATION for part in parts])
    np.testing.assert_array_equal(held.sum(0), own != TEST)
    for part in parts:
        np.testing.assert_array_equal(part.split == TEST, own == TEST)
        people = [set(part.subject[part.part(i)]) for i in (TRAIN, VALIDATION)]
        assert people[TRAIN] and people[VALIDATION] and not people[TRAIN] & people[VALIDATION]
    sizes = held.sum(1)
    assert sizes.max() < 2 * sizes.min()
    by_group = folds(synthetic.with_split(own), 4, "group")
    assert all(len(np.unique(by_group[0].split[synthetic.group == g])) == 1 for g in np.unique(synthetic.group))
    assert all(len(part.part(VALIDATION)) for part in folds(synthetic.with_split(own), 50, "random"))


def test_folds_need_people(synthetic: Dataset) -> None:
    with pytest.raises(DitmosError, match="no split"):
        folds(replace(synthetic, split=None), 2)
    some = synthetic.with_split(np.where(synthetic.subject < 3, TRAIN, TEST))
    for count in (1, 4):
        with pytest.raises(DitmosError, match=f"{count} folds, expected 2 to 3"):
            folds(some, count)


def test_validation_of_a_split_with_one_person_is_cut_by_recording(synthetic: Dataset) -> None:
    halves = np.where(synthetic.group % 2, TEST, TRAIN).astype(np.int8)
    made = split(replace(synthetic, subject=np.zeros(len(synthetic), int), split=halves), "file")
    assert made.split is not None and (made.split[halves == TEST] == TEST).all()
    validating = set(made.group[made.part(VALIDATION)])
    assert validating and not validating & set(made.group[made.part(TRAIN)])


def test_split_errors(synthetic: Dataset) -> None:
    with pytest.raises(DitmosError, match="no split in the file"):
        split(synthetic, "file")
    with pytest.raises(DitmosError, match="split is 'day', expected one of"):
        split(synthetic, "day")
    with pytest.raises(DitmosError, match=r"test is 1\.5"):
        split(synthetic, "random", test=1.5)
    with pytest.raises(DitmosError, match="number of people: 1, expected 3 or more"):
        split(replace(synthetic, subject=np.zeros_like(synthetic.subject)), "subject")


def test_synthetic_is_seeded_and_personal(synthetic: Dataset) -> None:
    again = generate(subjects=10, activities=5, recordings=3, windows=2, window=64, seed=1)
    assert again.sha256 == synthetic.sha256
    assert generate(subjects=10, activities=5, recordings=3, windows=2, window=64, seed=2).sha256 != again.sha256
    assert len(synthetic) == 10 * 5 * 3 * 2 and synthetic.x.shape[1:] == (64, 6)
    walking = synthetic.real()[synthetic.y == 2].std(2)
    people = synthetic.subject[synthetic.y == 2]
    between = np.var([walking[people == p].mean(0) for p in range(10)], axis=0)
    within = np.mean([walking[people == p].var(0) for p in range(10)], axis=0)
    assert (between > within).all()
    with pytest.raises(DitmosError, match="activities is 99"):
        generate(activities=99)


def test_command_line(tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    data_cli.add(app)
    app.callback()(lambda: None)
    run, out = CliRunner(), tmp_path / "synthetic.npz"
    arguments = ["--subjects", "6", "--activities", "3", "--window", "32", "--recordings", "2", "--windows", "2"]
    result = run.invoke(app, ["data", "synth", str(out), *arguments])
    assert result.exit_code == 0, result.output
    result = run.invoke(app, ["data", "info", str(out), "--json", str(tmp_path / "info.json")])
    assert result.exit_code == 0 and "stand" in result.output
    summary = json.loads((tmp_path / "info.json").read_text())
    assert summary["windows"] == 72 and summary["shape"] == [32, 6] and summary["subjects"] == 6
    assert sum(summary["split"].values()) == 72 and summary["subjects_in_training_and_test"] == 0
    save(replace(load(out), split=None), out)
    assert "none; training makes one" in run.invoke(app, ["data", "info", str(out)]).output
    names = ("[/a]", "w[x]", "[bold]")  # which rich would take for markup
    save(replace(load(out), class_names=names, channels=tuple(f"a[{c}]" for c in "abcxyz")), out)
    text = run.invoke(app, ["data", "info", str(out)], catch_exceptions=False).output
    assert all(name in text for name in (*names, "a[x], a[y]"))


def test_default_number_of_activities_is_all() -> None:
    assert generate(subjects=1, recordings=1, windows=1).classes == MAX_ACTIVITIES == 14


@pytest.mark.parametrize(
    "file, shape, classes, subjects",
    [
        ("sisfall", (13577, 151, 3), 34, 38),
        ("unimib_falls", (4170, 51, 3), 8, 30),
        ("keywords40_logmel", (12000, 49, 40), 40, 30),
        ("eeg_workload", (2132, 512, 19), 2, 36),
    ],
)
def test_real_sets(data_dir: Path, file: str, shape: tuple, classes: int, subjects: int) -> None:
    path = data_dir / f"{file}.npz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    dataset = load(path)
    assert dataset.x.shape == shape and dataset.classes == classes and len(np.unique(dataset.subject)) == subjects
    people = [set(dataset.subject[dataset.part(i)]) for i in range(3)]
    assert all(people) and not (people[0] & people[1] or people[0] & people[2] or people[1] & people[2])
