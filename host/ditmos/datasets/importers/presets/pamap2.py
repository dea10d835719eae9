"""PAMAP2 (Reiss and Stricker, ISWC 2012): inertial units at hand, chest and ankle, 100 Hz.

``Protocol/subject101.dat``: 54 columns apart by blanks: seconds, activity, heart rate, then 17 of each unit
(temperature, acceleration to 16 g and to 6 g, gyroscope, magnetometer, orientation). Taken are acceleration to 16 g in
m/s^2 and gyroscope in rad/s of all three. Rows that the radio lost are NaN: up to 50 ms are bridged, more ends a
stretch. Activity 0 is the time between activities and stays out.
"""

from __future__ import annotations

from ditmos.datasets.importers.options import Options

_ACTIVITIES = {
    "1": "lying",
    "2": "sitting",
    "3": "standing",
    "4": "walking",
    "5": "running",
    "6": "cycling",
    "7": "Nordic walking",
    "9": "watching TV",
    "10": "computer work",
    "11": "car driving",
    "12": "ascending stairs",
    "13": "descending stairs",
    "16": "vacuum cleaning",
    "17": "ironing",
    "18": "folding laundry",
    "19": "house cleaning",
    "20": "playing soccer",
    "24": "rope jumping",
}
_FIRST = (4, 21, 38)  # column of each unit's temperature, from 1
_CHANNELS = tuple(
    (str(first + offset), f"{place}_{kind}_{axis}", units)
    for place, first in zip(("hand", "chest", "ankle"), _FIRST, strict=True)
    for kind, start, units in (("acc", 1, "m/s^2"), ("gyro", 7, "rad/s"))
    for offset, axis in enumerate("xyz", start)
)

OPTIONS = Options(
    pattern="subject{subject}.dat",
    time_column="1",
    time_unit="s",
    label_column="2",
    columns=tuple(column for column, _, _ in _CHANNELS),
    names=tuple(name for _, name, _ in _CHANNELS),
    own_units=tuple(units for _, _, units in _CHANNELS),
    separator=" ",
    resample=100.0,
    window="5.12s",
    hop="1s",
    fill=0.05,
    rename=_ACTIVITIES | {"0": ""},
)
