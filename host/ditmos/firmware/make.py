"""Runs make on sources of MicroPython: afresh where more than files changed, and the first error in one line."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from ditmos.errors import DitmosError
from ditmos.firmware.provenance import Provenance


def start_afresh_if_changed(folder: Path, arguments: Sequence[str], followed: Iterable[Path]) -> None:
    """Empty a build folder when a flag or one of the files ``followed``, which make does not follow, has changed."""
    texts = [path.read_bytes() for path in sorted(followed) if path.is_file() and path.suffix != ".pyc"]
    flags = [argument.encode() for argument in arguments if not argument.startswith("PYTHON=")]
    digest = hashlib.sha256(b"\0".join([*flags, *texts])).hexdigest()
    stamp = folder / "arguments.sha256"
    if not stamp.is_file() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        stamp.write_text(digest)


def make(
    name: str, folder: Path, arguments: Sequence[str], made_of: Provenance, log: Path, jobs: int | None = None
) -> None:
    """Run make in ``folder``, with the sources of MicroPython ``made_of``. What it prints goes to ``log``.

    Raises:
        DitmosError: it failed; the line says why.
    """
    command = ["make", "-C", str(folder), f"-j{jobs or _cores()}", *arguments]
    environment = os.environ | {
        # A tree unpacked inside this checkout must not take its version from this checkout's git.
        "GIT_CEILING_DIRECTORIES": str(Path(made_of.tree).parent),
        # Equal sources give equal bytes: MicroPython's generators write the date, and sets in hash order.
        "SOURCE_DATE_EPOCH": str(made_of.date),
        "PYTHONHASHSEED": "0",
    }
    with log.open("w") as output:
        done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        raise DitmosError(f"firmware {name}: {_first_error(log)} (whole log: {log})")


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
