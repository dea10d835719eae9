"""Units of unlike size in whole steps: what a sensor of each gives, so that one scale of raw samples serves all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.dataset import Dataset, join_units
from ditmos.frontends.integers import sat16
from ditmos.model.conversion import convert, plain

# A unit, and those whose whole numbers are fine enough: the first that 16 bits hold is taken.
_FINER: dict[str, tuple[str, ...]] = {
    "uS": ("nS",), "mS": ("nS", "uS"), "S": ("nS", "uS", "mS"), "degC": ("cdegC",), "degF": ("cdegC",), "K": ("cdegC",),
    "g": ("mg",), "m/s^2": ("cm/s^2",), "V": ("uV", "mV"), "mV": ("uV",),
}  # fmt: skip
_BEYOND = 1e-3  # of a channel's values may be too large for 16 bits
_LOST = 0.05  # of a channel's deviation
_LOOKED_AT = 1_000_000  # values of a channel


def in_whole_steps(dataset: Dataset) -> Dataset:
    """A set in real numbers as int16 with a scale of 1: each channel in a unit so fine that whole numbers do. What is
    beyond 16 bits saturates. A set of int16 with one scale stays as it is.
    """
    if dataset.x.dtype == np.int16 and isinstance(dataset.scale, float):
        return dataset
    x, units = np.empty(dataset.x.shape, np.int16), []
    for i, (name, scale) in enumerate(zip(dataset.channel_units, dataset.scales, strict=True)):
        steps, unit = _finest(dataset.x[:, :, i] * scale, plain(name))
        x[:, :, i] = sat16(steps)
        units.append(unit)
    return replace(dataset, x=x, scale=1.0, units=join_units(units)).check()


def _finest(values: NDArray, unit: str) -> tuple[NDArray, str]:
    """Rounded, in a finer unit where that fits; and which."""
    for finer in _FINER.get(unit, ()):
        factor, offset = convert(unit, finer, unit)
        steps = np.rint(values * factor + offset)
        if (np.abs(steps) > 32767).mean() <= _BEYOND:
            return steps, finer
    return np.rint(values), unit


def lost_digits(dataset: Dataset, samples: Dataset) -> list[str]:
    """Channels of which whole steps leave too little, a sentence each.

    samples: the same windows as a front end takes them: int16, in units of their own.
    """
    found = []
    every = slice(None, None, max(1, dataset.x.shape[0] * dataset.x.shape[1] // _LOOKED_AT))
    for i, name in enumerate(dataset.channels):
        unit, step = samples.channel_units[i], float(samples.scales[i])
        factor, offset = convert(dataset.channel_units[i], unit, name)
        real = dataset.x[every, :, i] * (dataset.scales[i] * factor) + offset
        lost = real - samples.x[every, :, i] * step
        if (share := float(np.sqrt(np.square(lost).mean()) / max(real.std(), 1e-30))) > _LOST:
            beyond = float((np.abs(real) > 32767.5 * step).mean())
            why = f"{beyond:.1%} of it is beyond 16 bits" if beyond else "a finer unit would keep it"
            found.append(
                f"channel {name} loses {share:.0%} of its variation as raw samples in steps of {step:g} {unit}: {why}"
            )
    return found
