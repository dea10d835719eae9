"""Drivers of the C module's parts, built once for all tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from drivers import Driver, compile_driver, compile_module


@pytest.fixture(scope="session")
def build_driver(once: Callable[..., Path]) -> Callable[[str], Path]:
    """Compiles a C file of this folder together with the module's parts."""

    def build(source: str) -> Path:
        if shutil.which("gcc") is None:
            pytest.skip("gcc is not installed")
        library = once("module", compile_module) / "module.a"
        name = Path(source).stem
        return once(name, lambda folder: compile_driver(source, folder, library)) / name

    return build


@pytest.fixture(scope="session")
def driver_binary(build_driver: Callable[[str], Path]) -> Path:
    return build_driver("driver.c")


@pytest.fixture(scope="module")
def driver(driver_binary: Path) -> Iterator[Driver]:
    running = Driver(driver_binary)
    yield running
    running.close()
