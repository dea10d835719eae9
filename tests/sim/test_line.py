"""A line that is noisy, goes dead, or is held: one line of an error, or none at all where the board can be had back."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from ditmos.errors import DitmosError
from ditmos.link.board import Board
from ditmos.link.record import Sensor
from ditmos.link.tape import Tape
from ditmos.simulated.qemu import Simulator
from recording import Recording

NOISE = 30  # bursts


@pytest.fixture(scope="module")
def simulated(firmware: Path, recording: Recording) -> Iterator[Simulator]:
    with Simulator(firmware, romfs=recording.folder) as board:
        yield board


@pytest.fixture
def dying(firmware: Path, recording: Recording) -> Iterator[tuple[Board, Callable[[], None]]]:
    """A board, and what unplugs it."""
    with Simulator(firmware, romfs=recording.folder) as simulator:
        board = Board(simulator.port)

        def unplug() -> None:
            os.kill(simulator.pid, signal.SIGKILL)
            time.sleep(0.2)

        yield board, unplug
        board.close()


def test_every_call_on_an_unplugged_board_is_one_line(dying):
    board, unplug = dying
    unplug()
    calls = (
        lambda: board.exec("1"),
        board.probe,
        board.soft_reset,
        board.regain,
        board.interrupt,
        lambda: board.start("1"),
        lambda: board.get("/flash/x"),
        lambda: board.put(b"x", "/flash/x"),
        lambda: Board(board.port),
    )
    for call in calls:
        with pytest.raises(DitmosError) as caught:
            call()
        assert board.port in str(caught.value) and "\n" not in str(caught.value)


def test_a_stream_whose_board_is_unplugged_says_so(dying, recording):
    board, unplug = dying
    windows = np.concatenate([recording.windows] * 20)
    results = board.classify(windows)
    next(results)
    unplug()
    with pytest.raises(DitmosError, match="the line broke"):
        list(results)


def test_a_sensor_whose_board_is_unplugged_says_so(dying):
    board, unplug = dying
    blocks = Sensor(board).samples()
    next(blocks)
    unplug()
    with pytest.raises(DitmosError, match="the line broke"):
        list(blocks)


@pytest.mark.parametrize("end", ["unplugged", "killed"])
def test_a_stream_that_ends_early_leaves_its_tape(firmware, recording, tmp_path, end):
    rows = np.random.default_rng(1).integers(-9000, 9000, (151 + 3000, 4))
    np.savetxt(tmp_path / "rows.csv", rows, fmt="%d", delimiter=",")
    tape, summary = tmp_path / "tape.npz", tmp_path / "summary.json"
    with Simulator(firmware, romfs=recording.folder) as simulator:
        command = [
            sys.executable,
            "-m",
            "ditmos",
            "stream",
            "--port",
            simulator.port,
            "--source",
            tmp_path / "rows.csv",
        ]
        command += ["--hop", "8", "--rate", "100"]
        command += ["--record", tape, "--json", summary]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        lines = 0
        began = time.monotonic()
        while lines < 5 or (not tape.exists() and time.monotonic() - began < 30):  # written every two seconds
            lines += bool(process.stdout.readline())
        if end == "killed":
            process.kill()
        else:
            os.kill(simulator.pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=20)
    kept = Tape.load(tape)
    assert len(kept.results) > 0 and len(kept.samples) > 151
    if end == "unplugged":
        assert process.returncode == 2 and "the line broke" in errors and "Traceback" not in errors, errors
        assert len(kept.results) >= lines and "the line broke" in json.loads(summary.read_text())["error"]


def test_a_port_that_died_between_two_uses(dying):
    board, unplug = dying
    board.close()
    unplug()
    with pytest.raises(DitmosError, match="no board there"):
        Board(board.port)


def test_the_first_connection_after_noise(simulated):
    """Whatever came over the line while nobody used it: control characters, half a paste, half a string."""
    chance = random.Random(1)
    left = (
        b"\x05x = 1\r\n",
        b"\x01print('",
        b"\x01\x05A\x01half a pas",
        b"\x01\x05A",
        b"'''\r\n",
        b"\x04",
        b"\x02\x01\x04",
    )
    bursts = [*left, *(chance.randbytes(chance.randrange(1, 300)) for _ in range(NOISE - len(left)))]
    for burst in bursts:
        line = os.open(simulated.port, os.O_RDWR | os.O_NOCTTY)
        os.write(line, burst)
        os.close(line)
        with Board(simulated.port, soft_reset=False) as board:
            assert board.eval("6 * 7") == 42, burst


def test_what_noise_makes_of_an_answer_is_one_line(simulated, monkeypatch):
    with Board(simulated.port) as board:
        for said in (
            "",
            "'x'",
            "(1, 2)",
            "('a', 'b', 'c', 'd', 'e')",
            "('a', 'b', 1, 'd')",
            "{[]: 1}",
            "(" * 3000,
            "\0",
        ):
            monkeypatch.setattr(board, "exec", lambda code, said=said: said)
            with pytest.raises(DitmosError, match=f"^{board.port}: "):
                board.probe()


def mount_and_kill(port: str, folder: Path, code: str) -> None:
    """`mpremote mount`, killed while the board runs something."""
    (folder / "loop.py").write_text(code)
    command = [sys.executable, "-m", "mpremote", "connect", port, "mount", str(folder), "run", str(folder / "loop.py")]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout
    hung = threading.Timer(20, process.kill)
    hung.start()
    try:
        assert b"reading" in process.stdout.readline() + process.stdout.readline()
        time.sleep(0.3)
    finally:
        hung.cancel()
        process.kill()
        process.wait()


def test_a_killed_mount_is_let_go(simulated, tmp_path):
    """Ctrl-C ends the program, and the folder is still the current one: nothing may be looked up there."""
    for _ in range(2):
        mount_and_kill(simulated.port, tmp_path, "import time\nprint('reading')\ntime.sleep(60)\n")
        with Board(simulated.port, soft_reset=False) as board:
            assert board.probe().ditmos and board.eval("__import__('os').getcwd()") == "/flash"


@pytest.mark.parametrize("read", ["f.seek(0); f.readinto(b)", "open('data.bin', 'rb').read(700)", "os.listdir()"])
def test_a_board_is_had_back_from_a_killed_mount(simulated, tmp_path, read):
    """Killed while the board reads from it with Ctrl-C switched off."""
    (tmp_path / "data.bin").write_bytes(random.Random(2).randbytes(20_000))
    code = f"import os\nf = open('data.bin', 'rb')\nb = bytearray(900)\nprint('reading')\nwhile True:\n {read}\n"
    mount_and_kill(simulated.port, tmp_path, code)
    for attempts in range(2):
        line = os.open(simulated.port, os.O_RDWR | os.O_NOCTTY)
        os.write(line, b"\r\x03\r\x01" * 2 * attempts)  # as mpremote tries, and gives up
        os.close(line)
        for _ in range(2):  # had back, and with the folder still mounted
            with Board(simulated.port, soft_reset=False) as board:
                assert board.probe().ditmos
        mount_and_kill(simulated.port, tmp_path, code)
    Board(simulated.port).close()
