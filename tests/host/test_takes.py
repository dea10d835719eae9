"""Takes: a file each, whole or not at all, and the datasets that are made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ditmos.cli import application
from ditmos.datasets import load
from ditmos.datasets.takes import Signal, Take, Takes, load_take
from ditmos.errors import DitmosError
from typer.testing import CliRunner

SIGNAL = Signal(("ax", "ay"), "g", 0.001, 50.0)


def a_take(label: str = "walk", rows: int = 100, rate: float | None = 50.0, seed: int = 0) -> Take:
    samples = np.random.default_rng(seed).integers(-1000, 1000, (rows, 2)).astype(np.int16)
    return Take(label, samples, SIGNAL, 3, rate)


@pytest.fixture
def store(tmp_path: Path) -> Takes:
    takes = Takes(tmp_path / "my.npz")
    takes.prepare()
    return takes


@pytest.mark.parametrize(("units", "scale"), [(("uS", "g"), (0.5, 0.1)), (("g", "g"), (0.1, 0.1))])
def test_channels_with_units_of_their_own_go_on_in_a_set(tmp_path, units, scale):
    """Recorded once more beside the dataset that they made, without its takes."""
    out, signal = tmp_path / "my.npz", Signal(("ax", "ay"), units, scale, 50.0)
    first = Takes(out)
    first.prepare()
    first.keep(Take("walk", a_take().samples, signal))
    first.write(["walk"], 50, 50)
    first.remove(0)
    second = Takes(tmp_path / "my.npz")
    second._earlier.write_bytes(out.read_bytes())
    second.check(["walk"], 50, signal)
    second.keep(Take("walk", a_take().samples, signal))
    assert len(second.dataset(["walk"], 50, 50)) == 4


def test_a_take_comes_back_as_it_was(store):
    path = store.keep(a_take("über/Gehen 1"))
    assert path.name.startswith("0000-") and path.parent.name == "my.takes"
    back = load_take(path)
    assert (back.label, back.signal, back.subject, back.rate) == ("über/Gehen 1", SIGNAL, 3, 50.0)
    np.testing.assert_array_equal(back.samples, a_take().samples)


def test_numbers_go_on_behind_the_last_one(store):
    first, second, third = (store.keep(a_take(label)) for label in ("a", "b", "c"))
    second.unlink()
    assert list(store.files()) == [0, 2] and list(store.files().values()) == [first, third]
    assert store.keep(a_take("d")).name == "0003-d.npz"
    assert store.keep(a_take("a", 7), 0) == first and len(load_take(first).samples) == 7


@pytest.mark.parametrize("content", [b"", b"PK", None])
def test_what_is_no_take_is_named(store, content):
    path = store.keep(a_take())
    if content is None:
        np.savez(path, samples=np.zeros((3, 2)))
    else:
        path.write_bytes(content)
    with pytest.raises(DitmosError, match=f"^{path}: not a") as caught:
        store.load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": np.float64(0)}, "rate is 0, expected a positive number"),
        ({"measured": np.float64(0)}, "rate is 0, expected a positive number"),
        ({"scale": np.array([1.0, -1.0])}, "scale is -1, expected a positive number"),
        ({"scale": np.array([1.0])}, "scale has 1 entries, expected one, or one a channel"),
        ({"units": np.array(["g", "g", "g"])}, "units has 3 entries"),
    ],
)
def test_what_a_take_says_is_checked(store, changes, message):
    path = store.keep(a_take())
    with np.load(path) as archive:
        np.savez(path, **(dict(archive) | changes))
    with pytest.raises(DitmosError, match=message):
        store.load()


def test_takes_that_were_removed_do_not_come_back(store, tmp_path):
    """Neither as the dataset that was made of them, nor in the place of a dataset that was there before."""
    store.keep(a_take())
    store.write(["walk", "rest"], 50, 50)
    store.remove(0)
    store.close()
    again = Takes(store.out)
    again.check(["run", "rest"], 20)
    again.prepare()
    again.keep(a_take("rest"))
    assert again.write(["run", "rest"], 20, 20).y.tolist() == [1] * 5
    with pytest.raises(DitmosError, match="no take 7"):
        again.take(7)


def test_takes_are_named_by_their_numbers(store):
    for label in ("walk", "rest", "walk"):
        store.keep(a_take(label, rate=50.0 if label == "walk" else 20.0))
    store.remove(0)
    with pytest.raises(DitmosError, match=r"take 1 has 20\.0 rows a second, take 2 50\.0"):
        store.dataset(["walk", "rest"], 16, 8)
    with pytest.raises(DitmosError, match=r"take 1 \(rest\) has 100 rows, expected at least 200"):
        store.dataset(["walk", "rest"], 200, 8)
    assert store.keep(a_take(), 10_000) == store.folder / "10000-walk.npz"
    assert [*store.files()] == [1, 2, 10_000] and len(store.load()) == 3
    (store.folder / "0002-rest.npz").write_bytes((store.folder / "0001-rest.npz").read_bytes())
    with pytest.raises(DitmosError, match=r"0002-walk\.npz: take 2 is there twice, as 0002-rest\.npz"):
        store.load()


def test_rates(store):
    """The sensor's own within two per cent; the measured one beyond; no set of two."""
    for rate, fs in ((50.4, 50.0), (20.0, 20.0), (None, 50.0)):
        store.keep(a_take(rate=rate), 0 if store.files() else None)
        store.keep(a_take("rest", rate=rate), 1 if len(store.files()) > 1 else None)
        assert store.dataset(["walk", "rest"], 16, 8).fs == fs
    store.keep(a_take(rate=20.0), 0)
    store.keep(a_take("rest", rate=50.0), 1)
    with pytest.raises(DitmosError, match=r"take 0 has 20\.0 rows a second, take 1 50\.0: they make no set"):
        store.dataset(["walk", "rest"], 16, 8)


def test_two_sessions_do_not_write_into_one_folder(store):
    with pytest.raises(DitmosError, match="another ditmos record is at work there"):
        Takes(store.out).prepare()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "my.takes").write_text("a file")
    with pytest.raises(DitmosError, match=r"my\.takes: cannot be written"):
        Takes(tmp_path / "my.npz").prepare()


def test_takes_are_imported(store, tmp_path):
    """`ditmos data import my.takes` with a window of its own."""
    for i, label in enumerate(("walk", "rest", "walk")):
        store.keep(a_take(label, 64, seed=i))
    command = ["data", "import", str(store.folder), "-o", str(tmp_path / "other.npz"), "--window", "32", "--hop", "32"]
    done = CliRunner().invoke(application(), command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    dataset = load(tmp_path / "other.npz")
    assert sorted(dataset.class_names) == ["rest", "walk"] and dataset.window == 32 and len(dataset) == 6
    assert dataset.fs == 50 and dataset.channels == SIGNAL.channels and dataset.units == "g"
