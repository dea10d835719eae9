"""SisFall (Sucerquia et al., Sensors 17(1):198, 2017): accelerometers and gyroscope at the waist.

The official archive holds one text file per recording, ``SA01/D01_SA01_R01.txt``: activity D01 to D19 (daily life) or
F01 to F15 (falls), subject SA01 to SA23 or SE01 to SE15, repetition. A line is a sample at 200 Hz, nine integers
separated by commas and ended by a semicolon; the first three are the ADXL345 accelerometer, 13 bits for +-16 g.

Activities that last are cut into windows side by side; a fall, a stumble or a jump gives one window around its largest
acceleration.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording, Signal
from ditmos.datasets.importers.report import Progress, Report
from ditmos.datasets.importers.table import read_table
from ditmos.errors import DitmosError

OPTIONS = Options(resample=50.0, window="151", hop="151")
_RATE = 200.0
_SCALE = 32 / 2**13  # g per bit of the ADXL345
_BITS = 2**12  # of its values, one of which is the sign

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
_FILE = re.compile(r"([DF]\d\d)_S([AE])(\d\d)_R(\d\d)\.txt", re.I)
_BRIEF = ("D18", "D19")


def read(folder: Path, options: Options, report: Report, progress: Progress) -> list[Recording]:
    """Every recording below the folder; subjects SE follow SA (24 is SE01).

    Raises:
        DitmosError: no recording there.
    """
    found = sorted((path, match) for path in folder.rglob("*.*") if (match := _FILE.fullmatch(path.name)))
    if not found:
        raise DitmosError(f"{folder}: no SisFall recording, expected files like SA01/D01_SA01_R01.txt")
    result = []
    for number, (path, match) in enumerate(found):
        code, age, person, take = match[1].upper(), match[2].upper(), int(match[3]), match[4]
        try:
            if code not in ACTIVITIES:
                raise DitmosError(f"{path}: activity {code}, expected D01 to D19 or F01 to F15")
            signal = Signal(_counts(path), ("acc_x", "acc_y", "acc_z"), ("g",) * 3, rate=_RATE, scale=_SCALE)
            result.append(
                Recording(
                    str(path),
                    "sisfall",
                    (signal,),
                    label=ACTIVITIES[code],
                    subject=str(person + (23 if age == "E" else 0)),
                    take=take,
                    peak=code.startswith("F") or code in _BRIEF,
                )
            )
        except DitmosError as error:
            report.drop(str(error).removeprefix(f"{path}: "), str(path))
        progress("reading", number + 1, len(found))
    return result


def _counts(path: Path) -> NDArray[np.int16]:
    """The ADXL345's (rows, 3) at 200 Hz."""
    table = read_table(path, separator=",")
    columns = list(table.columns.values())
    if len(columns) != 9:
        raise DitmosError(f"{path}: {len(columns)} numbers in a line, expected 9")
    if any(column.dtype.kind != "i" for column in columns):
        raise DitmosError(f"{path}: not whole numbers only, as a SisFall recording has them")
    counts = np.column_stack(columns[:3])
    wrong = np.flatnonzero((np.abs(counts) > _BITS).any(1))
    if wrong.size:
        value = counts[wrong[0]][np.abs(counts[wrong[0]]).argmax()]
        raise DitmosError(f"{path}: line {table.lines[wrong[0]]} has {value}, expected 13 bits (-4096 to 4095)")
    return counts.astype(np.int16)
