"""Everything that needs silicon: ``pytest -m hardware --port /dev/ttyACM0``. Also runs on an emulated board's port."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from ditmos.firmware.memorymap import ITCM
from ditmos.firmware.nucleo import MIN_HEAP
from ditmos.link.board import Board
from ditmos.link.deploy import Place, deploy
from ditmos.link.stream import classify
from ditmos.link.verify import verify
from ditmos.paths import SOURCES
from hardware_model import HardwareModel

pytestmark = pytest.mark.hardware

MHZ = 216
REPEAT = 20
Report = dict[str, Any]


def test_firmware(board: Board, report: Report) -> None:
    probe = board.require_module()
    assert "STM32F767" in probe.machine
    board.exec("import machine, gc, tcm; gc.collect()")
    report["clock_hz"] = board.eval("machine.freq()[0]")
    report["heap_bytes"] = board.eval("gc.mem_free() + gc.mem_alloc()")
    assert report["clock_hz"] == MHZ * 1_000_000
    assert report["heap_bytes"] >= MIN_HEAP
    assert all(address in ITCM for address in board.eval("tcm.kernels()"))


def test_cycle_counter(board: Board, report: Report) -> None:
    """It counts core cycles: 100 ms are 21.6 million of them."""
    board.exec("import time\ndef f():\n t = time.ticks_cpu()\n time.sleep_ms(100)\n"
               " return time.ticks_diff(time.ticks_cpu(), t)")  # fmt: skip
    report["cycles_in_100_ms"] = board.eval("f()")
    assert report["cycles_in_100_ms"] == pytest.approx(100_000 * MHZ, rel=0.02)


@pytest.mark.parametrize("place", [Place.flash, Place.rom, Place.ram])
def test_deploy(board: Board, loaded: HardwareModel, report: Report, place: Place) -> None:
    if place is Place.flash:  # which has no room for two; the suite may have run before
        board.exec("import os\nif 'model.dtm' in os.listdir('/flash'): os.remove('/flash/model.dtm')")
    start = time.perf_counter()
    deployed = deploy(board, loaded.file, place, replace=True)
    report[f"deploy_{place}_seconds"] = round(time.perf_counter() - start, 2)
    assert deployed.place is place
    assert deployed.bytes == loaded.file.stat().st_size


def test_verify(board: Board, loaded: HardwareModel, report: Report) -> None:
    """Slice by slice and end to end, byte for byte."""
    result = verify(board, loaded.file, loaded.windows)
    report["verify"] = {"windows": len(loaded.windows), "equal": result.equal}
    assert result.equal, result


def test_bench(board: Board, loaded: HardwareModel, report: Report, pace: float) -> None:
    deploy(board, loaded.file, Place.flash, replace=True)
    output = board.run(SOURCES / "device" / "bench.py", ["--json", "--repeat", str(REPEAT)], timeout=60 * pace)
    report["bench"] = json.loads(output.splitlines()[-1])
    parts = report["bench"]["parts"]
    slices = sum(part["median"] for name, part in parts.items() if name.startswith("slice"))
    assert slices == pytest.approx(parts["select"]["median"] + parts["classify"]["median"], rel=0.1)


def test_stream(board: Board, loaded: HardwareModel, report: Report) -> None:
    """All windows at the line's full speed: every result once, in order, with the reference's classifier and logits."""
    start = time.perf_counter()
    results = list(classify(board, loaded.windows, logits=True))
    seconds = time.perf_counter() - start
    report["stream"] = {
        "windows_per_second": round(len(results) / seconds, 2),
        "latency_median_ms": round(1000 * float(np.median([result.latency for result in results])), 1),
        "device_median_us": int(np.median([result.microseconds for result in results])),
    }
    assert [result.number for result in results] == list(range(len(loaded.windows)))
    choice = loaded.model.select_batch(loaded.windows).argmax(1)
    assert [result.classifier for result in results] == choice.tolist()
    logits = loaded.model.classify_batch(loaded.windows)[np.arange(len(choice)), choice]
    assert all(np.array_equal(result.logits, row) for result, row in zip(results, logits, strict=True))


def test_receive_overrun_does_not_hang(board: Board, pace: float) -> None:
    """Bytes sent while the program sleeps are lost when the buffer is full; the board answers afterwards."""
    board.start("import time, sys, select\ntime.sleep(1)\np = select.poll()\np.register(sys.stdin, select.POLLIN)\n"
                "n = 0\nwhile p.poll(200):\n sys.stdin.buffer.read(1)\n n += 1\nprint(n)\n")  # fmt: skip
    board.serial.write(b"." * 6000)  # half a second at 115200 baud, into 2 KiB
    taken = int(board.finish(timeout=10 * pace).strip())
    assert 1000 < taken < 6000
    assert board.eval("6 * 7") == 42


def test_soft_and_hard_reset_keep_files(port: str, pace: float) -> None:
    with Board(port) as board:
        board.put(b"kept", "/flash/note")
    with Board(port) as board:
        assert board.get("/flash/note") == b"kept"
        board.start("import machine; machine.reset()")
    time.sleep(3 * pace)
    with Board(port) as board:
        assert board.get("/flash/note") == b"kept"
        board.exec("import os; os.remove('/flash/note')")
