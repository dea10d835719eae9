"""What kind of signal windows are, and which front end suits: by rate, units, channels and values, never by names."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ditmos.datasets.dataset import Dataset
from ditmos.model.conversion import plain

Kind = Literal["sound", "bands", "electrodes", "wrist", "motion", "other"]
FrontEndName = Literal["none", "log-mel", "log-bands", "vitals"]

_SOUND_HZ = 4000.0  # sampled faster than this, one channel is sound
_BAND_HZ = (90.0, 2048.0)  # rates that band power takes
_MANY = 8  # channels, from which on they may be bands or electrodes
_ALIKE = 0.8  # correlation of neighbouring channels, from which on they are bands of one spectrum
_WRIST_HZ = (16.0, 256.0)  # rates that the front end of a wristband takes
_FRONT_ENDS: dict[Kind, FrontEndName] = {"sound": "log-mel", "electrodes": "log-bands", "wrist": "vitals"}
_SKIN = {"S", "mS", "uS", "nS"}  # what skin conductance is measured in
_VOLTS = {"v", "mv", "uv", "µv", "nv"}
_MOTION = {"g", "mg", "m/s2", "m/s^2", "m/s²", "rad/s", "deg/s", "dps", "°/s", "ut", "µt", "gauss"}
_SAMPLE = 500  # windows that are looked at


def kind_of(dataset: Dataset) -> tuple[Kind, str]:
    """What the windows are, and by what that can be told."""
    channels, units = len(dataset.channels), {unit.strip().lower() for unit in dataset.units.split(",")}
    if channels == 1 and dataset.fs >= _SOUND_HZ:
        return "sound", f"one channel at {dataset.fs:,.0f} Hz"
    if channels >= _MANY and (alike := neighbours_alike(dataset)) >= _ALIKE:
        return "bands", f"{channels} channels, neighbours alike ({alike:.2f})"
    if channels >= _MANY and units <= _VOLTS:
        return "electrodes", f"{channels} channels in {dataset.units}"
    skin = [name for name, unit in zip(dataset.channels, dataset.channel_units, strict=True) if plain(unit) in _SKIN]
    if skin and channels > 1 and _WRIST_HZ[0] <= dataset.fs <= _WRIST_HZ[1]:
        return "wrist", f"{skin[0]} is skin conductance, at {dataset.fs:g} Hz"
    if channels % 3 == 0 and units <= _MOTION:
        return "motion", f"{channels} channels in {dataset.units}"
    return "other", f"{channels} channels in {dataset.units}"


def front_end_of(kind: Kind, dataset: Dataset) -> FrontEndName:
    """Of windows of that kind."""
    if kind == "electrodes" and not _BAND_HZ[0] <= dataset.fs <= _BAND_HZ[1]:
        return "none"
    return _FRONT_ENDS.get(kind, "none")


def neighbours_alike(dataset: Dataset) -> float:
    """Mean correlation of a channel with the next, over some windows."""
    x = dataset.x[np.linspace(0, len(dataset) - 1, min(len(dataset), _SAMPLE)).astype(int)].astype(np.float64)
    with np.errstate(invalid="ignore"):
        table = np.corrcoef(x.reshape(-1, x.shape[2]).T)
    return float(np.nan_to_num(np.diag(table, 1)).mean())
