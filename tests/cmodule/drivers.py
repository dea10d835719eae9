"""The C module's parts as programs of the host, under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from struct import pack

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CMODULE = ROOT / "cmodule"
WITH_MICROPYTHON = {"functions.c", "module.c", "natmod.c", *(path.name for path in CMODULE.glob("model_*.c"))}
SOURCES = sorted(path for path in CMODULE.glob("*.c") if path.name not in WITH_MICROPYTHON)
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
COMPILE = ["gcc", *WARNINGS, *SANITIZERS, "-g", "-O1", f"-I{CMODULE}"]
OBJECTS = ROOT / "build" / "drivers"
PIPE = 1 << 20  # bytes on their way to a driver


class Process:
    """A running program that answers each request with a line, and maybe bytes after it."""

    def __init__(self, binary: Path) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([binary], stdin=pipe, stdout=pipe, stderr=pipe)
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._requests, self._answers, self._errors = self._process.stdin, self._process.stdout, self._process.stderr
        if sys.platform == "linux":  # so that a batch fits into the pipe, and both sides work at once
            with contextlib.suppress(OSError):  # the system lets a user have so much and no more
                fcntl.fcntl(self._requests, fcntl.F_SETPIPE_SZ, PIPE)

    def request(self, data: bytes) -> str:
        """The line of the answer; fails the test if the program dies."""
        self.send([data])
        return self.answer()

    def answer(self) -> str:
        """The next line; fails the test if the program dies."""
        answer = self._answers.readline()
        if not answer:
            self._process.kill()
            pytest.fail(f"the driver died:\n{self._errors.read().decode()}")
        return answer.decode().strip()

    def send(self, data: Sequence[bytes]) -> None:
        """Some requests, so few that the pipe back holds all lines; an `answer` for each is to be read."""
        with contextlib.suppress(BrokenPipeError):  # `answer` says what it died of
            self._requests.write(b"".join(data))
            self._requests.flush()

    def read(self, count: int) -> bytes:
        return self._answers.read(count)

    def close(self) -> None:
        self._requests.close()
        self._process.wait(10)


def block(data: bytes) -> bytes:
    """As the drivers read it: bytes after their number."""
    return pack("<I", len(data)) + data


def model_request(model: bytes, vectors: bytes = b"", *, must_match: bool = True, offset: int = 0) -> bytes:
    """For ``driver.c``: the model so many bytes after an aligned address."""
    return pack("<I", offset) + block(model) + block(vectors) + pack("<I", must_match)


class Driver(Process):
    """A running ``driver.c``."""

    def ask(self, model: bytes, vectors: bytes = b"", *, must_match: bool = True, offset: int = 0) -> str:
        """``ok``, ``bad FIELD OFFSET PROBLEM`` or ``differs WINDOW WHAT``."""
        return self.request(model_request(model, vectors, must_match=must_match, offset=offset))


class FrontDriver(Process):
    """A running ``frontend_driver.c``."""

    def ask(
        self, section: bytes, window: int, channels: int, samples: np.ndarray, commands: list[int], offset: int = 0
    ) -> tuple[str, np.ndarray]:
        """The answer's line and rows."""
        blocks = section, samples.tobytes(), pack(f"<{len(commands)}I", *commands)
        answer = self.request(pack("<III", offset, window, channels) + b"".join(map(block, blocks)))
        rows = int(answer.split()[1]) if answer.startswith("ok") else 0
        return answer, np.frombuffer(self.read(2 * rows * channels), np.int16).reshape(rows, channels)


def compile_module(folder: Path) -> Path:
    """The module's parts as a library, which all drivers link."""
    library = folder / "module.a"
    headers = b"".join(path.read_bytes() for path in sorted(CMODULE.glob("*.h")))
    command = ["ar", "rcs", library, *(_compiled(source, headers) for source in SOURCES)]
    subprocess.run(command, check=True, timeout=60)
    return library


@cache
def _compiler() -> bytes:
    return subprocess.run(["gcc", "--version"], check=True, capture_output=True, timeout=60).stdout


def _compiled(source: Path, headers: bytes) -> Path:
    """Its object, in build/drivers until the file, a header or the compiler changes."""
    text = b"\0".join([_compiler(), " ".join(COMPILE).encode(), headers, source.read_bytes()])
    made = OBJECTS / f"{source.stem}-{sha256(text).hexdigest()[:16]}.o"
    if not made.exists():
        OBJECTS.mkdir(parents=True, exist_ok=True)
        for old in OBJECTS.glob(f"{source.stem}-{'[0-9a-f]' * 16}.o"):
            if old != made:  # another process has made it since
                old.unlink(missing_ok=True)
        part = made.with_suffix(f".{os.getpid()}")
        subprocess.run([*COMPILE, "-c", source, "-o", part], check=True, timeout=120)
        part.replace(made)
    return made


def compile_driver(source: str, folder: Path, library: Path | None = None) -> Path:
    """A C file of this folder together with the module's parts."""
    binary = folder / Path(source).stem
    parts = [Path(__file__).parent / source, library or compile_module(folder)]
    command = [*COMPILE, *parts, "-o", binary]
    subprocess.run(command, check=True, timeout=120)
    return binary
