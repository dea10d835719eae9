"""Programs of this machine that builds and simulators run."""

from __future__ import annotations

import shutil
import subprocess

from ditmos.errors import DitmosError

PACKAGES = {
    "make": "make",
    "gcc": "gcc libc6-dev",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
}


def need(*tools: str) -> None:
    """Check that programs are installed.

    Raises:
        DitmosError: names those missing and the packages that bring them.
    """
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        packages = " ".join(PACKAGES.get(tool, tool) for tool in missing)
        raise DitmosError(f"{', '.join(missing)} not found; run `make setup`, or: apt-get install {packages}")


def gcc_version(compiler: str) -> str:
    """Version of a gcc, "" where it does not tell."""
    done = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True, timeout=10)
    return done.stdout.strip()
