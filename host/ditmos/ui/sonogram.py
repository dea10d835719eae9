"""Sound as a picture: how much of each band there is, over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ditmos.ui.ring import Ring

FRAME = 512  # samples
BANDS = 64
RANGE = 70.0  # dB from black to the loudest


def sonogram(ring: Ring, first: int, count: int, step: int, full: float) -> NDArray[np.uint8]:
    """Bins ``first`` to ``first + count`` of ``step`` rows of channel 0 -> (bins, BANDS), low bands first. ``full``:
    the value of a full-scale sample."""
    half = FRAME // 2
    starts = np.maximum((first + np.arange(count)) * step + step // 2 - half, ring.first)
    origin = int(starts[0]) if count else 0
    rows = ring.rows(origin, int(starts[-1]) + FRAME if count else 0)[:, 0].astype(np.float32) / full
    frames = starts - origin
    frames = frames[frames + FRAME <= len(rows)]
    if not len(frames):
        return np.zeros((0, BANDS), np.uint8)
    cut = rows[frames[:, None] + np.arange(FRAME)] * np.hanning(FRAME).astype(np.float32)
    power = np.abs(np.fft.rfft(cut, axis=1)[:, 1:]) ** 2 / (FRAME / 4) ** 2
    bands = power.reshape(len(frames), BANDS, -1).max(2)
    level = 10 * np.log10(bands + 1e-12)
    return np.clip((level + RANGE) / RANGE * 255, 0, 255).astype(np.uint8)
