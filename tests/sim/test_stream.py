"""Streams on the simulated board: results against the reference, and whatever goes wrong on the way."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import ditmos
import numpy as np
import pytest
from deployed import small_spec
from ditmos.bench.golden import Style, random_model, random_windows
from ditmos.bench.route import decide
from ditmos.bench.witness import Witness
from ditmos.errors import DitmosError
from ditmos.link.board import Board
from ditmos.link.deploy import Place, deploy
from ditmos.link.stream import Stream, classify, samples
from ditmos.link.tape import Tape
from ditmos.model.policy import parse_policy
from ditmos.model.reference import Model
from ditmos.model.writer import write_model
from ditmos.planner import front, stream_plan
from ditmos.simulated.qemu import Simulator
from recording import Recording

STATEFUL = """
from ditmos import routing
count = 0
def policy(model, window):
    global count
    count += 1
    if count % 5 == 0:
        return None, None
    return routing.fallback(40)(model, window)
"""


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    """A model file for overlapping windows."""
    model = random_model(np.random.default_rng(11), small_spec(), Style.TRAINED)
    path = tmp_path_factory.mktemp("stream") / "stream.dtm"
    write_model(path, model, stream_plan(model.spec))
    return path, Model(model)


@pytest.fixture(scope="module")
def simulated(firmware: Path, recording: Recording) -> Iterator[Simulator]:
    with Simulator(firmware, romfs=recording.folder) as board:
        yield board


def overlapping(rows: np.ndarray, window: int, hop: int) -> np.ndarray:
    return np.stack([rows[i : i + window] for i in range(0, len(rows) - window + 1, hop)])


def test_windows_come_back_in_order_and_equal(board, recording):
    results = list(ditmos.Board.classify(board, recording.windows, logits=True))
    assert [r.number for r in results] == list(range(len(recording.windows)))
    for i, result in enumerate(results):
        assert result.classifier == recording.choice[i]
        np.testing.assert_array_equal(result.logits, recording.logits[i])
        assert result.label == recording.logits[i].argmax() and result.name == f"class {result.label}"
        assert result.runs == 1 and result.microseconds > 0 and result.latency > 0
        real = (recording.logits[i].astype(int) - recording.model.logit_zero_point) * recording.model.logit_scale
        assert result.confidence == pytest.approx(np.exp(real[result.label]) / np.exp(real).sum())


def test_counts_grow_while_the_stream_runs(board, recording):
    stream = Stream(board)
    sent = [stream.counts.sent for _ in stream.run([recording.windows.reshape(-1, 3)], np.int8)]
    assert 0 < sent[0] < sent[-1] <= stream.counts.sent


@pytest.mark.parametrize("hop", [1, 8, 40, 151])
def test_samples_as_they_come(board, streaming, hop):
    path, model = streaming
    rng = np.random.default_rng(hop)
    rows = random_windows(rng, model.spec, 6).reshape(-1, 3)[: 151 + 23 * hop]
    deploy(board, path, Place.ram)
    blocks = np.array_split(rows, 13)
    results = list(samples(board, blocks, np.int8, hop=hop))
    expected = decide(parse_policy("top1"), model, overlapping(rows, 151, hop))
    assert [r.label for r in results] == expected.label.tolist()
    assert [r.classifier for r in results] == expected.classifier.tolist()
    # Where the plan does not last from window to window, they are computed anew; the same comes out.
    if hop == 8:
        again = list(board.stream(rows, hop=hop, model="/rom/model.dtm"))
        assert len(again) == len(results)


@pytest.mark.parametrize("policy", ["average", "fallback(30)", "sticky(60)", "vote(3)", "budgeted(1, 4, 50)", "FILE"])
def test_policies_decide_as_in_the_lab(board, recording, tmp_path, policy):
    if policy == "FILE":
        (tmp_path / "mine.py").write_text(STATEFUL)
        policy = str(tmp_path / "mine.py")
    expected = decide(parse_policy(policy), recording.model, recording.windows)
    results = list(classify(board, recording.windows, policy=policy))
    assert [-1 if r.label is None else r.label for r in results] == expected.label.tolist()
    assert [r.who for r in results] == expected.who.tolist()
    assert [r.runs for r in results] == expected.runs.tolist()


def test_a_policy_is_tried_in_less_than_two_seconds(board, recording, tmp_path):
    list(classify(board, recording.windows[:1]))  # the model is loaded
    file = tmp_path / "edited.py"
    file.write_text("def policy(model, window):\n    model.select(window)\n    model.classify(2)\n    return 7, 2\n")
    began = time.monotonic()
    result = next(classify(board, recording.windows[:1], policy=str(file)))
    assert (result.label, result.classifier) == (7, 2)
    assert time.monotonic() - began < 2.0


def test_raw_and_real_samples_are_quantised_on_the_board(board, recording):
    rng = np.random.default_rng(0)
    raw = rng.integers(-20000, 20000, (5, 151, len(recording.model.inputs))).astype(np.int16)
    assert raw.shape[2] == recording.model.channels + 1  # rows have a channel that the network does not read
    scales = np.array([channel.sample_scale for channel in recording.model.inputs], np.float32)
    for windows in (raw, raw.astype(np.float32) * scales):
        results = list(classify(board, windows))
        expected = decide(parse_policy("top1"), recording.model, recording.model.quantize(windows))
        assert [r.label for r in results] == expected.label.tolist()


def test_a_plan_for_once_gets_no_policy_that_asks_twice(board, streaming, tmp_path):
    """Refused before it runs; what a file of the user's asks shows when it runs."""
    model, path = streaming[1], tmp_path / "once.dtm"
    windows = random_windows(np.random.default_rng(0), model.spec, 2)
    single = next(c.plan for c in front(model.spec, model.model, once=True) if c.plan.once)
    write_model(path, model.model, single)
    file = tmp_path / "twice.py"
    file.write_text("from ditmos import routing\npolicy = routing.fallback(256)\n")
    with pytest.raises(DitmosError, match="policy fallback asks up to 2 classifiers of a window, but the plan"):
        deploy(board, path, Place.flash, policy=parse_policy("fallback(30)"))
    deploy(board, path, Place.ram)
    with pytest.raises(DitmosError, match="policy fallback asks up to 2 classifiers of a window, but the plan"):
        Stream(board, policy="fallback(30)").prepare()
    with pytest.raises(DitmosError, match="the plan allows one classify a window"):
        list(classify(board, windows[:1], policy=str(file)))
    assert len(list(classify(board, windows, policy="top1"))) == 2


def test_a_policy_that_raises_is_reported_with_its_traceback(board, recording, tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text("def policy(model, window):\n    return model.select(window)[99], 0\n")
    with pytest.raises(DitmosError, match="IndexError") as error:
        list(classify(board, recording.windows, policy=str(file)))
    assert "in policy" in str(error.value)
    assert len(list(classify(board, recording.windows[:2]))) == 2, "the board stays usable"


def test_leaving_the_loop_leaves_the_board_at_its_repl(board, recording):
    for result in classify(board, recording.windows):
        if result.number == 3:
            break
    assert board.eval("6 * 7") == 42


def test_wrong_input_is_named(board, recording, tmp_path):
    with pytest.raises(DitmosError, match="windows are 150 x 3, the model takes 151 x 3"):
        classify(board, recording.windows[:, 1:])
    with pytest.raises(DitmosError, match="samples are int64, expected int8"):
        list(samples(board, np.zeros((200, 3), np.int64), hop=8))
    with pytest.raises(DitmosError, match=r"samples are int16 \(10, 2\), expected int16 \(rows, 4\)"):
        list(samples(board, [np.zeros((10, 2), np.int16)], np.int16, hop=8))
    with pytest.raises(DitmosError, match="hop is 152, expected 1 to 151"):
        list(samples(board, np.zeros((200, 3), np.int16), hop=152))
    with pytest.raises(DitmosError, match="hop is 0, expected 1 row"):
        list(samples(board, np.zeros((200, 3), np.int16), hop=0))
    assert board.eval("1") == 1


def test_a_disturbed_line_loses_doubles_and_falsifies_nothing(board, streaming):
    path, model = streaming
    deploy(board, path, Place.ram)
    rows = random_windows(np.random.default_rng(3), model.spec, 20).reshape(-1, 3)
    stream = Stream(board, hop=16)
    line = Witness(board.serial, 1 / 300, 5)
    board.disturb(lambda port: line)
    results = list(stream.run([rows], np.int8))
    expected = decide(parse_policy("top1"), model, overlapping(rows, 151, 16))
    assert [r.number for r in results] == list(range(len(expected.label)))
    assert [r.label for r in results] == expected.label.tolist()
    figures = line.figures()
    assert figures["frames_disturbed"] > 10
    assert figures["false_accepts"] == figures["undisturbed_missed"] == 0


def test_a_stray_interrupt_is_survived(board, streaming):
    """Ctrl-C on the line throws the board back to its REPL in mid-stream; the stream starts over and goes on."""
    path, model = streaming
    deploy(board, path, Place.ram)
    rows = random_windows(np.random.default_rng(4), model.spec, 8).reshape(-1, 3)
    stream = Stream(board, hop=8)
    answers = []
    for result in stream.run([rows], np.int8):
        answers.append((result.number, result.label))
        if result.number in (20, 60):
            board.interrupt()
    expected = decide(parse_policy("top1"), model, overlapping(rows, 151, 8))
    assert answers == list(enumerate(expected.label.tolist()))
    assert stream.counts.restarts == 2


def test_a_reset_board_is_set_up_again(board, recording):
    stream = Stream(board)
    answers = []
    for result in stream.run(recording.windows, np.int8):
        answers.append(result.label)
        if result.number == 5:
            board.serial.write(b"\x03\x03\x04")  # Ctrl-C, Ctrl-D: soft reset
    assert answers == recording.logits.argmax(1).tolist()


def test_a_killed_script_leaves_a_usable_board(simulated, recording):
    code = (
        "import sys, itertools, numpy as np\nfrom ditmos import Board\n"
        "board = Board(sys.argv[1], soft_reset=False)\n"
        "for r in board.stream(itertools.repeat(np.ones((32, 3), np.int8)), dtype=np.int8, hop=8):\n"
        "    print(r.number, flush=True)\n"
    )
    script = subprocess.Popen([sys.executable, "-c", code, simulated.port], stdout=subprocess.PIPE)
    assert script.stdout.readline() == b"0\n"
    script.kill()
    script.wait()
    with Board(simulated.port, soft_reset=False) as board:
        assert len(list(board.classify(recording.windows[:3]))) == 3


def test_a_terminated_command_keeps_its_tape(simulated, tmp_path):
    rows = np.random.default_rng(1).integers(-9000, 9000, (151 + 100 * 8, 4))
    np.savetxt(tmp_path / "rows.csv", rows, fmt="%d", delimiter=",")
    command = [sys.executable, "-m", "ditmos", "stream", "--port", simulated.port, "--model", "/rom/model.dtm"]
    command += ["--source", tmp_path / "rows.csv", "--hop", "8", "--rate", "500", "--record", tmp_path / "tape.npz"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        process.terminate()
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert "stopped" in errors, errors
    tape = Tape.load(tmp_path / "tape.npz")
    assert len(lines) <= len(tape.results) < 100
    np.testing.assert_array_equal(tape.window_of(2), rows[16 : 16 + 151])


def test_mpremote_gets_a_streaming_board_with_its_own_ctrl_c(simulated, board, mpremote):
    board.start("from ditmos.serve import serve\nserve(__import__('ditmos').load_model())")
    board.serial.write(b"\0half a frame")
    board._close_line()  # as a process that dies does: nothing is said to the board
    assert mpremote("resume", "eval", "6*7").strip() == "42"


def test_a_silent_board_is_reported_within_three_seconds(firmware, recording):
    with Simulator(firmware, romfs=recording.folder) as simulator, Board(simulator.port) as board:
        results = board.stream(itertools.repeat(np.ones((32, 3), np.int8)), dtype=np.int8, hop=8)
        next(results)
        os.kill(simulator.pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            with pytest.raises(DitmosError, match=r"no MicroPython answers.*reset button"):
                for _ in results:
                    began = time.monotonic()
            assert time.monotonic() - began <= 3.0
        finally:
            os.kill(simulator.pid, signal.SIGCONT)


def test_the_heap_does_not_move(board, streaming):
    path, model = streaming
    deploy(board, path, Place.ram)
    stream = Stream(board, hop=1)
    rows = random_windows(np.random.default_rng(6), model.spec, 3).reshape(-1, 3)
    assert len(list(stream.run([rows], np.int8))) == 303
    assert stream.counts.device["heap_low"] == stream.counts.device["heap_warm"] > 200_000
