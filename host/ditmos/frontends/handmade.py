"""Features made by hand, in float: what forests and small MLPs read, and one kind of teacher."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_BANDS = 6


def features(x: NDArray) -> Floats:
    """Windows (N, channels, time) -> (N, F): per channel mean, deviation, quantiles, changes, log power in bands; where
    there are three channels, the same of their magnitude."""
    x = np.asarray(x, np.float32)
    if x.shape[1] == 3:
        x = np.concatenate([x, np.sqrt((x**2).sum(1, keepdims=True))], axis=1)
    change = np.abs(np.diff(x, axis=2))
    power = np.abs(np.fft.rfft(x - x.mean(2, keepdims=True), axis=2)) ** 2
    edges = np.unique(np.geomspace(1, power.shape[2], _BANDS + 1).astype(int))
    bands = [np.log(power[:, :, a:b].sum(2) + 1e-6) for a, b in pairwise(edges)]
    quantiles = np.quantile(x, (0, 0.25, 0.5, 0.75, 1), axis=2)
    parts = [x.mean(2), x.std(2), *quantiles, change.mean(2), change.max(2), *bands]
    return np.concatenate(parts, axis=1).astype(np.float32)
