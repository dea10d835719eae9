"""What `make demo` does around the steps that have tests of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos import demo, paths
from ditmos.bench.route import Decisions
from ditmos.datasets import TEST, Dataset, load
from ditmos.datasets.features import Prepared
from ditmos.errors import DitmosError
from ditmos.training.settings import Settings
from recording import Recording


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No data anywhere; outputs go to a folder of the test's own."""
    monkeypatch.setattr(demo, "FOLDER", tmp_path / "demo")
    monkeypatch.setattr(paths, "checkout", lambda: tmp_path / "checkout")
    monkeypatch.delenv("DITMOS_DATA", raising=False)
    return tmp_path


def touch(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"")
    return file


def test_board_against_reference(firmware: Path, recording: Recording) -> None:
    steps = []
    device = demo.run_board(recording.folder, lambda *step: steps.append(step))
    count = len(recording.windows)
    assert steps == [("device", i + 1, count) for i in range(count)]
    classes = recording.model.classify_batch(recording.windows)[np.arange(count), recording.choice]
    once, never = np.ones(count, np.int64), np.zeros(count, np.int64)
    decisions = Decisions(classes.argmax(1), recording.choice, once, once, never)
    assert demo.compare(device, recording.selector, classes, decisions) == 0
    selector = recording.selector.copy()
    selector[3, 1] += 1
    assert demo.compare(device, selector, classes, decisions) == 1
    other = classes.copy()
    other[5] += 1
    assert demo.compare(device, recording.selector, other, decisions) == 1
    changed = replace(device, choice=device.choice + 1)
    assert demo.compare(changed, recording.selector, classes, decisions) == count
    changed = replace(device, label=device.label + 1)
    assert demo.compare(changed, recording.selector, classes, decisions) == count
    assert (device.ticks > 0).all()


def test_board_that_finds_no_model(firmware: Path, tmp_path: Path) -> None:
    (tmp_path / "windows.npy").write_bytes(b"")
    with pytest.raises(DitmosError, match=r"SIM_F767: infer: no model\.dtm in"):
        demo.run_board(tmp_path)


def test_data_that_is_named_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = touch(folder / "shared" / "data" / "sisfall.npz")
    assert demo.find_data(None) == beside
    monkeypatch.setenv("DITMOS_DATA", str(folder / "mine"))
    assert demo.find_data(None) == beside
    mine = touch(folder / "mine" / "sisfall.npz")
    assert demo.find_data(None) == mine
    named = touch(folder / "named.npz")
    assert demo.find_data(named) == named
    with pytest.raises(DitmosError, match="no such file"):
        demo.find_data(folder / "none.npz")


def test_synthetic_data_where_there_is_none(folder: Path) -> None:
    dataset = load(demo.find_data(None))
    assert dataset.name == "synthetic"
    index = demo.choose_windows(dataset)
    assert len(index) >= 500
    assert (dataset.split[index] == TEST).all()


def dataset(count: int, window: int, dtype: type) -> Dataset:
    zeros = np.zeros(count, np.int64)
    return Dataset(
        np.zeros((count, window, 3), dtype), zeros, zeros, np.arange(count), ("a",), ("x", "y", "z"), 0.5, "g", 50.0,
        np.full(count, TEST, np.int8),
    )  # fmt: skip


def test_windows_are_spread_evenly_where_not_all_fit() -> None:
    assert (demo.choose_windows(dataset(40, 10, np.int16)) == np.arange(40)).all()
    index = demo.choose_windows(dataset(2 * demo.MOST_WINDOWS, 10, np.int16))
    assert len(index) == demo.MOST_WINDOWS
    assert set(np.diff(index)) <= {1, 2, 3}
    large = dataset(200, 20_000, np.float32)
    assert len(demo.choose_windows(large)) == demo.ROOM // large.x[0].nbytes


def test_rom_has_what_the_board_reads(tmp_path: Path) -> None:
    model = touch(tmp_path / "m.dtm")
    demo.write_rom(tmp_path / "a", model, dataset(4, 10, np.int16), np.array([1, 3]))
    assert np.load(tmp_path / "a" / "windows.npy").dtype == np.int16
    said = json.loads((tmp_path / "a" / "windows.json").read_text())
    assert said["class_names"] == list(dataset(4, 10, np.int16).class_names) and len(said["channels"]) == 3
    floats = replace(dataset(4, 10, np.float32), x=np.ones((4, 10, 3), np.float32))
    demo.write_rom(tmp_path / "b", model, floats, np.array([0]))
    assert (np.load(tmp_path / "b" / "windows.npy") == np.float32(0.5)).all()  # real units


def test_a_demo_that_fails_leaves_the_last_good_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever step it is: model, windows and result stay. A training that went well is not made again."""
    made, trainings = demo.FOLDER, []
    for file in ("run/model.dtm", "rom/windows.npy", "result.json"):
        (touch(made / file)).write_text("last")
    data = touch(folder / "d.npz")

    def failing(*arguments: object) -> None:
        if arguments[0] == "train":
            touch(made / "run-new" / "request.json")
            raise DitmosError("demo stopped: ditmos train failed")

    def training(*arguments: object) -> None:
        if arguments[0] == "train":
            trainings.append(arguments)
            touch(made / "run-new" / "model.dtm").write_text("new")
            touch(made / "run-new" / "run.json")

    def stopped(*arguments: object) -> demo.Device:
        raise DitmosError("SIM_F767: silent")

    def contents() -> set[str]:
        return {(made / file).read_text() for file in ("run/model.dtm", "rom/windows.npy", "result.json")}

    def rom(target: Path, *_: object) -> None:
        touch(target / "windows.npy").write_text("new")

    monkeypatch.setattr(demo, "trained", lambda run, data, config: (run / "run.json").exists())
    monkeypatch.setattr(demo, "read_run", lambda run: ({}, Settings()))
    monkeypatch.setattr(demo, "load_prepared", lambda config, data: Prepared(dataset(4, 10, np.int16)))
    monkeypatch.setattr(demo, "write_rom", rom)
    monkeypatch.setattr(demo, "figures", lambda *_: {})
    for step, name, message in (
        (failing, "ditmos", "train failed"),
        (training, "ditmos", ""),
        (stopped, "run_board", "silent"),
    ):
        monkeypatch.setattr(demo, name, step)
        if not message:
            continue
        with pytest.raises(DitmosError, match=message):
            demo.demo(data)
        assert contents() == {"last"}
    assert trainings[0][:4] == ("train", data, "--effort", "quick")
    monkeypatch.setattr(demo, "run_board", lambda *_: None)
    demo.demo(data)
    assert (made / "run" / "model.dtm").read_text() == (made / "rom" / "windows.npy").read_text() == "new"
    assert "seconds" in json.loads((made / "result.json").read_text()) and len(trainings) == 1
    assert {file.name for file in made.iterdir()} == {"run", "rom", "result.json"}
