"""Streams on the simulated board, clean and disturbed: what must hold, measured (docs/protocol.md)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.bench.golden import Style, random_model, random_windows
from ditmos.bench.route import decide
from ditmos.bench.witness import Witness
from ditmos.errors import DitmosError
from ditmos.link.board import Board
from ditmos.link.deploy import Place, deploy
from ditmos.link.stream import Stream
from ditmos.model.policy import own_policy
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, reference_spec
from ditmos.model.writer import write_model
from ditmos.planner import stream_plan
from ditmos.progress import Report
from ditmos.simulated.qemu import Simulator

HOPS = (1, 2, 4, 8, 16, 32)


def small_spec() -> NetworkSpec:
    """A network on windows of 32 x 3, so that a window is one frame."""
    branch = BranchSpec((ConvSpec(4, 5), ConvSpec(4, 3)))
    return NetworkSpec(32, 3, 6, 4, branch, branch, aggregate=(1,))


def measure(
    firmware: Path | None = None,
    *,
    windows: int = 20_000,
    frames: int = 100_000,
    rate: float = 1e-3,
    interrupts: int = 20,
    seed: int = 0,
    report: Report = lambda what, done, total: None,
) -> dict[str, Any]:
    """All figures. ``rate``: faults per byte in the disturbed part.

    Raises:
        DitmosError: no firmware, or a stream that does not come through.
    """
    rng = np.random.default_rng(seed)
    model = random_model(rng, small_spec(), Style.TRAINED)
    reference = Model(model)
    with TemporaryDirectory() as folder:
        small = Path(folder) / "small.dtm"
        write_model(small, model, stream_plan(model.spec))
        large = Path(folder) / "large.dtm"
        network = random_model(rng, reference_spec(), Style.TRAINED)
        write_model(large, network, stream_plan(network.spec))
        figures: dict[str, Any] = {}
        with Simulator(firmware) as board:
            with Board(board.port) as connected:
                deploy(connected, small, Place.flash)
                figures["clean"] = clean(connected, reference, windows, seed, report)
                figures["faults"] = disturbed(connected, reference, frames, rate, seed, report)
                figures["interrupts"] = interrupted(connected, reference, interrupts, seed, report)
            figures["killed"] = killed(board.port, report)
            figures["silent"] = silent(board, report)
        with Simulator(firmware, icount=True) as board, Board(board.port) as connected:
            deploy(connected, large, Place.ram)
            figures["slide"] = slide(connected, report)
    figures["bars"] = bars(figures)
    return figures


def bars(figures: dict[str, Any]) -> dict[str, bool]:
    """What must hold."""
    clean, faults = figures["clean"], figures["faults"]
    return {
        "clean: nothing lost, doubled, reordered or wrong": not any(
            clean[key] for key in ("lost", "out_of_order", "wrong", "damaged", "restarts")
        ),
        "clean: heap low-water mark flat after the first 100 results": clean["heap_low"] == clean["heap_warm"] > 0,
        "faults: nothing lost, doubled, reordered or wrong": not any(
            faults[key] for key in ("lost", "out_of_order", "wrong")
        ),
        "faults: no damaged frame accepted": faults["false_accepts"] == 0,
        "faults: every undisturbed frame understood": faults["undisturbed_missed"] == 0,
        "Ctrl-C always returns to the REPL": figures["interrupts"]["returned"] == figures["interrupts"]["tried"],
        "a killed host script leaves a usable board": figures["killed"]["usable"],
        "a silent board is reported within 3 s": figures["silent"]["seconds"] <= 3.0,
        "hop 8: at most a quarter of the instructions": figures["slide"]["hops"]["8"]["ratio"] <= 0.25,
    }


def expected_answers(reference: Model, windows: NDArray[np.int8]) -> list[tuple[int, int]]:
    """(label, who answered) by the model's own policy."""
    decisions = decide(own_policy(reference.model), reference, windows)
    return list(zip(decisions.label.tolist(), decisions.who.tolist(), strict=True))


class _Check:
    """Compares results as they come."""

    def __init__(self, expected: list[tuple[int, int]]) -> None:
        self.expected = expected
        self.seen = self.out_of_order = self.wrong = 0
        self.latency: list[float] = []

    def add(self, result: Any) -> None:
        self.out_of_order += result.number != self.seen
        answer = (result.label, result.who)
        self.wrong += result.number >= len(self.expected) or answer != self.expected[result.number]
        self.seen += 1
        self.latency.append(result.latency)

    def figures(self) -> dict[str, Any]:
        p50, p99 = np.percentile(np.array(self.latency) * 1000, (50, 99))
        return {
            "windows": len(self.expected),
            "lost": len(self.expected) - self.seen,
            "out_of_order": self.out_of_order,
            "wrong": self.wrong,
            "latency_p50_ms": round(float(p50), 1),
            "latency_p99_ms": round(float(p99), 1),
        }


def clean(board: Board, reference: Model, count: int, seed: int, report: Report) -> dict[str, Any]:
    """Whole windows, as fast as the line takes them."""
    windows = random_windows(np.random.default_rng(seed + 1), reference.spec, count)
    check = _Check(expected_answers(reference, windows))
    stream = Stream(board)
    began = time.monotonic()
    for result in stream.run(windows, windows.dtype):
        check.add(result)
        if check.seen % 100 == 0:
            report("windows", check.seen, count)
    seconds = time.monotonic() - began
    counts = stream.counts
    return check.figures() | {
        "seconds": round(seconds, 1),
        "windows_per_second": round(count / seconds, 1),
        "bytes_per_second": round(windows.nbytes / seconds),
        "frames_sent": counts.sent,
        "damaged": counts.bad + counts.device["bad"],
        "repeated": counts.resent,
        "restarts": counts.restarts,
        "heap_warm": counts.device["heap_warm"],
        "heap_low": counts.device["heap_low"],
    }


def disturbed(board: Board, reference: Model, frames: int, rate: float, seed: int, report: Report) -> dict[str, Any]:
    """Samples at a hop of 8 until so many frames were sent to the board, with faults both ways from the first byte."""
    hop = 8
    stream = Stream(board, hop=hop)
    undisturbed = board.serial
    line = Witness(undisturbed, rate, seed)
    board.disturb(lambda port: line)
    rng = np.random.default_rng(seed + 2)
    fed: list[NDArray[np.int8]] = []

    def blocks() -> Iterator[NDArray[np.int8]]:
        while line.frames < frames:
            fed.append(random_windows(rng, reference.spec, 4).reshape(-1, reference.channels))
            yield fed[-1]

    began = time.monotonic()
    answers, latency = [], []
    for result in stream.run(blocks(), np.int8):
        answers.append((result.number, result.label, result.who))
        latency.append(result.latency)
        if len(answers) % 100 == 0:
            report("frames, disturbed", min(line.frames, frames), frames)
    board.disturb(lambda port: undisturbed)
    samples = np.concatenate(fed)
    count = (len(samples) - reference.window) // hop + 1
    check = _Check(
        expected_answers(reference, np.stack([samples[i * hop : i * hop + reference.window] for i in range(count)]))
    )
    for number, label, who in answers:
        check.out_of_order += number != check.seen
        check.wrong += number >= count or (label, who) != check.expected[number]
        check.seen += 1
    check.latency = latency
    counts = stream.counts
    return (
        check.figures()
        | line.figures()
        | {
            "seconds": round(time.monotonic() - began, 1),
            "repeated": counts.resent,
            "restarts": counts.restarts,
        }
    )


def interrupted(board: Board, reference: Model, tries: int, seed: int, report: Report) -> dict[str, Any]:
    """Ctrl-C at random moments of a stream, with nothing else said to the board: is the REPL there, and when?"""
    rng = np.random.default_rng(seed + 3)
    windows = random_windows(rng, reference.spec, 2000)
    returned, longest = 0, 0.0
    for i in range(tries):
        results = Stream(board).run(windows, windows.dtype)
        for _ in range(int(rng.integers(1, 12))):
            next(results)
        time.sleep(float(rng.uniform(0, 0.01)))
        began = time.monotonic()
        results.close()  # Ctrl-C and the raw REPL
        longest = max(longest, time.monotonic() - began)
        returned += board.eval("6 * 7") == 42
        report("Ctrl-C", i + 1, tries)
    return {"tried": tries, "returned": returned, "longest_seconds": round(longest, 2)}


_VICTIM = """
import sys, itertools, numpy as np
from ditmos.link.board import Board
board = Board(sys.argv[1], soft_reset=False)
for result in board.stream(itertools.repeat(np.ones((32, 3), np.int8)), dtype=np.int8, hop=8):
    print(result.number, flush=True)
"""


def killed(port: str, report: Report) -> dict[str, Any]:
    """Kill a streaming script without a chance to clean up, then use the board from the next one."""
    report("killed script", 0, 1)
    script = subprocess.Popen([sys.executable, "-c", _VICTIM, port], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert script.stdout
        for _ in range(5):
            if not script.stdout.readline():
                raise DitmosError(f"the script to be killed ended by itself: {script.communicate()[1].decode()}")
    finally:
        script.kill()
        script.wait()
    began = time.monotonic()
    with Board(port, soft_reset=False) as board:
        usable = board.eval("6 * 7") == 42
        results = list(Stream(board).run([np.zeros((64, 3), np.int8)], np.int8))
    report("killed script", 1, 1)
    return {"usable": usable and len(results) == 2, "seconds": round(time.monotonic() - began, 2)}


def silent(simulator: Simulator, report: Report) -> dict[str, Any]:
    """Stop the board's processor in the middle of a stream: how long until the host says so?"""
    report("silent board", 0, 1)
    message = ""
    process = simulator.pid
    assert process is not None
    with Board(simulator.port, soft_reset=False) as board:
        results = board.stream(repeat(np.ones((32, 3), np.int8)), dtype=np.int8, hop=8)
        for _ in range(5):
            next(results)
        os.kill(process, signal.SIGSTOP)
        began = time.monotonic()
        try:
            for _ in results:
                began = time.monotonic()  # on its way when the board was stopped
        except DitmosError as error:
            message = str(error)
        finally:
            seconds = time.monotonic() - began
            os.kill(process, signal.SIGCONT)
    report("silent board", 1, 1)
    return {"seconds": round(seconds, 2) if message else float("inf"), "message": message}


_SLIDE = """
import time
from array import array
def ticks(call, argument):
    start = time.ticks_cpu()
    call(argument)
    return time.ticks_diff(time.ticks_cpu(), start)
def run(hop):
    m, k = _model, 1
    size = m.window * m.channels
    window = array('b', bytes((i * 31 + (i * i >> 3)) & 255 for i in range(size)))
    new = array('b', bytes(i * 17 & 255 for i in range(hop * m.channels)))
    m.select(window)
    m.classify(k)
    full = ticks(m.select, window), ticks(m.classify, k)
    m.slide(new)
    m.classify(k)
    same = ticks(m.slide, new), ticks(m.classify, k)
    m.slide(new)
    other = ticks(m.classify, k + 1)
    return full + same + (other,)
"""


def slide(board: Board, report: Report) -> dict[str, Any]:
    """Instructions of select and classify on the reference network: computed anew, and slid on by a hop."""
    board.exec(_SLIDE)
    hops = {}
    for i, hop in enumerate(HOPS):
        select, classify, slid, same, other = board.eval(f"run({hop})")
        hops[str(hop)] = {
            "recomputed": select + classify,
            "slid": slid + same,
            "slid_other_classifier": slid + other,
            "ratio": round((slid + same) / (select + classify), 4),
        }
        report("hops", i + 1, len(HOPS))
    return {"network": "reference, 151 x 3, 222,928 MACs", "hops": hops}
