"""Unfinished work in a folder: one file a piece, each whole at any time, so that a stop costs half a minute."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ditmos import atomic
from ditmos.errors import DitmosError
from ditmos.locks import locked

SECONDS = 30.0  # between two saves of work that goes on


def save(file: Path, state: dict[str, Any]) -> None:
    """Tensors, numbers, strings, lists and dicts, as `torch.save` writes them; atomic. Raises DitmosError."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    atomic.write(file, buffer.getvalue())


def load(file: Path, what: str) -> dict[str, Any]:
    """Inverse of `save`; runs nothing that the file may contain. Raises DitmosError."""
    if not file.is_file():
        raise DitmosError(f"{file}: no such file, expected {what}")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on damaged files
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DitmosError(f"{file}: not {what} ({reason})") from None
    if not isinstance(state, dict):
        raise DitmosError(f"{file}: not {what}")
    return state


class Keep:
    """Pieces of work by name. Without a folder nothing is kept, and nothing is ever there."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._saved = time.monotonic()

    def file(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / name

    def load(self, name: str) -> dict[str, Any] | None:
        """The piece, or None. Raises DitmosError for a damaged one."""
        file = self.file(f"{name}.pt")
        return load(file, "a piece of unfinished work") if file is not None and file.exists() else None

    def save(self, name: str, state: dict[str, Any]) -> None:
        if (file := self.file(f"{name}.pt")) is not None:
            save(file, state)
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether work that goes on should be saved now."""
        return self.folder is not None and time.monotonic() - self._saved >= SECONDS

    def within(self, name: str) -> Keep:
        """A folder for the pieces of a larger piece."""
        return Keep(self.file(name))

    def clear(self) -> None:
        """Forget all pieces."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Processes that need the same piece wait for each other."""
        if (file := self.file(name)) is None:
            yield
            return
        with locked(file):
            yield
