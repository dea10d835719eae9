"""Sensors on the simulated board: results while it samples by itself, and recordings that are faster than a line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ditmos.bench.golden import Style, random_model
from ditmos.cli import stream
from ditmos.datasets import Dataset, load, save
from ditmos.datasets.takes import Takes
from ditmos.errors import DitmosError
from ditmos.frontends import log_mel
from ditmos.frontends.memory import memory
from ditmos.link.board import Board
from ditmos.link.record import Sensor
from ditmos.link.sensing import SensorStream
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import write_model
from ditmos.paths import SOURCES
from ditmos.planner import stream_plan
from ditmos.routing import top1
from ditmos.simulated.qemu import Simulator

TIMEOUT = 60.0
RATE = 16000


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    loudness = np.repeat(2.0 ** np.random.default_rng(9).integers(2, 15, 120), 320)
    return (np.random.default_rng(8).normal(0, 1, 38400) * loudness).clip(-32766, 32766).astype(np.int16)


@pytest.fixture(scope="module")
def rom(tmp_path_factory: pytest.TempPathFactory, sound: np.ndarray) -> Path:
    """A keyword model of random weights, and 2.4 s of sound."""
    folder = tmp_path_factory.mktemp("rom")
    front = log_mel.front_end(float(RATE), 2**-15, "full scale", "mic")
    branch = BranchSpec((ConvSpec(8, 5), ConvSpec(8, 3)), (16,))
    spec = NetworkSpec(49, 40, 6, 3, branch, branch, aggregate=(1,))
    quantized = replace(random_model(np.random.default_rng(6), spec, Style.TRAINED), front_end=front)
    write_model(folder / "model.dtm", quantized, stream_plan(spec, memory(front, spec.window)))
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(sound.tobytes())
    return folder


@pytest.fixture(scope="module")
def simulated(firmware: Path, rom: Path) -> Iterator[Simulator]:
    with Simulator(firmware, romfs=rom) as board:
        yield board


def ran(*arguments: str | Path, fails: bool = False) -> tuple[str, str]:
    """What a command prints, and what it says beside."""
    done = subprocess.run(
        [sys.executable, "-m", "ditmos", *map(str, arguments)],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def test_stream_of_a_sensor_gives_what_the_reference_gives(
    simulated: Simulator, rom: Path, sound: np.ndarray, tmp_path: Path
) -> None:
    where = ("stream", "--source", "sensor", "--port", simulated.port, "--json", tmp_path / "said.json")
    lines, said = ran(*where, "--sensor", "WavFile('/rom/sound.wav')", "--hop", "1280")
    model = Model(read_model(rom / "model.dtm")[0])
    expected, missing = [], model.window
    for piece in sound.reshape(-1, 320):
        missing -= model.feed(piece[:, None])
        if missing <= 0:
            missing += 4
            label, k = top1(model, None)
            expected.append(f"{model.class_names[label]} classifier {k}")
    found = [" ".join(line.split()[1:5]) for line in lines.splitlines()]
    assert found == expected and len(found) == 18
    assert "results 18, clipped 0, lost 0" in said
    assert json.loads((tmp_path / "said.json").read_text())["results"] == 18


def test_real_numbers_are_sent_as_the_samples_that_they_are(
    simulated: Simulator, rom: Path, sound: np.ndarray, tmp_path: Path
) -> None:
    """Of a set of floats the rate tells whether they are samples or rows of the front end."""
    model, windows = Model(read_model(rom / "model.dtm")[0]), sound[5000:36680].reshape(2, 15840, 1)
    labels = []
    for window in windows:
        model.feed_reset()
        model.feed(window)
        labels.append(top1(model, None)[0])
    owner = np.zeros(2, np.int64)
    real = (windows / 2.0**15).astype(np.float32)
    dataset = Dataset(
        real, np.array(labels), owner, owner, model.class_names, ("mic",), 1.0, "full scale", RATE, None, "real"
    )
    source = str(save(dataset, tmp_path / "real.npz"))
    stream.stream(source=source, port=simulated.port, json_file=tmp_path / "said.json")
    said = json.loads((tmp_path / "said.json").read_text())
    assert (said["results"], said["accuracy"]) == (2, 1.0)


def test_the_level_of_a_sensor_that_is_faster_than_the_line(simulated: Simulator, sound: np.ndarray) -> None:
    """A value before each result: the largest since the one before."""
    with Board(simulated.port, soft_reset=False) as board:
        Sensor(board, "WavFile('/rom/sound.wav')")
        found = [rows for _, rows in SensorStream(board, hop=1280, show="level").seen()]
    level = sound.reshape(-1, 320).astype(float).std(1)
    edges = [0, *range(50, 50 + 4 * 18, 4)]
    expected = [level[a:b].max() for a, b in pairwise(edges)]
    assert len(found) == 18 and all(rows.shape == (1, 1) for rows in found)
    np.testing.assert_allclose([rows[0, 0] for rows in found], expected, atol=1)


def test_a_stream_ends_where_it_is_told_to(simulated: Simulator) -> None:
    where = ("stream", "--source", "sensor", "--port", simulated.port, "--count", "3", "--hop", "320")
    lines, _ = ran(*where, "--sensor", "WavFile('/rom/sound.wav', loop=True)")
    assert len(lines.splitlines()) == 3
    with Board(simulated.port, soft_reset=False) as board:
        assert board.eval("6 * 7") == 42


def test_what_does_not_go_with_a_sensor_is_refused(simulated: Simulator, tmp_path: Path) -> None:
    where = ("stream", "--source", "sensor", "--port", simulated.port)
    _, said = ran(*where, fails=True)
    assert "Simulated has 3 channels, the model was made for 1" in said
    _, said = ran(*where, "--sensor", "WavFile('/rom/sound.wav')", "--hop", "100", fails=True)
    assert "hop is 100 samples, expected a multiple of 320" in said
    _, said = ran(*where, "--view", fails=True)
    assert "the samples stay on the board" in said
    _, said = ran(*where, "--sensor", "WavFile('/rom/nothing.wav')", fails=True)
    assert "ENOENT" in said and said.count("\n") == 1


def test_listen_script_of_a_mounted_folder(simulated: Simulator) -> None:
    """As docs/howto/alone.md has it: mpremote run device/listen.py, until the sound ends."""
    options = ["--sensor", "WavFile('/rom/sound.wav')", "--hop", "4", "--events", "majority(windows=2, least=2)"]
    arguments = f"import sys; sys.argv[:] = {['listen.py', *options]!r}"
    command = [sys.executable, "-m", "mpremote", "connect", simulated.port, "mount", "device", "exec", arguments]
    done = subprocess.run(
        [*command, "run", "device/listen.py"], cwd=SOURCES, capture_output=True, text=True, timeout=2 * TIMEOUT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "listening to WavFile, every 0.08 s" in done.stdout
    assert re.search(r"1\.06 s: class \d \(classifier \d\)", done.stdout), done.stdout


class SlowLine:
    """A port at which bytes arrive at 115,200 baud."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value) if name == "_port" else setattr(self._port, name, value)

    @property
    def in_waiting(self) -> int:
        return min(self._port.in_waiting, 64)

    def read(self, size: int = 1) -> bytes:
        data = self._port.read(min(size, 64))
        time.sleep(len(data) / 11520)
        return data


def test_sound_is_recorded_in_ram_and_sent_at_the_lines_pace(simulated: Simulator, sound: np.ndarray) -> None:
    with Board(simulated.port) as board:
        sensor = Sensor(board, "WavFile('/rom/sound.wav', loop=True)")
        assert sensor.longest is not None and 4 < sensor.longest < 12
        board.disturb(SlowLine)
        began = time.monotonic()
        rows = np.concatenate(list(sensor.samples(50000)))
        assert time.monotonic() - began > 2 * 50000 / 11520
    assert np.array_equal(rows[:, 0], np.tile(sound, 2)[:50000])
    assert sensor.rate == pytest.approx(RATE, rel=0.03) and sensor.clipped == 0


def test_what_finds_no_room_is_an_error(simulated: Simulator) -> None:
    with Board(simulated.port) as board:
        sensor = Sensor(board, "WavFile('/rom/sound.wav', loop=True)")
        board.exec("from ditmos import record\nrecord._RESERVE = 290000\nrecord._SENDING = 1")
        with pytest.raises(DitmosError, match=r"\d+ rows were lost: the line, or the board, is too slow"):
            list(sensor.samples(40000))
        board.soft_reset()


def test_record_cuts_what_does_not_fit_into_takes(simulated: Simulator, tmp_path: Path) -> None:
    out = tmp_path / "own.npz"
    where = ("record", "--port", simulated.port, "--out", out, "--no-ask", "--labels", "yes,no", "--takes", "1")
    _, said = ran(*where, "--seconds", "9", "--window", "16000", "--sensor", "WavFile('/rom/sound.wav', loop=True)")
    assert "takes of 4.5 s each, which are sent when they are recorded" in said
    takes = Takes(out).load()
    assert [take.label for take in takes] == ["yes", "yes", "no", "no"]
    assert all(len(take.samples) == 72000 and not take.slow for take in takes)
    data = load(out)
    assert data.fs == RATE and data.units == "full scale" and data.scale == 1 / 32768


def test_several_sensors_make_a_set_with_units_of_each(simulated: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "wrist.py"
    path.write_text(
        "from sensors import Combined, Simulated\n\nclass Drift:\n"
        "    channels, units, scale, rate = ('eda',), 'uS', 0.5, 4\n"
        "    n = 0\n    def read(self, row):\n        self.n += 1\n        row[0] = self.n\n\n"
        "def Wrist():\n    return Combined(Simulated(), Drift())\n"
    )
    with Board(simulated.port) as board:
        board.put(SOURCES / "device" / "sensors.py", "/flash/sensors.py")
    out = tmp_path / "own.npz"
    where = ("record", "--port", simulated.port, "--out", out, "--no-ask", "--labels", "a,b", "--takes", "1")
    ran(*where, "--seconds", "2", "--window", "50", "--sensor", f"{path}:Wrist")
    data = load(out)
    assert data.channels == ("ax", "ay", "az", "eda") and data.channel_units == ("g", "g", "g", "uS")
    assert data.scale == (1 / 4096, 1 / 4096, 1 / 4096, 0.5) and data.x.dtype == np.int16 and data.fs == 50
    eda = data.x[data.y == 0][0][:, 3]
    assert np.array_equal(eda, eda[0] + np.floor(np.arange(50) * 4 / 50))


def test_a_stream_that_is_not_begun_again(simulated: Simulator) -> None:
    """Results of a board that is reset in between end in one error."""
    with Board(simulated.port) as board:
        Sensor(board, "WavFile('/rom/sound.wav', loop=True)")
        stream = SensorStream(board, hop=320)
        with pytest.raises(DitmosError, match="stopped sending results"):
            for number, _ in enumerate(stream.results()):
                if number == 2:
                    board.serial.write(b"\x03\x03")
