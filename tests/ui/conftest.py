"""A server of the page with a simulated board, and a browser without a window, where the system has one."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ditmos.errors import DitmosError
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reader import read_model
from ditmos.ui.example import DATA, MODEL, write_example
from page import Page

STARTS = 60  # seconds, on a busy machine


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    write_example(folder)
    return folder


@pytest.fixture(scope="session")
def model(example: Path) -> tuple[Path, QuantizedModel]:
    """A model of 6 classifiers for windows of 151 x 3 at 50 Hz."""
    return example / MODEL, read_model(example / MODEL)[0]


@pytest.fixture(scope="session")
def data(example: Path) -> Path:
    """Windows whose classes are what the model says of them by its own policy."""
    return example / DATA


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Chromium of the system, without a window."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    from ditmos.ui.timing import browser as chromium

    try:
        with chromium() as made:
            yield made
    except DitmosError as error:
        pytest.skip(str(error))


class Server:
    """`ditmos ui` as a process; ``address`` is good for one visit."""

    def __init__(self, folder: Path, *options: str | Path) -> None:
        command = [sys.executable, "-m", "ditmos", "ui", "--no-browser", "--folder", folder, *options]
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout and self._process.stderr
        ready, _, _ = select.select([self._process.stdout], [], [], STARTS)
        first = self._process.stdout.readline() if ready else "nothing"
        if not first.startswith("http"):
            self._process.kill()
            raise AssertionError(f"{first!r}, {self._process.stderr.read()}")
        self.address = first.strip()
        self.folder = folder

    def stop(self) -> str:
        """End it as Ctrl-C does; what it said on stderr."""
        self._process.terminate()
        return self._process.communicate(timeout=60)[1]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server with these options, in a folder of its own."""
    started: list[Server] = []

    def start(*options: str | Path) -> Server:
        started.append(Server(tmp_path, *options))
        return started[-1]

    yield start
    for each in started:
        assert "Traceback" not in each.stop()


@pytest.fixture(scope="module")
def server(firmware: Path, work: Path, model: tuple[Path, QuantizedModel], data: Path) -> Iterator[Server]:
    started = Server(work, "--sim", "--model", model[0], "--data", data, "--part", "all")
    yield started
    assert "Traceback" not in started.stop()


@pytest.fixture(scope="module")
def page(browser: object, server: Server) -> Page:
    return Page(browser, server.address)
