"""Locks between processes: the one door to what the system has for them. They end when the file is closed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

_AGAIN = 0.1  # seconds between two tries


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed or its process ends; False where another process has it."""
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold ``file``.lock: processes that need the same file wait for one another. Makes its folder if need be."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f"{file.name}.lock").open("w") as lock:
        while not try_lock(lock.fileno()):
            time.sleep(_AGAIN)
        yield
