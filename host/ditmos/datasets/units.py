"""Units of unlike size in whole steps: what a sensor of each gives, so that one scale of raw samples serves all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ditmos.datasets.dataset import Dataset, join_units
from ditmos.frontends.integers import sat16
from ditmos.model.conversion import convert, plain

# A unit, and the one whose whole numbers are fine enough.
_FINER = {"uS": "nS", "degC": "cdegC", "g": "mg", "m/s^2": "mm/s^2", "V": "mV", "mV": "uV"}


def in_whole_steps(dataset: Dataset) -> Dataset:
    """A set in real numbers as int16 with a scale of 1: each channel in a unit so fine that whole numbers do. What is
    beyond 16 bits saturates. A set of int16 with one scale stays as it is.
    """
    if dataset.x.dtype == np.int16 and isinstance(dataset.scale, float):
        return dataset
    before = [plain(unit) for unit in dataset.channel_units]
    units = [_FINER.get(unit, unit) for unit in before]
    factors = [convert(old, new, dataset.name).factor for old, new in zip(before, units, strict=True)]
    x = sat16(np.rint(dataset.x * (np.array(factors) * dataset.scales)))
    return replace(dataset, x=x, scale=1.0, units=join_units(units)).check()
