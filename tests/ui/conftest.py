"""A server of the page with a simulated board, and a browser without a window, where the system has one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.golden import Style, made_for, random_model
from ditmos.datasets import Dataset, save
from ditmos.errors import DitmosError
from ditmos.firmware.build import build
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.model.signal import Signal
from ditmos.model.spec import reference_spec
from ditmos.model.writer import write_model
from ditmos.planner import stream_plan
from page import Page

STARTS = 60  # seconds, on a busy machine


@pytest.fixture(scope="session")
def firmware() -> Path:
    if not shutil.which("qemu-system-arm"):
        pytest.skip("qemu-system-arm is not installed")
    try:
        return build("sim").path
    except DitmosError as error:
        if "not found" in str(error) or "no source" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, QuantizedModel]:
    """A model of 6 classifiers for windows of 151 x 3 at 50 Hz."""
    made = random_model(np.random.default_rng(7), reference_spec(), Style.TRAINED)
    made = made_for(made, Signal.of(made.class_names, ("ax", "ay", "az"), "g", 1 / 16, 50.0), 16.0)
    path = tmp_path_factory.mktemp("model") / "model.dtm"
    write_model(path, made, stream_plan(made.spec))
    return path, made


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, model: tuple[Path, QuantizedModel]) -> Path:
    """Windows whose classes are what the model says of them by its own policy."""
    rng = np.random.default_rng(1)
    reference = Model(model[1])
    steps = rng.normal(0, 9000, (60, 151, 3)).cumsum(1) / 12
    x = np.clip(steps, -32000, 32000).astype(np.int16)
    q = reference.quantize(x)
    who = reference.select_batch(q).argmax(1)
    y = reference.classify_batch(q, who).argmax(1)
    dataset = Dataset(
        x, y, np.zeros(60, np.int64), np.arange(60) // 6, model[1].class_names, ("ax", "ay", "az"), 1 / 16, "g", 50.0
    )
    path = tmp_path_factory.mktemp("data") / "windows.npz"
    save(dataset, path)
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Chromium of the system, without a window."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no browser: chromium and chromedriver of the system (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield made
    made.quit()


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
        self.address = self._process.stdout.readline().strip()
        if not self.address:
            raise AssertionError(self._process.stderr.read())
        self.folder = folder

    def stop(self) -> str:
        """End it as Ctrl-C does; what it said on stderr."""
        self._process.terminate()
        return self._process.communicate(timeout=20)[1]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def server(firmware: Path, work: Path, model: tuple[Path, QuantizedModel], data: Path) -> Iterator[Server]:
    started = Server(work, "--sim", "--model", model[0], "--data", data, "--part", "all")
    yield started
    assert "Traceback" not in started.stop()


@pytest.fixture(scope="module")
def page(browser: object, server: Server) -> Page:
    return Page(browser, server.address)
