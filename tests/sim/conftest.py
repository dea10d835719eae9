"""A simulated board, with a golden model and windows in its ROMFS, for all tests of a module."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.golden import Style, random_model, random_windows, with_left_out
from ditmos.link.board import Board
from ditmos.model.reference import Model
from ditmos.model.spec import reference_spec
from ditmos.model.writer import write_model
from ditmos.paths import SOURCES
from ditmos.planner import whole_plan
from ditmos.simulated.qemu import Simulator
from recording import Recording

TIMEOUT = 60.0
IN_ORDER = {"PYTHONUNBUFFERED": "1"}  # what mpremote says for itself and what the board prints


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("rom")
    rng = np.random.default_rng(7)
    spec = reference_spec()
    quantized = with_left_out(np.random.default_rng(8), random_model(rng, spec, Style.TRAINED), 1)
    windows = random_windows(rng, spec, 24)
    write_model(folder / "model.dtm", quantized, whole_plan(spec))
    model = Model(quantized)
    selector, classes = model.select_batch(windows), model.classify_batch(windows)
    choice = selector.argmax(1)
    logits = classes[np.arange(len(windows)), choice]
    labels = logits.argmax(1)
    labels[:6] = (labels[:6] + 1) % spec.classes  # six wrong ones
    np.save(folder / "windows.npy", windows)
    np.save(folder / "labels.npy", labels.astype("<i2"))
    return Recording(folder, model, windows, labels, choice, selector, logits)


@pytest.fixture(scope="module")
def simulated(firmware: Path, recording: Recording) -> Iterator[Simulator]:
    with Simulator(firmware, icount=True, romfs=recording.folder) as board:
        yield board


@pytest.fixture
def board(simulated: Simulator) -> Iterator[Board]:
    with Board(simulated.port) as connected:
        yield connected


@pytest.fixture
def mpremote(simulated: Simulator) -> Callable[..., str]:
    """``mpremote connect PORT ...``: what it prints; the test fails where it fails."""

    def run(*arguments: str | Path) -> str:
        command = [sys.executable, "-m", "mpremote", "connect", simulated.port, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=SOURCES, env=os.environ | IN_ORDER, capture_output=True, text=True, timeout=TIMEOUT
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.replace("\r\n", "\n")

    return run
