"""UniMiB-SHAR (Micucci et al., Applied Sciences 7(10):1101, 2017): smartphone accelerometer in a trouser pocket.

The official archive holds windows of 151 rows already cut: ``acc_data.mat`` (11771 x 453: all x, then all y, then all
z, in m/s^2 at 50 Hz) and ``acc_labels.mat`` (11771 x 3: class 1 to 17, subject, trial).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.dataset import Dataset
from ditmos.errors import DitmosError

WINDOW, CHANNELS = 151, 3
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


def _matrix(folder: Path, name: str, columns: int) -> NDArray[np.float64]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    path = folder / f"{name}.mat"
    if not path.is_file():
        raise DitmosError(f"{path}: no such file, expected acc_data.mat and acc_labels.mat in the folder")
    try:
        content = loadmat(path, variable_names=[name])
    # a RuntimeError: what scipy says of MATLAB 7.3 files
    except (MatReadError, RuntimeError, ValueError, TypeError, OSError, EOFError, KeyError) as error:
        raise DitmosError(f"{path}: not a readable MATLAB file ({error})") from None
    if name not in content:
        raise DitmosError(f"{path}: variable {name} missing")
    matrix = np.asarray(content[name])
    if matrix.ndim != 2 or matrix.shape[1] != columns or matrix.dtype.kind not in "iuf":
        raise DitmosError(f"{path}: {name} is {matrix.shape} of {matrix.dtype}, expected numbers (windows, {columns})")
    return matrix.astype(np.float64)


def load(folder: str | Path) -> Dataset:
    """Read the folder with the two files; the group is (class, subject, trial).

    Raises:
        DitmosError: a file or its variable is missing or has another shape, or a label is out of range.
    """
    folder = Path(folder)
    data = _matrix(folder, "acc_data", CHANNELS * WINDOW)
    labels = _matrix(folder, "acc_labels", 3).astype(np.int64)
    if len(data) != len(labels):
        raise DitmosError(f"{folder}: {len(data)} windows in acc_data and {len(labels)} in acc_labels, expected equal")
    wrong = np.flatnonzero((labels[:, 0] < 1) | (labels[:, 0] > len(CLASS_NAMES)))
    if wrong.size:
        raise DitmosError(f"{folder}: acc_labels row {wrong[0]} has class {labels[wrong[0], 0]}, expected 1 to 17")
    _, group = np.unique(labels, axis=0, return_inverse=True)
    return Dataset(
        x=np.ascontiguousarray(data.reshape(-1, CHANNELS, WINDOW).transpose(0, 2, 1).astype(np.float32)),
        y=labels[:, 0] - 1,
        subject=labels[:, 1],
        group=group.reshape(-1).astype(np.int64),
        class_names=CLASS_NAMES,
        channels=("acc_x", "acc_y", "acc_z"),
        scale=1.0,
        units="m/s^2",
        fs=50.0,
        name="unimib_shar",
    ).check()
