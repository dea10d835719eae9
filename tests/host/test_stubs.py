"""The stubs of the device's files that the host runs (host/ditmos/*.pyi) say what is there."""

from __future__ import annotations

import subprocess
import sys


def test_stubs_match_their_files() -> None:
    modules = ["ditmos.framing", "ditmos.routing"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", *modules], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
