"""UCI HAR (Anguita et al., ESANN 2013) and its raw form HAPT (Reyes-Ortiz et al., Neurocomputing 171, 2016): a phone at
the waist, 50 Hz.

Raw: ``RawData/acc_exp01_user01.txt`` (g) and ``gyro_exp01_user01.txt`` (rad/s), three columns; ``RawData/labels.txt``:
experiment, user, activity, first and last row. First release: windows of 128 rows that are cut already,
``train/Inertial Signals/total_acc_x_train.txt`` and eight more, with ``y_train.txt`` and ``subject_train.txt``, and the
same for test: its split is kept.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.importers.delimited import compact
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording, Signal
from ditmos.datasets.importers.report import Progress, Report
from ditmos.datasets.importers.table import read_table
from ditmos.errors import DitmosError

OPTIONS = Options(window="128", hop="64")
_RATE = 50.0
_RAW = re.compile(r"acc_exp(\d+)_user(\d+)\.txt")
_CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
_UNITS = ("g",) * 3 + ("rad/s",) * 3


def read(folder: Path, options: Options, report: Report, progress: Progress) -> list[Recording]:
    """Recordings of the raw form if it is there, else of the first release.

    Raises:
        DitmosError: neither of them is in the folder.
    """
    labels = next(iter(sorted(folder.rglob("RawData/labels.txt"))), None)
    if labels is not None:
        return _raw(labels.parent, _activities(labels.parent.parent), progress)
    signals = sorted(folder.rglob("Inertial Signals/total_acc_x_*.txt"))
    if signals:
        names = _activities(signals[0].parents[2])
        return [recording for path in signals for recording in _cut(path, names)]
    raise DitmosError(f"{folder}: neither RawData/labels.txt nor train/Inertial Signals, expected UCI HAR")


def _numbers(path: Path, columns: int | None = None) -> NDArray[np.float64]:
    table = read_table(path, separator=" ")
    values = np.column_stack(list(table.columns.values()))
    if values.dtype == object or (columns is not None and values.shape[1] != columns):
        raise DitmosError(f"{path}: {values.shape[1]} columns, expected {columns} of numbers")
    return values.astype(np.float64)


def _activities(folder: Path) -> dict[int, str]:
    """``1 WALKING`` and so on."""
    path = folder / "activity_labels.txt"
    try:
        lines = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
        return {int(number): name.lower().replace("_", " ") for number, name in lines}
    except (OSError, ValueError) as error:
        raise DitmosError(f"{path}: expected lines like '1 WALKING' ({error})") from None


def _raw(folder: Path, names: dict[int, str], progress: Progress) -> list[Recording]:
    spans = _numbers(folder / "labels.txt", 5).astype(np.int64)
    result = []
    found = sorted((path, match) for path in folder.iterdir() if (match := _RAW.fullmatch(path.name)))
    for number, (path, match) in enumerate(found):
        acc = _numbers(path, 3)
        gyro = _numbers(path.with_name(path.name.replace("acc_", "gyro_", 1)), 3)
        rows = min(len(acc), len(gyro))
        labels = np.full(rows, "", object)
        for experiment, _, code, first, last in spans:
            if experiment == int(match[1]):
                labels[first - 1 : last] = names.get(int(code), str(code))
        samples = np.column_stack([acc[:rows], gyro[:rows]])
        signal = Signal(compact(samples), _CHANNELS, _UNITS, rate=_RATE, labels=labels)
        result.append(Recording(str(path), "uci-har", (signal,), subject=match[2], take=match[1]))
        progress("reading", number + 1, len(found))
    return result


def _cut(path: Path, names: dict[int, str]) -> list[Recording]:
    """Windows of one part; rows of the file that overlap by half belong to one stretch of one activity."""
    part = path.stem.rpartition("_")[2]
    folder, stems = (
        path.parent,
        ("total_acc_x", "total_acc_y", "total_acc_z", "body_gyro_x", "body_gyro_y", "body_gyro_z"),
    )
    windows = np.stack([_numbers(folder / f"{stem}_{part}.txt", 128) for stem in stems], axis=2)
    codes = _numbers(folder.parent / f"y_{part}.txt", 1)[:, 0].astype(np.int64)
    people = _numbers(folder.parent / f"subject_{part}.txt", 1)[:, 0].astype(np.int64)
    if not len(windows) == len(codes) == len(people):
        raise DitmosError(
            f"{path}: {len(windows)} windows, {len(codes)} labels and {len(people)} subjects, expected equal"
        )
    stretch = np.cumsum(np.diff(codes * 1000 + people, prepend=-1) != 0)
    return [
        Recording(
            str(path),
            "uci-har",
            (Signal(compact(window), _CHANNELS, _UNITS, rate=_RATE),),
            label=names.get(int(code), str(code)),
            subject=str(person),
            take=f"{part}:{number}",
            split="train" if part == "train" else "test",
        )
        for window, code, person, number in zip(windows, codes, people, stretch, strict=True)
    ]
