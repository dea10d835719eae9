"""The launcher: start, stop, files behind the board, and the command line around it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ditmos.errors import DitmosError
from ditmos.link.board import Board
from ditmos.simulated.qemu import EXTERNAL_MEMORY, ROMFS_SIZE, Simulator


def test_flash_file_outlives_the_board(firmware: Path, tmp_path: Path) -> None:
    flash = tmp_path / "flash.img"
    with Simulator(firmware, flash=flash) as simulated:
        with Board(simulated.port) as board:
            board.put(b"here", "/flash/note")
        with pytest.raises(DitmosError, match="in use by another simulated board"), Simulator(firmware, flash=flash):
            pass
    assert not simulated.running
    with Simulator(firmware, flash=flash) as simulated, Board(simulated.port) as board:
        assert board.get("/flash/note") == b"here"
    assert flash.stat().st_size == EXTERNAL_MEMORY


@pytest.mark.skipif(not shutil.which("setpriv"), reason="no setpriv here")
def test_a_board_ends_with_whoever_started_it() -> None:
    """Also where that is killed. A thread's end ends none."""
    script = """
import subprocess, threading
from ditmos.simulated.process import ending_with_us
made = []
start = lambda: made.append(subprocess.Popen(ending_with_us(["sleep", "60"])).pid)
start()
thread = threading.Thread(target=start)
thread.start()
thread.join()
print(*made, flush=True)
input()
"""
    starter = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    bound, free = map(int, starter.stdout.readline().split())
    end = time.monotonic() + 20
    try:
        while any(Path(f"/proc/{pid}/comm").read_text() != "sleep\n" for pid in (bound, free)):  # setpriv before
            assert time.monotonic() < end
            time.sleep(0.01)
        starter.kill()
        starter.wait(20)
        end = time.monotonic() + 20
        while _lives(bound) and time.monotonic() < end:
            time.sleep(0.01)
        assert not _lives(bound) and _lives(free)
    finally:
        os.kill(free, signal.SIGKILL)
        starter.communicate()


def _lives(pid: int) -> bool:
    """Whether there is such a process, and no corpse."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_main_py_runs_at_start(firmware: Path, tmp_path: Path) -> None:
    flash = tmp_path / "flash.img"
    with Simulator(firmware, flash=flash) as simulated, Board(simulated.port) as board:
        board.put(b"print('main was here')\nwhile True: pass\n", "/flash/main.py")
    with Simulator(firmware, flash=flash) as simulated, Board(simulated.port) as board:
        assert board.eval("'interrupted'") == "interrupted"


def test_socket(firmware: Path) -> None:
    with Simulator(firmware, serial="socket") as simulated:
        assert simulated.port.startswith("socket://127.0.0.1:")
        for _ in range(2):
            with Board(simulated.port) as board:
                assert board.eval("6 * 7") == 42


def test_instructions_are_exact(firmware: Path) -> None:
    """An empty loop of n passes costs a + b n instructions, the same in every run, but for the first."""
    code = (
        "import time\ndef f(n):\n t = time.ticks_cpu()\n for i in range(n): pass\n"
        " return time.ticks_diff(time.ticks_cpu(), t)\nprint([f(n) for n in (1, 100, 200, 300, 300)])"
    )
    with Simulator(firmware, icount=True) as simulated, Board(simulated.port) as board:
        _, a, b, c, again = eval(board.exec(code))
    assert b - a == c - b
    assert c == again


def test_files_that_do_not_fit(firmware: Path, tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"x")
    with (
        pytest.raises(DitmosError, match=f"1 bytes, expected the {EXTERNAL_MEMORY}"),
        Simulator(firmware, flash=tmp_path / "short"),
    ):
        pass
    (tmp_path / "large").write_bytes(bytes(ROMFS_SIZE + 1))
    with pytest.raises(DitmosError, match="expected at most"), Simulator(firmware, romfs=tmp_path / "large"):
        pass
    with pytest.raises(DitmosError, match="no such folder"), Simulator(firmware, romfs=tmp_path / "none"):
        pass
    with pytest.raises(DitmosError, match="no such firmware"), Simulator(tmp_path / "none.elf"):
        pass
    with (
        pytest.raises(DitmosError, match=r"the board (did not start|printed no prompt)"),
        Simulator(tmp_path / "short"),
    ):
        pass


def test_command_prints_the_port_and_stops_on_interrupt(firmware: Path) -> None:
    command = [sys.executable, "-c", "from ditmos.cli import main; main()", "sim", "--firmware", str(firmware)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stderr
            port = process.stdout.readline().strip()
            assert f"mpremote connect {port} " in process.stderr.readline()
            with Board(port) as board:
                assert board.eval("1") == 1
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            assert process.stderr.read() == "stopped\n"
        finally:
            process.terminate()
    with pytest.raises(DitmosError, match=r"no board there|no MicroPython answers"):
        Board(port)


def test_bad_input_on_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from ditmos.cli import main; main()", "sim", "--firmware", str(tmp_path / "no")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("ditmos: ") and done.stderr.count("\n") == 1
