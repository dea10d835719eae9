"""Recordings off the simulated board: nothing that was recorded is lost, and nothing wrong is kept in silence."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from ditmos.cli.record import record
from ditmos.datasets import load
from ditmos.datasets.takes import Takes, load_take
from ditmos.errors import DitmosError
from ditmos.link.record import Sensor
from ditmos.simulated.qemu import Simulator

DRIVERS = """
import time


class ADC16:
    channels = ("adc",)
    units = "V"
    scale = 3.3 / 65535
    rate = 50

    def __init__(self, first=32766):
        self.i = first

    def read(self, row):
        self.i += 1
        row[0] = self.i


class Negative(ADC16):
    channels = ("x", "y")

    def read(self, row):
        row[0] = 1
        row[1] = -40000


class Float(ADC16):
    def read(self, row):
        row[:] = [1.5]


class Slow(ADC16):
    def read(self, row):
        time.sleep_ms(50)
        row[0] = 1


class Broken(ADC16):
    def read(self, row):
        raise OSError("no such device")


class Still(ADC16):
    rate = 0

class Dead(ADC16):
    def read(self, row):
        row[0] = 32767
"""


@pytest.fixture(scope="module")
def simulated(firmware: Path) -> Iterator[Simulator]:
    with Simulator(firmware) as board:
        yield board


@pytest.fixture
def drivers(tmp_path: Path) -> Path:
    path = tmp_path / "drivers.py"
    path.write_text(DRIVERS)
    return path


@pytest.fixture
def take(simulated: Simulator, tmp_path: Path) -> Callable[..., None]:
    """`ditmos record --out own.npz` of two short takes, or what is asked for instead."""

    def run(labels: str = "walk,rest", **options) -> None:
        what = {"sensor": "Simulated", "seconds": 0.8, "takes": 1, "window": 32, "hop": 8, "subject": 0, "again": None}
        record(labels, tmp_path / "own.npz", simulated.port, ask=False, **(what | options))

    return run


def test_samples_of_a_sensor(board):
    sensor = Sensor(board)
    assert sensor.signal.channels == ("ax", "ay", "az") and sensor.signal.rate == 50
    sensor.expect("walk")
    rows = np.concatenate(list(sensor.samples(60)))
    assert rows.shape == (60, 3) and rows.dtype == np.int16 and rows.std() > 50
    assert sensor.rate == pytest.approx(50, rel=0.1)
    for block in sensor.samples():
        assert block.shape[1] == 3
        break
    assert board.eval("6 * 7") == 42


def test_a_driver_that_fails_is_reported(board, drivers, tmp_path):
    with pytest.raises(DitmosError, match=r"OSError: no such device \(File .*in read\)$"):
        list(Sensor(board, f"{drivers}:Broken").samples(10))
    with pytest.raises(DitmosError, match="it needs I2C, which this board"):
        Sensor(board, "MPU6050")
    (tmp_path / "other.py").write_text("class Other:\n pass\n")
    with pytest.raises(DitmosError, match="no Broken there, but Other"):
        Sensor(board, f"{tmp_path}/other.py:Broken")
    with pytest.raises(DitmosError, match="OSError: Dead sends nothing: 50 rows in a row are 32767; check its wiring"):
        list(Sensor(board, f"{drivers}:Dead").samples(60))
    with pytest.raises(DitmosError, match=r"rate is 0\.0, expected a positive number"):
        Sensor(board, f"{drivers}:Still")


@pytest.mark.parametrize(
    ("driver", "said"),
    [
        ("ADC16", "ADC16: channel adc is 32768, expected an integer from -32768 to 32767"),
        ("Negative", "Negative: channel y is -40000, expected"),
        ("Float", "Float: channel adc is 1.5, expected"),
    ],
)
def test_values_that_do_not_fit_are_refused(take, drivers, tmp_path, driver, said):
    with pytest.raises(DitmosError, match=said + r".*in read\)") as caught:
        take(sensor=f"{drivers}:{driver}")
    assert "\n" not in str(caught.value) and not list(tmp_path.glob("own*/*.npz"))


def test_a_slow_sensor_is_reported_and_its_true_rate_kept(take, drivers, tmp_path, capsys):
    take(sensor=f"{drivers}:Slow", window=8)
    said = capsys.readouterr().err
    rate = load_take(next(tmp_path.glob("own.takes/0000-*"))).rate
    assert 5 < rate < 20.5 and f"{rate:.1f} of 50 rows a second" in said
    assert load(tmp_path / "own.npz").fs < 20.5


def test_a_sensor_of_its_rate_is_not_called_slow(take, tmp_path, capsys):
    take()
    assert "rows a second" not in capsys.readouterr().err
    assert load(tmp_path / "own.npz").fs == 50


def test_recorded_windows_are_a_dataset(take, tmp_path):
    for subject in (0, 1):  # too little for a split, then enough
        take(subject=subject)
    dataset = load(tmp_path / "own.npz")
    assert dataset.class_names == ("walk", "rest") and dataset.x.shape[1:] == (32, 3) and dataset.fs == 50
    assert dataset.split is not None and len(np.unique(dataset.group)) == 4 and set(dataset.subject) == {0, 1}
    assert not np.array_equal(dataset.x[dataset.y == 0][0], dataset.x[dataset.y == 1][0])


def test_the_set_is_made_anew_with_another_window_and_more_labels(take, tmp_path):
    take()
    before = load(tmp_path / "own.npz")
    take("walk,rest,run", takes=0, window=16, hop=16)
    after = load(tmp_path / "own.npz")
    assert after.class_names == ("walk", "rest", "run") and after.window == 16
    np.testing.assert_array_equal(after.x[0], before.x[0][:16])


def test_what_does_not_go_together_is_refused_before_the_first_take(take, drivers, tmp_path):
    take()
    files = sorted(tmp_path.rglob("*.npz"))
    cases = (
        ({"labels": "walk,run"}, "take 1 is of 'rest', the labels are walk, run"),
        ({"sensor": f"{drivers}:ADC16(0)"}, "channels is .* record into another file"),
        ({"again": 7}, "no take 7, expected one of 0, 1"),
        ({"seconds": float("inf")}, "seconds is inf"),
        ({"labels": "walk,walk"}, "expected at least two different"),
    )
    for options, said in cases:
        with pytest.raises(DitmosError, match=said):
            take(**options)
        assert sorted(tmp_path.rglob("*.npz")) == files


def test_a_set_without_takes_is_added_to(take, tmp_path):
    take()
    for path in (tmp_path / "own.takes").iterdir():
        path.unlink()
    (tmp_path / "own.takes").rmdir()
    first = load(tmp_path / "own.npz")
    with pytest.raises(DitmosError, match=r"class_names is .* record into another file"):
        take("walk,run")
    with pytest.raises(DitmosError, match="window is 32 there, 16 now"):
        take(window=16)
    for _ in range(2):
        take()
    both = load(tmp_path / "own.npz")
    assert len(np.unique(both.group)) == 6
    np.testing.assert_array_equal(both.x[: len(first)], first.x)


def test_one_take_is_recorded_again(take, tmp_path):
    take()
    store = Takes(tmp_path / "own.npz")
    before = store.load()
    take(again=1)
    after = store.load()
    assert len(after) == 2 and after[1].label == "rest"
    np.testing.assert_array_equal(after[0].samples, before[0].samples)


@pytest.mark.parametrize("fails", ["no room", "read-only"])
def test_a_take_that_cannot_be_written_leaves_the_others(take, tmp_path, monkeypatch, fails):
    take()
    true = Takes.keep

    def keep(self: Takes, new, number=None) -> Path:
        if len(self.files()) >= 3:
            raise DitmosError(f"{self.folder}: cannot be written ({fails})")
        return true(self, new, number)

    monkeypatch.setattr(Takes, "keep", keep)
    with pytest.raises(DitmosError, match=rf"cannot be written \({fails}\); 3 complete takes are in .*own.takes"):
        take(takes=3)
    assert len(np.unique(load(tmp_path / "own.npz").group)) == 3


def test_a_full_disk_is_said_where_the_set_finds_no_room_either(take, tmp_path, monkeypatch):
    def full(self: Takes, *_: object) -> Path:
        raise DitmosError(f"{self.folder}: cannot be written (no room)")

    take()
    (tmp_path / "own.npz").unlink()
    monkeypatch.setattr(Takes, "keep", full)
    monkeypatch.setattr(Takes, "write", full)
    with pytest.raises(
        DitmosError, match=r"\(no room\); 2 complete takes are in .*own.takes; no set of them: .*no room"
    ):
        take()


def start(port: str, out: Path, *options: str, run: bool = True) -> subprocess.Popen | list[str]:
    command = [sys.executable, "-m", "ditmos", "record", "--port", port, "--labels", "walk,run", "--window", "16"]
    command += ["--seconds", "0.4", "--out", str(out), "--no-ask", "--takes", "200", *options]
    return command if not run else subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_take_is_shown_and_recorded_again_at_the_next_question(simulated, tmp_path):
    command = start(simulated.port, tmp_path / "own.npz", "--ask", "--takes", "1", run=False)
    done = subprocess.run(command, input="\nr\n\nr\n\n", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    kept = re.findall(r"0000-walk.npz: 20 rows|0001-run.npz: 20 rows", done.stderr)
    assert [name[:4] for name in kept] == ["0000", "0000", "0001", "0001"], done.stderr
    assert "▁" in done.stderr and len(Takes(tmp_path / "own.npz").files()) == 2


def test_an_unplugged_board_leaves_all_complete_takes(firmware, tmp_path):
    with Simulator(firmware) as simulated:
        process = start(simulated.port, tmp_path / "own.npz")
        for _ in range(3):
            assert "rows of" in process.stderr.readline()
        os.kill(simulated.pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2 and "Traceback" not in errors, errors
    assert "the line broke" in errors and len(errors.strip().splitlines()) <= 2, errors
    assert len(np.unique(load(tmp_path / "own.npz").group)) == len(Takes(tmp_path / "own.npz").load()) >= 3


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_the_set(simulated, tmp_path, name):
    process = start(simulated.port, tmp_path / "own.npz")
    for _ in range(2):
        process.stderr.readline()
    process.send_signal(name)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0 and "stopped" in errors, errors
    assert len(np.unique(load(tmp_path / "own.npz").group)) >= 2


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_a_killed_recording_leaves_all_complete_takes(simulated, tmp_path, kills):
    chance = random.Random(kills)
    out = tmp_path / "own.npz"
    said: list[str] = []
    for _ in range(kills):
        process = start(simulated.port, out)
        said.append(process.stderr.readline())
        time.sleep(chance.uniform(0, 1.5))
        process.kill()
        said += process.communicate(timeout=20)[1].splitlines()
        complete = {Path(found[1]) for line in said if (found := re.match(r"(.*\.npz): \d+ rows of", line))}
        takes = Takes(out)
        assert complete <= set(takes.files().values())
        assert all(len(take.samples) == 20 for take in takes.load())
    process = start(simulated.port, out, "--takes", "0")
    assert process.wait(20) == 0
    assert len(np.unique(load(out).group)) == len(Takes(out).load()) >= kills
