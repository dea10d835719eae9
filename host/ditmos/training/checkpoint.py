"""Files that stay readable: written beside the old one, flushed to the disk, then renamed over it."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch

from ditmos.errors import DitmosError


def write(path: Path, content: bytes) -> None:
    """Atomic: whatever happens, ``path`` holds the old content or the new.

    Raises:
        DitmosError: disk full, no rights.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        kept = "; the last good one is still there" if path.exists() else ""
        raise DitmosError(f"{path}: cannot be written ({error.strerror or error}){kept}") from None
    finally:
        temporary.unlink(missing_ok=True)


def save(path: Path, state: dict[str, Any]) -> None:
    """Tensors, numbers, strings, lists and dicts, as `torch.save` writes them."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write(path, buffer.getvalue())


def load(path: Path, what: str) -> dict[str, Any]:
    """Inverse of `save`; runs nothing that the file may contain. Raises DitmosError."""
    if not path.is_file():
        raise DitmosError(f"{path}: no such file, expected {what}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on damaged files
        raise DitmosError(f"{path}: not readable as {what} ({str(error).splitlines()[0][:120]})") from None
    if not isinstance(state, dict):
        raise DitmosError(f"{path}: not readable as {what} (it holds a {type(state).__name__})")
    return state
