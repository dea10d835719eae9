"""What the simulated board is given to run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ditmos.model.reference import Int8, Model


@dataclass(frozen=True)
class Recording:
    """A folder with model.dtm, windows.npy, labels.npy, and what the reference says of the windows."""

    folder: Path
    model: Model
    windows: Int8
    labels: np.ndarray
    choice: np.ndarray
    selector: Int8
    logits: Int8
