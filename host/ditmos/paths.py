"""Where the repository is, where build outputs go, and who may write there at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ditmos.errors import DitmosError

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build"


def repository() -> Path:
    """The checkout with boards/, cmodule/ and device/.

    Raises:
        DitmosError: the package was installed without its checkout (``pip install -e .`` keeps it).
    """
    if not (REPOSITORY / "boards").is_dir():
        raise DitmosError(f"{REPOSITORY}: no boards/ here; firmware is built from a checkout (pip install -e .)")
    return REPOSITORY


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold ``build/NAME.lock``: two processes that need the same output wait for each other."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
