"""Which MicroPython a source tree holds: read from the tree and its git, never assumed."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from ditmos.errors import DitmosError

# Of each release: the commit of its tag, and the day, which is the build date in every image of it, so that equal
# sources give equal bytes. Seconds since 1970, UTC.
RELEASES = {
    "1.25.0": ("f498a16c7db6d4b2de200b3e0856528dfe0613c3", 1744675200),  # 2025-04-15
    "1.26.0": ("4ce2dd2cdab6e57f3982fc899f15a2103d71b0be", 1754697600),  # 2025-08-09
    "1.26.1": ("647c8b96cae7e202c7a020395b7cfe65e5b8ce04", 1757548800),  # 2025-09-11
    "1.27.0": ("78ff170de9e32c79db6e64d3e33d2bd60002bdcd", 1765238400),  # 2025-12-09
    "1.28.0": ("e0e9fbb17ed6fd06bb76e266ae554784c9c80804", 1775433600),  # 2026-04-06
}
_PARTS = ("MAJOR", "MINOR", "MICRO", "PRERELEASE")


@dataclass(frozen=True)
class Provenance:
    """What a firmware was built from.

    version: as the tree's ``py/mpconfig.h`` has it, such as ``1.28.0`` or ``1.29.0-preview``. commit: of its git, with
    ``+`` where files differ from it; empty without git, as in Debian's source package. release: the commit is that of
    the version's tag. submodules: folder to commit, of those that the build used and that have git. date: the build
    date in the image, seconds since 1970; 0 where nothing tells it. tree: where the sources are.
    """

    version: str
    commit: str
    release: bool
    date: int
    tree: str
    submodules: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.version} ({self.commit[:10]}{self.commit[40:]})" if self.commit else self.version


def version(tree: Path) -> tuple[int, int, int, int] | None:
    """Major, minor, micro version and 1 for a preview (else 0); None where ``tree`` holds no MicroPython."""
    header = tree / "py" / "mpconfig.h"
    text = header.read_text(errors="replace") if header.is_file() else ""
    found = [re.search(rf"define MICROPY_VERSION_{part} \(?(\d+)", text) for part in _PARTS]
    if found[0] is None or found[1] is None:
        return None
    major, minor, micro, preview = (int(match[1]) if match else 0 for match in found)
    return major, minor, micro, preview


def of(tree: Path, submodules: tuple[str, ...] = ()) -> Provenance:
    """What ``tree`` holds.

    Raises:
        DitmosError: no MicroPython.
    """
    numbers = version(tree)
    if numbers is None:
        raise DitmosError(f"{tree}: no MicroPython source (py/mpconfig.h is not there, or names no version)")
    name = ".".join(map(str, numbers[:3])) + ("-preview" if numbers[3] else "")
    commit = _git(tree, "describe", "--always", "--abbrev=40", "--match=", "--dirty=+")
    known, date = RELEASES.get(name, ("", 0))
    return Provenance(
        version=name,
        commit=commit,
        release=commit == known != "",
        date=date or int(_git(tree, "log", "-1", "--format=%ct") or 0),
        tree=str(tree),
        submodules={part: found for part in submodules if (found := commit_of(tree / part))},
    )


def commit_of(tree: Path) -> str:
    """The commit that is checked out in ``tree``; empty where ``tree`` is no git checkout itself."""
    return _git(tree, "rev-parse", "HEAD")


def _git(tree: Path, *arguments: str) -> str:
    # A tree that lies in another checkout must not take that one's commit.
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(tree.parent)}
    command = ["git", "-C", str(tree), *arguments]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
