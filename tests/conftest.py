"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ditmos.bench import baremetal
from ditmos.errors import DitmosError
from ditmos.firmware.build import build
from ditmos.locks import locked

# What a shell starts in the background ignores SIGINT, and so would the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--port", help="serial device of a board, for tests/hardware")
    parser.addoption("--report", help="file for what tests/hardware measures [default: build/hardware-report.json]")


# Files that take longest. They start first, so that no worker is left with one of them when the others are done.
LONG = (
    "test_tutorial", "test_wrong_inputs", "test_sensing", "test_stream", "test_page", "test_training", "test_record",
    "test_line", "test_start", "test_alone", "test_module", "test_two_models", "test_policies", "test_quantize",
    "test_space", "test_cli", "test_stock_boards", "test_commands", "test_planner", "test_mutants", "test_infer",
    "test_wheel", "test_cluster", "test_sweep", "test_sweep_stop", "test_parser", "test_deploy", "test_plans",
)  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real recordings: DITMOS_DATA, else ../shared/data beside the checkout. Skips without one."""
    named = os.environ.get("DITMOS_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real recordings: {folder} is not a folder (set DITMOS_DATA)")
    return folder


@pytest.fixture(scope="session")
def firmware() -> Path:
    """The simulated board's, built where it is not. Skips without what that takes."""
    if not shutil.which("qemu-system-arm"):
        pytest.skip("qemu-system-arm is not installed")
    try:
        return build("sim").path
    except DitmosError as error:
        if "not found" in str(error) or "no source" in str(error):
            pytest.skip(str(error))
        raise


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """``once(name, fill)``: a folder that ``fill(folder)`` has filled, the same for all workers of this run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, fill: Callable[[Path], object]) -> Path:
        path = shared / name
        with locked(path):
            if not path.exists():
                part = shared / f"{name}.part"
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                fill(part)
                part.rename(path)
        return path

    return folder


@pytest.fixture(scope="session")
def models_elf(once: Once) -> Path:
    """The program of the simulated Cortex-M7 that runs model files."""
    if missing := baremetal.missing_tools():
        pytest.skip(f"not installed: {', '.join(missing)}")
    return once("models-m7", lambda folder: baremetal.build_models(folder=folder)) / "models.elf"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tests run beside one another: one torch thread each, whatever a test sets."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    yield
