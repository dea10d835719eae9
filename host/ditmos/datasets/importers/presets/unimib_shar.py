"""UniMiB-SHAR (Micucci et al., Applied Sciences 7(10):1101, 2017): smartphone accelerometer in a trouser pocket.

The official archive holds windows of 151 rows already cut: ``acc_data.mat`` (11771 x 453: all x, then all y, then all
z, in m/s^2 at 50 Hz) and ``acc_labels.mat`` (11771 x 3: class 1 to 17, subject, trial).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.importers.arrays import read_arrays
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording, Signal
from ditmos.datasets.importers.report import Progress, Report
from ditmos.errors import DitmosError

WINDOW, CHANNELS = 151, 3
OPTIONS = Options(window=str(WINDOW), hop=str(WINDOW))
CLASS_NAMES = (
    "StandingUpFS",
    "StandingUpFL",
    "Walking",
    "Running",
    "GoingUpS",
    "Jumping",
    "GoingDownS",
    "LyingDownFS",
    "SittingDown",
    "FallingForw",
    "FallingRight",
    "FallingBack",
    "HittingObstacle",
    "FallingWithPS",
    "FallingBackSC",
    "Syncope",
    "FallingLeft",
)


def read(folder: Path, options: Options, report: Report, progress: Progress) -> list[Recording]:
    """A recording for each window of the folder's two files; the take is the trial.

    Raises:
        DitmosError: a file or its variable is missing or has another shape, or a label is out of range.
    """
    data = _matrix(folder, "acc_data", CHANNELS * WINDOW)
    labels = _matrix(folder, "acc_labels", 3).astype(np.int64)
    if len(data) != len(labels):
        raise DitmosError(f"{folder}: {len(data)} windows in acc_data and {len(labels)} in acc_labels, expected equal")
    wrong = np.flatnonzero((labels[:, 0] < 1) | (labels[:, 0] > len(CLASS_NAMES)))
    if wrong.size:
        raise DitmosError(f"{folder}: acc_labels row {wrong[0]} has class {labels[wrong[0], 0]}, expected 1 to 17")
    windows = data.reshape(-1, CHANNELS, WINDOW).transpose(0, 2, 1)
    return [
        Recording(
            str(folder),
            "unimib-shar",
            (Signal(window, ("acc_x", "acc_y", "acc_z"), ("m/s^2",) * CHANNELS, rate=50.0),),
            label=CLASS_NAMES[code - 1],
            subject=str(subject),
            take=str(trial),
        )
        for window, (code, subject, trial) in zip(windows, labels, strict=True)
    ]


def _matrix(folder: Path, name: str, columns: int) -> NDArray[np.float64]:
    path = folder / f"{name}.mat"
    if not path.is_file():
        raise DitmosError(f"{path}: no such file, expected acc_data.mat and acc_labels.mat in the folder")
    content = read_arrays(path)
    if name not in content:
        raise DitmosError(f"{path}: variable {name} missing")
    matrix = content[name]
    if matrix.ndim != 2 or matrix.shape[1] != columns or matrix.dtype.kind not in "iuf":
        raise DitmosError(f"{path}: {name} is {matrix.shape} of {matrix.dtype}, expected numbers (windows, {columns})")
    return matrix.astype(np.float64)
