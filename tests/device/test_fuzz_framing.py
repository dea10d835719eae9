"""Mutated frames against the decoder on both sides: fuzz_framing.py says what must hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ditmos.errors import DitmosError
from ditmos.firmware.build import firmware

SCRIPT = Path(__file__).parent / "fuzz_framing.py"
LONG = 1_000_000


def interpreter(side: str) -> Path:
    if side == "cpython":
        return Path(sys.executable)
    try:
        return firmware("unix").path
    except DitmosError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("side", "frames"),
    [
        ("cpython", 20_000),
        ("micropython", 20_000),
        pytest.param("cpython", LONG, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
        pytest.param("micropython", LONG, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_no_false_accept_and_nothing_missed(side, frames):
    done = subprocess.run([interpreter(side), SCRIPT, str(frames), "7"], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    mutated, accepted, bad, false, missed = (int(word) for word in done.stdout.split()[::2])
    assert mutated == frames and accepted > frames // 5 and bad > frames // 2
    assert false == 0 and missed == 0
