"""Programs of this machine that builds, simulators and flashing run, and what brings them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

from ditmos.errors import DitmosError

_APT = {
    "gcc": "gcc libc6-dev",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "st-flash": "stlink-tools",
}
_BREW = {
    "arm-none-eabi-gcc": "--cask gcc-arm-embedded",
    "qemu-system-arm": "qemu",
    "st-flash": "stlink",
    "openocd": "open-ocd",
}

OLDEST = {"arm-none-eabi-gcc": 10}  # major versions


def how_to_get(*tools: str) -> str:
    """What brings programs to this machine."""
    if sys.platform == "win32":
        return f"use WSL, and there: apt-get install {' '.join(_APT.get(tool, tool) for tool in tools)}"
    if sys.platform == "darwin":
        return f"brew install {' '.join(_BREW.get(tool, tool) for tool in tools)}"
    return f"apt-get install {' '.join(_APT.get(tool, tool) for tool in tools)}"


def need(*tools: str) -> None:
    """Check that programs are installed.

    Raises:
        DitmosError: names those missing and what brings them.
    """
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        raise DitmosError(f"{', '.join(missing)} not found; run `make setup`, or: {how_to_get(*missing)}")


def version(tool: str) -> str:
    """Version of an installed program, "" where it is absent or does not tell."""
    try:
        done = subprocess.run([tool, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"\d+\.\d+(\.\d+)*", re.sub(r"\(.*?\)", "", (done.stdout or done.stderr).partition("\n")[0]))
    return found[0] if found else ""


def too_old(tool: str, found: str) -> bool:
    """Whether ``found`` is a version of a program that is too old for this project, or none."""
    return int(found.partition(".")[0] or 0) < OLDEST.get(tool, 0)
