"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# What a shell starts in the background ignores SIGINT, and so would the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--port", help="serial device of a board, for tests/hardware")
    parser.addoption("--report", help="file for what tests/hardware measures [default: build/hardware-report.json]")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real recordings: DITMOS_DATA, else ../shared/data beside the checkout. Skips without one."""
    named = os.environ.get("DITMOS_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real recordings: {folder} is not a folder (set DITMOS_DATA)")
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tests run beside one another: one torch thread each, whatever a test sets."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    yield
