"""MicroPython's unix port with the module and the package, for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from ditmos.errors import DitmosError
from ditmos.firmware.build import build


@pytest.fixture(scope="session")
def micropython() -> Path:
    try:
        return build("unix").path
    except DitmosError as error:
        if "not found" in str(error) or "no source" in str(error):
            pytest.skip(str(error))
        raise
