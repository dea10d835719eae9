"""The folder that the page works in: what it reads and writes lies there, whatever a browser sends."""

from __future__ import annotations

import re
from pathlib import Path

from ditmos.datasets.dataset import UNREADABLE
from ditmos.errors import DitmosError
from ditmos.link.record import driver_file
from ditmos.link.tape import Tape

# What a finished training leaves; `ditmos.training.run` says so, but imports torch, which takes seconds.
RUN = "run.json"
_DEPTH = 3  # folders in folders that are looked through
_NAME = re.compile(r"[\w][\w.+ -]{0,99}")


class Folder:
    """``root`` must be there."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DitmosError(f"folder {root}: no such folder, expected the one to work in")
        self.root = root.resolve()

    def path(self, name: str) -> Path:
        """A file or folder in it by its name, relative to it. Raises DitmosError for one that lies elsewhere."""
        return self.inside(self.root / name)

    def inside(self, path: Path) -> Path:
        """The path, links followed. Raises DitmosError where it lies elsewhere."""
        try:
            found = path.resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise DitmosError(f"{str(path)!r}: no name of a file ({error})") from None
        if found == self.root or not found.is_relative_to(self.root):
            raise DitmosError(f"{path}: expected a file in {self.root}")
        return found

    def new(self, name: str, suffix: str) -> Path:
        """Where a file of this name goes, with the suffix added where it lacks. Raises DitmosError for a bad name."""
        if not _NAME.fullmatch(name):
            raise DitmosError(f"name {name!r}: expected letters, digits, dots and hyphens")
        return self.path(name if name.endswith(suffix) else name + suffix)

    def driver(self, text: str) -> str:
        """A sensor's driver as `ditmos.link.record.driver_file` takes it; one of somebody's own lies in the folder.

        Raises:
            DitmosError: a file elsewhere, no such driver.
        """
        file, colon, name = text.strip().partition(":")
        named = f"{self.path(file)}{colon}{name}" if ".py" in text else text.strip()
        driver_file(named)
        return named

    def name(self, path: Path) -> str:
        """As it is shown: relative where it lies in the folder."""
        resolved = path.resolve()
        return str(resolved.relative_to(self.root)) if resolved.is_relative_to(self.root) else str(path)

    def models(self) -> list[str]:
        """Model files, the newest first."""
        return self._names("*.dtm")

    def datasets(self) -> list[str]:
        """Files that may be data sets: what is in them is checked when one is read."""
        return [name for name in self._names("*.npz") if ".takes" not in name and not self._is_tape(self.root / name)]

    def tapes(self) -> list[str]:
        return [name for name in self._names("*.npz") if ".takes" not in name and self._is_tape(self.root / name)]

    def settings(self) -> list[str]:
        """Files with choices of a training, but for those that trainings have left."""
        return [name for name in self._names("*.toml") if not (self.root / name).with_name(RUN).exists()]

    def runs(self) -> list[str]:
        """Folders of finished trainings, the newest first."""
        return [str(Path(name).parent) for name in self._names(RUN)]

    @staticmethod
    def _is_tape(path: Path) -> bool:
        try:
            return Tape.is_tape(path)
        except UNREADABLE:
            return False

    def _names(self, pattern: str) -> list[str]:
        found: list[Path] = []
        for depth in range(_DEPTH):
            found += [path for path in self.root.glob("*/" * depth + pattern) if path.is_file()]
        inside = [path for path in found if path.resolve().is_relative_to(self.root)]
        return [str(path.relative_to(self.root)) for path in sorted(inside, key=lambda p: -p.stat().st_mtime)]
