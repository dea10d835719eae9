"""Samples from a program of your own, streamed to a board.

    ditmos stream --port PORT --source examples.source:walk --hop 50

A source is a function that returns an iterable of blocks (rows, channels). int16 is taken for raw samples, as the
sensor gives them; floats for real units. It may read a socket, a serial port, a file that grows.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

RATE = 50  # rows per second
BLOCK = 10  # rows


def walk(seconds: float = 12.0, steps: float = 1.8) -> Iterator[NDArray[np.int16]]:
    """Raw samples of an accelerometer (4096 to a g) at the waist of somebody who walks, `steps` a second."""
    for start in range(0, round(seconds * RATE), BLOCK):
        t = np.arange(start, start + BLOCK) / RATE
        step = 2 * np.pi * steps * t
        forward, sideways, up = 0.15 * np.cos(step), 0.1 * np.sin(step / 2), 1 + 0.3 * np.sin(step)
        yield (np.stack([forward, sideways, up], axis=1) * 4096).astype(np.int16)
