"""Boards at the end of a line: files, programs, interrupts, and every way to fail."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ditmos.errors import DitmosError
from ditmos.link.board import Board
from ditmos.link.repl import BoardError, Probe
from ditmos.simulated.qemu import Simulator

BYTES = bytes(range(256)) * 9 + b"end"


def test_probe(board: Board) -> None:
    found = board.require_module()
    assert found.machine.startswith("SIM_F767 ")
    assert found.micropython >= "1.25"
    assert found.ditmos


def test_files(board: Board) -> None:
    seen = []
    board.put(BYTES, "/flash/file.bin", lambda done, count: seen.append((done, count)))
    assert board.get("/flash/file.bin") == BYTES
    assert seen[-1] == (len(BYTES), len(BYTES))
    board.put(b"", "/flash/file.bin")
    assert board.get("/flash/file.bin") == b""
    assert board.exists("/flash/file.bin")
    assert not board.exists("/flash/file.bin.new")
    board.exec("import os\nos.remove('/flash/file.bin')")
    with pytest.raises(DitmosError, match=r"cannot read /flash/file.bin: No such file"):
        board.get("/flash/file.bin")
    with pytest.raises(DitmosError, match=r"cannot write /rom/file.bin"):
        board.put(BYTES, "/rom/file.bin")


def test_full_filesystem(board: Board) -> None:
    with pytest.raises(DitmosError, match=r"cannot write /flash/file.bin of 100000 bytes: .*28"):
        board.put(bytes(100_000), "/flash/file.bin")
    assert board.eval("__import__('os').listdir('/flash')") == []


def test_mpremote_files(mpremote: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(BYTES)
    mpremote("fs", "cp", tmp_path / "a.bin", ":a.bin")
    assert "a.bin" in mpremote("fs", "ls", ":")
    mpremote("fs", "cp", ":a.bin", tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == BYTES
    mpremote("fs", "rm", ":a.bin")


def test_errors_of_the_program(board: Board) -> None:
    with pytest.raises(BoardError, match="the board raised ZeroDivisionError") as caught:
        board.exec("print('before')\n1/0")
    assert caught.value.output.strip() == "before"
    assert "Traceback" in caught.value.traceback
    assert board.eval("1 + 1") == 2


def test_silent_program_times_out_and_is_interrupted(board: Board) -> None:
    began = time.monotonic()
    with pytest.raises(DitmosError, match="does not answer"):
        board.exec("while True: pass", timeout=0.5)
    assert time.monotonic() - began < 3
    board.soft_reset()
    assert board.eval("2 * 3") == 6


def test_binary_conversation(board: Board) -> None:
    board.start("import sys\nwhile True:\n sys.stdout.buffer.write(sys.stdin.buffer.read(1))")
    data = bytes(i for i in range(256) if i != 3)
    board.serial.write(data)
    received = b""
    end = time.monotonic() + 10
    while len(received) < len(data) and time.monotonic() < end:
        received += board.serial.read(64)
    assert received == data
    board.interrupt()
    with pytest.raises(BoardError, match="KeyboardInterrupt"):
        board.finish()


def test_interrupt_reaches_a_program_that_reads_nothing(board: Board) -> None:
    """More is on the line than the receive buffer holds; after half a second it is dropped, and Ctrl-C is seen."""
    board.start("while True: pass")
    board.serial.write(b"x" * 600)
    time.sleep(0.2)
    board.interrupt()
    with pytest.raises(BoardError, match="KeyboardInterrupt"):
        board.finish(timeout=10)
    board.soft_reset()
    assert board.eval("'alive'") == "alive"


def test_what_follows_an_interrupt_is_for_the_repl(board: Board) -> None:
    """Ctrl-C and Ctrl-A at once, as mpremote sends them, to a program that is about to read."""
    busy = "import sys, time\nwhile True:\n time.sleep_us(200000)\n sys.stdin.buffer.readinto(data)"
    board.start(f"data = bytearray(50)\nprint('on')\n{busy}")
    assert board.serial.read(4) == b"on\r\n"
    board.serial.write(b"half\r\x03\r\x01")
    board.regain()
    read = board.eval("bytes(data)").rstrip(b"\0")  # something if the program was about to read before we wrote
    assert b"half\r".startswith(read)


def test_nothing_is_lost_while_a_program_is_busy(board: Board) -> None:
    """The buffer holds 259 bytes, qemu the rest, as long as the program reads again within half a second."""
    code = (
        "import sys, time\nn = 0\n"
        "for _ in range(4):\n t = time.ticks_ms()\n while time.ticks_diff(time.ticks_ms(), t) < 100: pass\n"
        " for _ in range(250): n += sys.stdin.buffer.read(1)[0]\nprint(n)"
    )
    board.start(code)
    board.serial.write(b"\x07" * 1000)
    assert int(board.finish()) == 7000


def test_sleep_and_poll_end_in_time(board: Board) -> None:
    code = (
        "import select, sys, time\np = select.poll()\np.register(sys.stdin, select.POLLIN)\n"
        "a = time.ticks_ms()\np.poll(120)\nb = time.ticks_ms()\ntime.sleep_ms(75)\nc = time.ticks_ms()\n"
        "print((b - a, c - b))"
    )
    polled, slept = eval(board.exec(code))
    assert 120 <= polled <= 140
    assert 75 <= slept <= 95


def test_time_does_not_go_back_where_the_timer_wraps(board: Board) -> None:
    """The timer's interrupt is held back as it wraps: what it will count is in the readings before."""
    code = (
        "import time, uctypes\n"
        "def word(address): return uctypes.struct(address, {'word': uctypes.UINT32})\n"
        "enable, disable, timer = word(0xE000E100), word(0xE000E180), word(0x40000004)\n"
        "disable.word = 1 << 8\ntimer.word = 25000\n"
        "a = time.ticks_us()\nwhile timer.word <= 25000: pass\nb = time.ticks_us()\n"
        "enable.word = 1 << 8\nc = time.ticks_us()\n"
        "print((time.ticks_diff(b, a), time.ticks_diff(c, b)))"
    )
    over, counted = eval(board.exec(code))
    assert 0 < over < 1_000_000
    assert 0 <= counted < 1_000_000


def test_a_board_may_take_its_time_to_take_in_code(simulated: Simulator, board: Board) -> None:
    os.kill(simulated.pid, signal.SIGSTOP)
    waking = threading.Timer(2.5, os.kill, (simulated.pid, signal.SIGCONT))
    waking.start()
    try:
        assert board.exists("/flash")
    finally:
        waking.join()


def test_reset_keeps_files(board: Board) -> None:
    board.put(b"kept", "/flash/kept")
    board.start("import machine\nmachine.reset()")
    time.sleep(1)
    board.soft_reset()
    assert board.get("/flash/kept") == b"kept"
    board.exec("import os\nos.remove('/flash/kept')")


def test_tightly_coupled_memory(board: Board) -> None:
    assert board.eval("len(__import__('tcm').data)") == 32 << 10


def test_port_in_use(simulated: Simulator, board: Board) -> None:
    with pytest.raises(DitmosError, match="in use by another program"):
        Board(simulated.port)


def test_no_board() -> None:
    with pytest.raises(DitmosError, match=r"/dev/ttyNONE: no board there"):
        Board("/dev/ttyNONE")
    with pytest.raises(DitmosError, match="nothing listens there"):
        Board("socket://127.0.0.1:1")
    with pytest.raises(DitmosError, match="not a port"):
        Board("nonsense://x")


def test_silent_board_is_reported_within_three_seconds() -> None:
    master, slave = os.openpty()
    try:
        began = time.monotonic()
        with pytest.raises(DitmosError, match=r"no MicroPython answers \(nothing heard"):
            Board(os.ttyname(slave))
        assert time.monotonic() - began < 3
    finally:
        os.close(master)
        os.close(slave)


def test_board_without_the_module(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "probe", lambda: Probe("NUCLEO_F767ZI with STM32F767", "1.25.0", False, ""))
    with pytest.raises(DitmosError, match="without the _ditmos module"):
        board.require_module()
