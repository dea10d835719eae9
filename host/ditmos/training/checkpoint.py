"""State of a training run and trained models in files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from ditmos import atomic
from ditmos.errors import DitmosError


def save(path: Path, state: dict[str, Any]) -> None:
    """Tensors, numbers, strings, lists and dicts, as `torch.save` writes them; atomic. Raises DitmosError."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    atomic.write(path, buffer.getvalue())


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
