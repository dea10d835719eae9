"""The tests that are marked `slow`, file by file."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from ditmos.paths import SOURCES
from longrun import LongRun, Piece

TESTS = SOURCES / "tests"
PYTEST = (sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-m", "slow and not hardware")
LONGEST = 3 * 3600  # seconds of a file


@cache
def files() -> list[Path]:
    """Test files with slow tests."""
    return sorted(path for path in TESTS.rglob("test_*.py") if "mark.slow" in path.read_text())


def test(number: int) -> tuple[int, dict[str, Any]]:
    """All slow tests of one file."""
    file = files()[number % len(files())]
    done = subprocess.run([*PYTEST, file], cwd=SOURCES, capture_output=True, text=True, timeout=LONGEST)
    said = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    assert done.returncode == 0, f"{file.relative_to(SOURCES)}: {said}: {done.stdout[-2000:]}"
    counts = {word: int(count) for count, word in re.findall(r"(\d+) (passed|skipped)", said)}
    return 1, {**counts, str(file.relative_to(SOURCES)): said.strip("= ")}


@contextmanager
def opened(_: Path) -> Iterator[Piece]:
    yield test


RUNS = [LongRun("slow-tests", len(files()), "files", opened)]
