"""Builds the C module's parts for the host, under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import pack

import pytest

ROOT = Path(__file__).parents[2]
CMODULE = ROOT / "cmodule"
WITH_MICROPYTHON = {"functions.c", "module.c", "natmod.c", *(path.name for path in CMODULE.glob("model_*.c"))}
SOURCES = sorted(path for path in CMODULE.glob("*.c") if path.name not in WITH_MICROPYTHON)
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


class Process:
    """A running program that answers each request with a line, and maybe bytes after it."""

    def __init__(self, binary: Path) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([binary], stdin=pipe, stdout=pipe, stderr=pipe)
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._requests, self._answers, self._errors = self._process.stdin, self._process.stdout, self._process.stderr

    def request(self, data: bytes) -> str:
        """The line of the answer; fails the test if the program dies."""
        try:
            self._requests.write(data)
            self._requests.flush()
            answer = self._answers.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            self._process.kill()
            pytest.fail(f"the driver died:\n{self._errors.read().decode()}")
        return answer.decode().strip()

    def read(self, count: int) -> bytes:
        return self._answers.read(count)

    def close(self) -> None:
        self._requests.close()
        self._process.wait(10)


def block(data: bytes) -> bytes:
    """As the drivers read it: bytes after their number."""
    return pack("<I", len(data)) + data


class Driver(Process):
    """A running ``driver.c``."""

    def ask(self, model: bytes, vectors: bytes = b"", *, must_match: bool = True, offset: int = 0) -> str:
        """``ok``, ``bad FIELD OFFSET PROBLEM`` or ``differs WINDOW WHAT``."""
        return self.request(pack("<I", offset) + block(model) + block(vectors) + pack("<I", must_match))


def compile_module(folder: Path) -> Path:
    """The module's parts as a library, which all drivers link."""
    commands = [
        ["gcc", *WARNINGS, *SANITIZERS, "-g", "-O1", f"-I{CMODULE}", "-c", source, "-o", folder / f"{source.stem}.o"]
        for source in SOURCES
    ]
    for command in commands:
        subprocess.run(command, check=True, timeout=120)
    library = folder / "module.a"
    subprocess.run(["ar", "rcs", library, *sorted(folder.glob("*.o"))], check=True, timeout=60)
    return library


def compile_driver(source: str, folder: Path, library: Path | None = None) -> Path:
    """A C file of this folder together with the module's parts."""
    binary = folder / Path(source).stem
    parts = [Path(__file__).parent / source, library or compile_module(folder)]
    command = ["gcc", *WARNINGS, *SANITIZERS, "-g", "-O1", f"-I{CMODULE}", *parts, "-o", binary]
    subprocess.run(command, check=True, timeout=120)
    return binary


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
