"""Where the board's sources are and where outputs go: in a checkout, and without one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from platformdirs import user_cache_path

_HERE = Path(__file__).resolve().parent
_PACKAGED = _HERE / "_sources"  # what the wheel carries of a checkout (pyproject.toml)


def checkout() -> Path | None:
    """The repository that this package runs from; None where it was installed from a wheel."""
    return None if _PACKAGED.is_dir() else _HERE.parents[1]


SOURCES = checkout() or _PACKAGED  # has boards/, cmodule/, device/ and LICENSE
BUILD = SOURCES / "build" if checkout() else user_cache_path("ditmos", appauthor=False)  # outputs and caches


def data_folders() -> list[Path]:
    """Where data sets are looked for: DITMOS_DATA, then ../shared/data beside a checkout."""
    named, here = os.environ.get("DITMOS_DATA"), checkout()
    return [*([Path(named)] if named else []), *([here.parent / "shared" / "data"] if here else [])]


def commit() -> str:
    """Commit of the checkout, with ``+`` where it has changes; empty without a checkout, or without git."""
    here = checkout()
    if here is None:
        return ""
    try:
        command = ["git", "-C", str(here), "describe", "--always", "--abbrev=40", "--match=", "--dirty=+"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
