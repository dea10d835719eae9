"""In which form samples go to a board: real numbers that are samples of the model's front end go as its steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ditmos.frontends.integers import Int16, sat16
from ditmos.link.stream import Stream
from ditmos.model.signal import Signal


def sent_as(dtype: np.dtype, source: Signal, asked: Stream) -> np.dtype:
    """The type of what is sent. Real numbers that are samples of the model's front end, not its rows, become such
    samples. Rates tell them apart, or else channels. source: what is known of them. asked: a stream without a hop.

    Raises:
        DitmosError: as `Stream.prepare`.
    """
    if dtype.kind != "f":
        return dtype
    asked.prepare(dtype)
    rows = asked.signal
    asked.prepare(np.int16)
    samples = asked.signal
    fed = samples.channels != rows.channels  # the board names those of rows only
    if fed and not samples.other_rate(source.rate):
        same = rows.channels == source.channels and rows.scales != samples.scales
        like_rows = same and source.units in ((), rows.units)
        if rows.other_rate(source.rate) or (len(source.channels) == len(samples.channels) and not like_rows):
            return np.dtype(np.int16)
    return dtype


def in_steps(x: NDArray, signal: Signal) -> Int16:
    """Real numbers (..., channels) in the steps of a signal."""
    return sat16(np.rint(x / np.array(signal.scales, np.float32)))
