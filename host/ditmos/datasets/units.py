"""Units of unlike size in whole steps: what a sensor of each gives, so that one scale of raw samples serves all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ditmos.datasets.dataset import Dataset
from ditmos.frontends.integers import sat16

# A unit (as `plain` writes it): the one whose whole numbers are fine enough, and how many of those it is.
_FINER = {
    "us": ("nS", 1000.0),
    "degc": ("0.01 degC", 100.0),
    "g": ("mg", 1000.0),
    "m/s2": ("mm/s2", 1000.0),
    "v": ("mV", 1000.0),
    "mv": ("uV", 1000.0),
}


def plain(unit: str) -> str:
    """Without what a unit's name may have before it ("EDA uS"), its marks written in one way."""
    text = unit.strip().lower().replace("µ", "u").replace("μ", "u").replace("°", "deg").replace("²", "2")
    return text.rpartition(" ")[2].replace("^", "")


def in_whole_steps(dataset: Dataset) -> Dataset:
    """A set in real numbers as int16 with a scale of 1: each channel in a unit so fine that whole numbers do, named as
    before but for the unit. What is beyond 16 bits saturates. A set of int16 with one scale stays as it is.
    """
    if dataset.x.dtype == np.int16 and isinstance(dataset.scale, float):
        return dataset
    units, factors = [], []
    for unit, scale in zip(dataset.channel_units, dataset.scales.tolist(), strict=True):
        finer, factor = _FINER.get(plain(unit), ("", 1.0))
        units.append(f"{unit.strip().rpartition(' ')[0]} {finer}".strip() if finer else unit)
        factors.append(factor * scale)
    x = sat16(np.rint(dataset.x * np.array(factors)))
    text = units[0] if len(set(units)) == 1 else ", ".join(units)
    return replace(dataset, x=x, scale=1.0, units=text).check()
