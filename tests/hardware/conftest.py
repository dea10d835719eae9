"""One board on ``--port``, a model for it, and a report of what was measured."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ditmos import __version__
from ditmos.bench.golden import Style, random_model, random_windows
from ditmos.link.board import Board
from ditmos.model.reference import Model
from ditmos.model.spec import reference_spec
from ditmos.model.writer import write_model
from ditmos.paths import BUILD
from ditmos.planner import whole_plan
from hardware_model import HardwareModel


@pytest.fixture(scope="session")
def port(request: pytest.FixtureRequest) -> str:
    named = request.config.getoption("--port")
    if not named:
        pytest.skip("no board: give its serial device with --port")
    return named


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest, port: str) -> Iterator[dict[str, Any]]:
    """Results by name; written to ``--report`` at the end, whatever failed."""
    with Board(port) as board:
        probe = asdict(board.probe())
    results: dict[str, Any] = {
        "ditmos": __version__,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.platform(),
        "port": port,
        "board": probe,
    }
    yield results
    path = Path(request.config.getoption("--report") or BUILD / "hardware-report.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nreport: {path}")


@pytest.fixture(scope="session")
def pace(port: str) -> float:
    """Seconds on the wall for a second of the board's own, while it computes: 1 on a real board, more on an emulated
    one, and still more on a busy machine. Waits are so many times as long."""
    with Board(port) as board:
        board.exec("import time\ndef work():\n start = time.ticks_ms()\n"
                   " while time.ticks_diff(time.ticks_ms(), start) < 300: pass\n")  # fmt: skip
        began = time.monotonic()
        board.exec("work()", timeout=300)
        return max(1.0, (time.monotonic() - began) / 0.3)


@pytest.fixture
def board(port: str) -> Iterator[Board]:
    with Board(port) as board:
        yield board


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> HardwareModel:
    """The reference network with drawn weights: what it computes has to be right, not sensible."""
    rng = np.random.default_rng(11)
    spec = reference_spec()
    quantized = random_model(rng, spec, Style.TRAINED)
    file = tmp_path_factory.mktemp("model") / "model.dtm"
    write_model(file, quantized, whole_plan(spec))
    return HardwareModel(file, Model(quantized), random_windows(rng, spec, 200))
