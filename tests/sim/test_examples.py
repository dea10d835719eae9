"""The five programs of examples/, as their first lines say to run them, on the simulated board."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import serial
from ditmos.bench.golden import Style, made_for, random_model
from ditmos.bench.route import decide
from ditmos.datasets import Dataset, load, save
from ditmos.datasets.synthetic import generate
from ditmos.link.board import Board
from ditmos.model.policy import parse_policy
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.model.signal import Signal
from ditmos.model.spec import reference_spec
from ditmos.model.writer import write_model
from ditmos.paths import SOURCES
from ditmos.planner import whole_plan
from ditmos.simulated.qemu import Simulator

EXAMPLES = SOURCES / "examples"
SCALE = 1 / 4096
TIMEOUT = 60.0


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model for raw samples of an accelerometer, 151 x 3, and a set of windows for it."""
    folder = tmp_path_factory.mktemp("examples")
    spec = reference_spec()
    signal = Signal.of((), ("ax", "ay", "az"), "g", SCALE, 50)
    quantized = made_for(random_model(np.random.default_rng(5), spec, Style.TRAINED), signal, SCALE * 64)
    write_model(folder / "model.dtm", quantized, whole_plan(spec))
    made = generate(subjects=3, activities=4, recordings=1, windows=2)
    x = np.clip(made.x[:, :151, :3].astype(np.float32) * made.scale / SCALE, -32768, 32767).astype(np.int16)
    names = quantized.class_names
    data = replace(made, x=x, channels=("ax", "ay", "az"), scale=SCALE, class_names=names, fs=50, split=None)
    save(data, folder / "mine.npz")
    return folder


@pytest.fixture(scope="module")
def port(firmware: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    rom = tmp_path_factory.mktemp("rom")
    (rom / "model.dtm").write_bytes((folder / "model.dtm").read_bytes())
    with Simulator(firmware, romfs=rom) as board:
        yield board.port


@pytest.fixture
def model(folder: Path) -> Model:
    return Model(read_model(folder / "model.dtm")[0])


def ran(*arguments: str | Path) -> str:
    """What a command prints; the test fails where it fails."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=SOURCES,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def answers(model: Model, windows: np.ndarray, policy: str = "top1") -> list[tuple[str | None, int | None]]:
    """(name, classifier) of raw windows (n, time, channels), by the reference; None where the policy abstains."""
    decided = decide(parse_policy(policy), model, model.quantize(windows))
    pairs = zip(decided.label.tolist(), decided.classifier.tolist(), strict=True)
    return [(None, None) if label < 0 else (model.class_names[label], k) for label, k in pairs]


def test_all_are_here() -> None:
    named = {path.name for path in EXAMPLES.glob("*.py")}
    assert named == {"policy.py", "source.py", "sensor.py", "streaming.py", "main.py"}
    for path in EXAMPLES.glob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path.name} does not say what it is"
        assert f"({path.name})" in (EXAMPLES / "README.md").read_text()


def test_policy_and_streaming(folder: Path, port: str, model: Model) -> None:
    """The windows of streaming.py get what policy.py gives on the host; then a stream, every half window."""
    lines = ran(EXAMPLES / "streaming.py", port, folder / "mine.npz").splitlines()
    at = lines.index("a stream: an answer every half window")
    x = load(folder / "mine.npz").x[:5]
    for line, (name, k) in zip(lines[1:at], answers(model, x, str(EXAMPLES / "policy.py")), strict=True):
        assert f"  {name or 'not sure'}  " in line and f"  classifier {k}  " in line
    rows = x.reshape(-1, 3)
    windows = np.array([rows[i : i + 151] for i in range(0, len(rows) - 150, 75)])
    for line, (name, _) in zip(lines[at + 1 :], answers(model, windows), strict=True):
        assert f"  {name}  " in line


def test_policy_abstains_where_the_selector_is_unsure(model: Model, folder: Path) -> None:
    x = load(folder / "mine.npz").x
    assert set(answers(model, x, f"{EXAMPLES / 'policy.py'}:sure(1e9)")) == {(None, None)}
    assert answers(model, x, f"{EXAMPLES / 'policy.py'}:sure(0)") == answers(model, x)


def test_source(port: str, model: Model) -> None:
    output = ran("-m", "ditmos", "stream", "--port", port, "--source", "examples.source:walk", "--hop", "50")
    rows = np.concatenate(list(imported(EXAMPLES / "source.py").walk()))
    windows = np.array([rows[i : i + 151] for i in range(0, len(rows) - 150, 50)])
    expected = answers(model, windows)
    assert len(expected) == 9
    for line, (name, k) in zip(output.splitlines(), expected, strict=True):
        assert f" {name} " in line and f"classifier {k} " in line


def test_sensor(port: str, tmp_path: Path) -> None:
    """What is recorded is what the driver gives, take by take."""
    out = tmp_path / "my.npz"
    where = ("record", "--port", port, "--sensor", f"{EXAMPLES / 'sensor.py'}:Pendulum", "--out", out, "--no-ask")
    ran("-m", "ditmos", *where, "--labels", "slow,fast", "--seconds", "1", "--takes", "1", "--window", "20")
    data: Dataset = load(out)
    assert (data.channels, data.units, data.fs) == (("angle", "speed"), "rad, rad/s", 20.0)
    for label, name in enumerate(("slow", "fast")):
        sensor = imported(EXAMPLES / "sensor.py").Pendulum()
        sensor.expect(name)
        row, rows = array("h", [0, 0]), []
        for _ in range(20):
            sensor.read(row)
            rows.append(list(row))
        assert data.x[data.y == label][0].tolist() == rows


def test_the_sensor_is_a_driver_for_every_command() -> None:
    """`start`, where a driver has it, is called with nothing; units are one for all channels, or one each."""
    sensor = imported(EXAMPLES / "sensor.py").Pendulum()
    getattr(sensor, "start", lambda: None)()
    assert len(sensor.units) == len(sensor.channels) == 2


def test_main_runs_alone(port: str, model: Model) -> None:
    """At boot, from /flash: the labels that the reference gives on the same samples, and Ctrl-C ends it."""
    sensor, row, rows = imported(SOURCES / "device" / "sensors.py").Simulated(), array("h", [0, 0, 0]), []
    for _ in range(400):
        sensor.read(row)
        rows.append(list(row))
    samples = np.array(rows, np.int16)
    ends = range(175, 400, 25)  # the first multiple of 25 that fills a window
    expected = answers(model, np.array([samples[end - 151 : end] for end in ends]))
    changes = [a for a, b in zip(expected, [(None, None), *expected], strict=False) if a[0] != b[0]]
    with Board(port) as board:
        board.put(SOURCES / "device" / "sensors.py", "/flash/sensors.py")
        board.put(EXAMPLES / "main.py", "/flash/main.py")
    try:
        with serial.Serial(port, timeout=20) as line:
            line.write(b"\x03\x02\r\n\x04")  # friendly REPL, soft reset: main.py runs
            line.read_until(b"soft reboot\r\n")
            first = line.readline().decode().strip()
            line.write(b"\x03")
            line.read_until(b"KeyboardInterrupt")
    finally:
        with Board(port) as board:
            board.exec("import os\nos.remove('/flash/main.py')\nos.remove('/flash/sensors.py')")
    assert first == f"{changes[0][0]} from classifier {changes[0][1]}"
