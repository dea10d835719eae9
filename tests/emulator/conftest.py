"""The test program of ``image/``, built from the same kernels as the firmware, and boards that run it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ditmos.bench.baremetal import FLAGS, MODEL_PARTS, WARNINGS
from ditmos.emulator import Board, read_image
from ditmos.emulator.clock import CORE_HZ
from ditmos.paths import REPOSITORY

HERE = Path(__file__).parent


class Program:
    """An emulated board that runs the test program: ``ask`` sends a command and returns its answer."""

    def __init__(self, binary: Path, extra: tuple = (), kept: Path | None = None) -> None:
        self.reports: list[str] = []
        self.board = Board([*read_image(binary), *extra], kept, self.reports.append)
        self.greeting = self.line()

    def line(self, seconds: float = 5.0) -> str:
        """The next line that the program prints within some emulated seconds."""
        board = self.board
        end = board.clock.now + int(seconds * CORE_HZ)
        while b"\n" not in board.outgoing and board.clock.now < end:
            if board.run(CORE_HZ // 1000):
                board.sleep(CORE_HZ // 1000)
        line, newline, _ = board.outgoing.partition(b"\n")
        assert newline, f"no answer; {board.core.where()}; {self.reports}"
        del board.outgoing[: len(line) + 1]
        return line.decode()

    def ask(self, command: str) -> str:
        self.board.incoming.extend(command.encode())
        return self.line()


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    folder = tmp_path_factory.mktemp("image")
    cmodule = REPOSITORY / "cmodule"
    sources = [*sorted((HERE / "image").glob("*.c"))]
    sources += sorted(path for part in MODEL_PARTS for path in cmodule.glob(part))
    elf = folder / "image.elf"
    command = ["arm-none-eabi-gcc", *FLAGS, *WARNINGS, "-ffunction-sections", f"-I{cmodule}", "-nostartfiles"]
    command += ["--specs=nano.specs", "--specs=nosys.specs", f"-T{HERE / 'image' / 'link.ld'}"]
    command += ["-Wl,--gc-sections,--no-warn-rwx-segments", *map(str, sources), "-o", str(elf)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.fail(f"the test program does not build:\n{done.stderr[-1000:]}", pytrace=False)
    binary = elf.with_suffix(".bin")
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", str(elf), str(binary)], check=True, timeout=60)
    return binary


@pytest.fixture
def program(binary: Path) -> Program:
    return Program(binary)


@pytest.fixture
def make_program(binary: Path) -> Callable[..., Program]:
    return lambda *arguments: Program(binary, *arguments)
