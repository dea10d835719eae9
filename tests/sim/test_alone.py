"""A simulated board that works alone after `ditmos deploy --run`: what it says through resets, errors, bad input."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import serial
from deployed import small_spec
from ditmos.bench.golden import Style, made_for, random_model
from ditmos.errors import DitmosError
from ditmos.events import majority, soft
from ditmos.link import alone
from ditmos.link.board import Board
from ditmos.link.deploy import deploy
from ditmos.link.record import Sensor
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.model.signal import Signal
from ditmos.model.writer import write_model
from ditmos.paths import SOURCES
from ditmos.planner import stream_plan
from ditmos.routing import top1
from ditmos.simulated.qemu import Simulator

TIMEOUT = 60.0
EVENTS = "majority(windows=3, least=2)"
DRIVERS = """
from ditmos.capture import pause
from chip import Simulated

class Dead:
    channels, units, scale, rate = ("ax", "ay", "az"), "g", 1 / 4096, 50
    made = 0

    def __init__(self):
        Dead.made += 1
        print("made", Dead.made)

    def readinto(self, block):
        pause(1000)
        for i in range(len(block)):
            block[i] = -1

class Same(Simulated):
    pass

class Slow(Dead):
    rate = 10

class Loud(Dead):
    def readinto(self, block):
        pause(1000)
        for i in range(len(block)):
            block[i] = (32767, -32768)[i // 3 % 2]
"""


@pytest.fixture(scope="module")
def simulated(firmware: Path) -> Iterator[Simulator]:
    with Simulator(firmware) as board:
        yield board


@pytest.fixture
def model(tmp_path: Path) -> Path:
    signal = Signal.of((), ("ax", "ay", "az"), "g", 1 / 4096, 50)
    quantized = made_for(random_model(np.random.default_rng(5), small_spec(), Style.TRAINED), signal, 1 / 64)
    write_model(tmp_path / "model.dtm", quantized, stream_plan(quantized.spec))
    return tmp_path / "model.dtm"


@pytest.fixture
def drivers(tmp_path: Path) -> Path:
    path = tmp_path / "drivers.py"
    path.write_text(DRIVERS)
    (tmp_path / "chip.py").write_text("from sensors import Simulated\n")
    return path


@pytest.fixture(autouse=True)
def _clean(simulated: Simulator) -> Iterator[None]:
    yield
    with Board(simulated.port) as board:
        board.exec("import os\nfor name in os.listdir('/flash'):\n os.remove('/flash/' + name)")


def simulated_rows(count: int) -> np.ndarray:
    """What the driver `Simulated` gives after it was made."""
    spec = importlib.util.spec_from_file_location("sensors", SOURCES / "device" / "sensors.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sensor, row, rows = module.Simulated(), array("h", [0, 0, 0]), []
    for _ in range(count):
        sensor.read(row)
        rows.append(list(row))
    return np.array(rows, np.int16)


def expected(model: Model, hop: int, count: int) -> list[str]:
    """The lines that a board prints of so many rows."""
    rows, scores, hear = simulated_rows(count), soft(model.logit_scale), majority(windows=3, least=2)
    lines = []
    ends = [end for end in range(hop, count + 1, hop) if end >= model.window]
    for end in ends:
        _, k = top1(model, model.quantize(rows[None, end - model.window : end])[0])
        said = hear(scores([int(v) for v in model.classify(k)]))
        if said is not None:
            lines.append(f"{end / 50:.2f} s: {model.class_names[said]} (classifier {k})")
    return lines


def until(line: serial.Serial, what: bytes) -> str:
    heard = line.read_until(what)
    assert heard.endswith(what), heard
    return heard.decode().replace("\r", "")


def test_deploy_run_listens_through_a_reset(simulated: Simulator, model: Path) -> None:
    options = ["--run", "--hop", "25", "--events", EVENTS, "--port", simulated.port]
    done = subprocess.run(
        [sys.executable, "-m", "ditmos", "deploy", str(model), *options],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    assert "listening to Simulated, every 0.5 s" in done.stdout and "it works alone now" in done.stdout
    lines = expected(Model(read_model(model)[0]), 25, 300)
    assert lines
    with serial.Serial(simulated.port, timeout=20) as line:
        until(line, lines[0].encode())
        line.write(b"\x03")
        until(line, b"KeyboardInterrupt")
        until(line, b">>> ")
        line.write(b"import machine; machine.reset()\r")
        assert "error" not in until(line, lines[0].encode())
        line.write(b"\x03")
        until(line, b">>> ")


def install(simulated: Simulator, model: Path, sensor: str, **options: object) -> None:
    with Board(simulated.port) as board:
        deploy(board, model)
        quantized: QuantizedModel = read_model(model)[0]
        alone.install(board, quantized, alone.Settings(sensor, 25, EVENTS), **options)  # type: ignore[arg-type]


def test_a_sensor_that_is_not_for_the_model_is_refused_before_main_is_written(
    simulated: Simulator, model: Path, drivers: Path
) -> None:
    with pytest.raises(DitmosError, match="rate of Slow is 10 Hz, the model was made for 50"):
        install(simulated, model, f"{drivers}:Slow")
    with pytest.raises(DitmosError, match="no driver of that name, but Simulated, WavFile"):
        install(simulated, model, "Nobody")
    with pytest.raises(DitmosError, match="sensor MPU6050: it needs I2C, which this board's firmware has not"):
        install(simulated, model, "MPU6050")
    with Board(simulated.port) as board:
        assert not board.exists(alone.MAIN)
        with pytest.raises(DitmosError, match="sensor Inmp441: it needs I2S, which this board's firmware has not"):
            Sensor(board, "Inmp441")


def test_what_a_driver_imports_comes_with_it(simulated: Simulator, model: Path, drivers: Path) -> None:
    install(simulated, model, f"{drivers}:Same")
    with Board(simulated.port) as board:
        files = board.eval("__import__('os').listdir('/flash')")
    assert {"drivers.py", "chip.py", "main.py", "sensors.py"} <= set(files)


def test_a_main_of_somebody_else_stays(simulated: Simulator, model: Path) -> None:
    with Board(simulated.port) as board:
        board.put(b"print('mine')", alone.MAIN)
    with pytest.raises(DitmosError, match="is there and not from ditmos deploy"):
        install(simulated, model, "Simulated")
    install(simulated, model, "Simulated", replace=True)
    install(simulated, model, "Simulated")  # its own
    with Board(simulated.port) as board:
        assert b"run(" in board.get(alone.MAIN)


def test_a_dead_sensor_is_logged_once_and_tried_again(simulated: Simulator, model: Path, drivers: Path) -> None:
    install(simulated, model, f"{drivers}:Dead")
    with Board(simulated.port) as board:
        board.put(board.get(alone.MAIN).replace(b"gate=0", b"restart=1"), alone.MAIN)
        with pytest.raises(DitmosError, match=r"main.py does not listen: error: OSError: Dead sends nothing"):
            alone.start(board, print)
    with serial.Serial(simulated.port, timeout=20) as line:
        said = until(line, b"made 4")
        assert "class" not in said
        assert "Dead sends nothing: 50 rows in a row are -1, -1, -1; check its wiring and supply" in said
        line.write(b"\x03")
        until(line, b">>> ")
    with Board(simulated.port) as board:
        log = board.get("/flash/ditmos.log").decode().splitlines()
    assert len(log) == 1 and re.fullmatch(r"\d+ s after the start: OSError: Dead sends nothing: .*", log[0])


def test_what_does_not_mend_ends_it(simulated: Simulator, model: Path, drivers: Path) -> None:
    install(simulated, model, f"{drivers}:Loud")
    with Board(simulated.port) as board:
        board.put(drivers.read_bytes().replace(b"rate = 10", b"rate = 10.0").replace(b"50", b"51"), "/flash/drivers.py")
        board.put(board.get(alone.MAIN).replace(b"Loud", b"Slow"), alone.MAIN)
        with pytest.raises(DitmosError, match="error: ValueError: rate of Slow is 10 Hz"):
            alone.start(board, print)
    with Board(simulated.port) as board:
        assert "ValueError: rate of Slow is 10 Hz" in board.get("/flash/ditmos.log").decode()


def test_clipping_time_and_heap_are_reported(simulated: Simulator, model: Path, drivers: Path) -> None:
    install(simulated, model, f"{drivers}:Loud")
    program = "from ditmos import alone\nalone.REPORT = 0.2\nfrom drivers import Loud\nalone.run(Loud, hop=25)\n"
    with Board(simulated.port) as board:
        board.put(program.encode(), alone.MAIN)
        alone.start(board, print)
    with serial.Serial(simulated.port, timeout=20) as line:
        found = []
        for _ in range(12):
            until(line, b"windows, ")
            report = until(line, b"\n")
            match = re.search(
                r"0 spared, \d+ events; awake ([\d.]+) %, about ([\d.]+) mA; (\d+) clipped, 0 lost; (\d+)", report
            )
            assert match, report
            found.append(tuple(map(float, match.groups())))
        line.write(b"\x03")
        until(line, b">>> ")
    awake, current, clipped, free = map(np.array, zip(*found, strict=True))
    assert (np.diff(clipped) > 0).all() and (clipped % 75 == 0).all()
    assert ((awake > 0) & (awake < 100)).all() and np.allclose(current, 24 + 0.75 * awake, atol=0.2)
    assert np.ptp(free[4:]) <= 256  # the collector takes what lies on the stack for a pointer, now and then
