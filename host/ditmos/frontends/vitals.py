"""Vitals front end: pulse, skin conductance, temperature and motion of a wristband to rows every two seconds.

Frames of 8 s every 2 s, and of every channel the power in bands (`log_power.Bands`): the level, what is slow
(breathing, a response of the skin), four bands of heart rates (38 to 60, 82, 105 and 150 a minute), and what is faster
than any heart. Of a pulse these say how fast it beats, of skin conductance and temperature the level, whose slope is
the difference of two rows. The magnitude of the acceleration is a channel more: motion whatever way the arm lies.

`vitals` says it in floats; `front_end` is what devices compute and networks are trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.log_power import Bands
from ditmos.frontends.operations import Norm, Operation

EDGES_HZ = (0, 0.125, 0.625, 1.0, 1.375, 1.75, 2.5, 8.0)
FLOOR = 0.1  # of power, in whole steps: their rounding alone has 1/12
VITALS = Bands("vitals", EDGES_HZ, 8.0, 2.0, FLOOR)
UNITS = f"ln(power of vitals + {FLOOR:g})"
MAGNITUDE = "motion"


def with_magnitude(signal: NDArray, motion: int | None) -> NDArray:
    """Samples (N, channels, time), and behind them the magnitude of the three from ``motion`` on, rounded down."""
    if motion is None:
        return signal
    group = signal[:, motion : motion + 3].astype(np.float64)
    return np.concatenate((signal, np.floor(np.sqrt((group**2).sum(1, keepdims=True)))), 1)


def vitals(signal: NDArray, fs: float, scale: float, motion: int | None) -> NDArray[np.float32]:
    """Samples (N, channels, time) in steps of ``scale`` -> (N, frames, channels * bands), a channel's bands together.

    Raises:
        DitmosError: fewer samples than one frame.
    """
    return VITALS.floats(with_magnitude(signal, motion) * scale, fs)


def front_end(fs: float, scale: float, units: str, channels: Sequence[str], motion: int | None) -> FrontEnd:
    """Of samples with ``scale`` real units a step; three channels from ``motion`` on are the acceleration's.

    Raises:
        DitmosError: a rate below 16 Hz, or one beyond what devices transform.
    """
    before: tuple[Operation, ...] = () if motion is None else (Norm(motion, 3),)
    operations = (*before, VITALS.spectrum(fs, scale))
    return FrontEnd(operations, fs, float(np.float32(scale)), units, tuple(channels))
