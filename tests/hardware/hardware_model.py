"""What a board is given to run in these tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ditmos.model.reference import Int8, Model


@dataclass(frozen=True)
class HardwareModel:
    """A model file, its reference, and windows."""

    file: Path
    model: Model
    windows: Int8
