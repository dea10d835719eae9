"""The test program of ``image/``, built from the same kernels as the firmware, and boards that run it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ditmos.bench.baremetal import FLAGS, M7, MODEL_PARTS, WARNINGS
from ditmos.firmware import micropython, nucleo
from ditmos.firmware.nucleo import Image
from ditmos.firmware.targets import NUCLEO
from ditmos.paths import SOURCES
from program import Program

HERE = Path(__file__).parent
SUBMODULE = "lib/stm32lib"


@pytest.fixture(scope="session")
def image() -> Image:
    """The firmware of the real board."""
    given = os.environ.get("DITMOS_MICROPYTHON")
    tree = Path(given) if given else micropython.present(NUCLEO)  # a build of the user's own stays what it is
    if tree is None or not (tree / SUBMODULE / "README.md").is_file():
        pytest.skip(f"no MicroPython with {SUBMODULE}: set DITMOS_MICROPYTHON")
    return nucleo.build(tree)


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    folder = tmp_path_factory.mktemp("image")
    cmodule = SOURCES / "cmodule"
    sources = [*sorted((HERE / "image").glob("*.c"))]
    sources += sorted(path for part in MODEL_PARTS for path in cmodule.glob(part))
    elf = folder / "image.elf"
    command = [
        "arm-none-eabi-gcc",
        *M7.cpu_flags,
        *FLAGS,
        *WARNINGS,
        "-ffunction-sections",
        f"-I{cmodule}",
        "-nostartfiles",
    ]
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
