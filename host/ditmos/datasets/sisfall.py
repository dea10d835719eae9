"""SisFall (Sucerquia et al., Sensors 17(1):198, 2017): accelerometers and gyroscope at the waist.

The official archive holds one text file per recording, ``SA01/D01_SA01_R01.txt``: activity D01 to D19 (daily life) or
F01 to F15 (falls), subject SA01 to SA23 or SE01 to SE15, repetition. A line is a sample at 200 Hz, nine integers
separated by commas and ended by a semicolon; the first three are the ADXL345 accelerometer, 13 bits for +-16 g.

Recordings are decimated to 50 Hz behind a zero-phase low-pass filter. Activities that last are cut into windows side
by side; a fall, a stumble or a jump gives one window around its largest acceleration.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.dataset import Dataset
from ditmos.errors import DitmosError

FS = 50.0
DECIMATION = 4
SCALE = 32 / 2**13  # g per bit of the ADXL345
WINDOW = 151

ACTIVITIES = {
    "D01": "walk slowly",
    "D02": "walk quickly",
    "D03": "jog slowly",
    "D04": "jog quickly",
    "D05": "stairs slowly",
    "D06": "stairs quickly",
    "D07": "sit half-height chair slowly",
    "D08": "sit half-height chair quickly",
    "D09": "sit low chair slowly",
    "D10": "sit low chair quickly",
    "D11": "collapse into chair",
    "D12": "lie down slowly",
    "D13": "lie down quickly",
    "D14": "roll to lateral position",
    "D15": "bend with knees",
    "D16": "bend without knees",
    "D17": "get in and out of car",
    "D18": "stumble",
    "D19": "jump",
    "F01": "fall forward slip walking",
    "F02": "fall backward slip walking",
    "F03": "fall lateral slip walking",
    "F04": "fall forward trip walking",
    "F05": "fall forward trip jogging",
    "F06": "fall vertical fainting walking",
    "F07": "fall fainting with hands on table",
    "F08": "fall forward trying to get up",
    "F09": "fall lateral trying to get up",
    "F10": "fall forward trying to sit",
    "F11": "fall backward trying to sit",
    "F12": "fall lateral trying to sit",
    "F13": "fall forward sitting faint",
    "F14": "fall backward sitting faint",
    "F15": "fall lateral sitting faint",
}
_FILE = re.compile(r"([DF]\d\d)_S([AE])(\d\d)_R(\d\d)\.txt")
_BRIEF = ("D18", "D19")


def _samples(path: Path) -> NDArray[np.float64]:
    """The ADXL345's (rows, 3) in g at 200 Hz."""
    try:
        text = path.read_text("ascii").replace(";", "").strip()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty file is an error below
            rows = np.loadtxt(text.splitlines(), delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise DitmosError(f"{path}: not a SisFall recording ({error})") from None
    if rows.ndim != 2 or rows.shape[1] != 9:
        raise DitmosError(f"{path}: {rows.shape[-1]} numbers in a line, expected 9")
    return rows[:, :3] * SCALE


def _windows(recording: NDArray[np.float64], brief: bool) -> NDArray[np.float64]:
    """(n, WINDOW, 3) from (rows, 3); no window where the recording is too short."""
    count = len(recording) // WINDOW
    if not count:
        return np.empty((0, WINDOW, 3))
    if brief:
        peak = int(np.linalg.norm(recording, axis=1).argmax())
        first = min(max(peak - WINDOW // 2, 0), len(recording) - WINDOW)
        return recording[None, first : first + WINDOW]
    return recording[: count * WINDOW].reshape(count, WINDOW, 3)


def load(folder: str | Path, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Read every recording below the folder; the group is the recording, subjects SE follow SA (24 is SE01).

    progress: called with the recordings read and their number.

    Raises:
        DitmosError: no recording there, or one that is not in the official form.
    """
    from scipy.signal import decimate

    found = sorted((path, match) for path in Path(folder).rglob("*.txt") if (match := _FILE.fullmatch(path.name)))
    if not found:
        raise DitmosError(f"{folder}: no SisFall recording, expected files like SA01/D01_SA01_R01.txt")
    codes = list(ACTIVITIES)
    blocks, rows = [], []
    for group, (path, match) in enumerate(found):
        code, age, person = match[1], match[2], int(match[3])
        if code not in ACTIVITIES:
            raise DitmosError(f"{path}: activity {code}, expected D01 to D19 or F01 to F15")
        recording = _samples(path)
        if len(recording) >= DECIMATION * WINDOW:
            recording = decimate(recording, DECIMATION, ftype="fir", axis=0)
            block = _windows(recording, code.startswith("F") or code in _BRIEF)
            blocks.append(block)
            rows += [(codes.index(code), person + (23 if age == "E" else 0), group)] * len(block)
        if progress:
            progress(group + 1, len(found))
    if not rows:
        raise DitmosError(f"{folder}: no recording of at least {DECIMATION * WINDOW} samples")
    labels = np.array(rows, np.int64)
    present, y = np.unique(labels[:, 0], return_inverse=True)
    return Dataset(
        x=np.rint(np.concatenate(blocks) / SCALE).astype(np.int16),
        y=y.reshape(-1).astype(np.int64),
        subject=labels[:, 1],
        group=labels[:, 2],
        class_names=tuple(ACTIVITIES[codes[i]] for i in present),
        channels=("acc_x", "acc_y", "acc_z"),
        scale=SCALE,
        units="g",
        fs=FS,
        name="sisfall",
    ).check()
