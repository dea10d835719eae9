"""Firmware for the long runs, built where it is not up to date; skips without what that takes."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

import pytest
from ditmos.errors import DitmosError
from ditmos.firmware import micropython
from ditmos.firmware import nucleo as nucleo_image
from ditmos.firmware.build import build
from ditmos.firmware.targets import NUCLEO


@cache
def simulated() -> Path:
    """The simulated board's."""
    if not shutil.which("qemu-system-arm"):
        pytest.skip("qemu-system-arm is not installed")
    try:
        return build("sim").path
    except DitmosError as error:
        pytest.skip(str(error))


@cache
def nucleo() -> Path:
    """The real board's. It needs MicroPython with its submodules, which is not fetched here."""
    given = os.environ.get("DITMOS_MICROPYTHON")
    tree = Path(given) if given else micropython.present(NUCLEO)
    if tree is None:
        pytest.skip("no MicroPython with lib/stm32lib: set DITMOS_MICROPYTHON")
    return nucleo_image.build(tree).folder / "firmware.dfu"
