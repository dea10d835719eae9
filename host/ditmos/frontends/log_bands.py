"""Log band power front end: EEG to the (frames, channels x bands) windows that small networks can read.

Frames of a second every quarter of one; the bands are those of the field. The formula is that of `log_power.Bands`, in
uV^2 where the samples are in uV. At 128 Hz frames have 128 samples, hop 32, and bins are 1 Hz apart; 512 samples give
13 frames, 4 a second.

`log_bands` says it in floats; `front_end` is what devices compute and networks are trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.log_power import Bands

FS = 128.0
EDGES_HZ = (1, 4, 8, 10, 13, 20, 30, 45)  # delta, theta, lower and upper alpha, lower and upper beta, gamma
FLOOR = 1e-3  # uV^2
EEG = Bands("log-bands", EDGES_HZ, 1.0, 0.25, FLOOR)
BANDS = EEG.names
UNITS = f"ln(band power in {{}}^2 + {FLOOR:g})"


def log_bands(signal: NDArray, fs: float = FS) -> NDArray[np.float32]:
    """Samples (N, channels, time) -> (N, frames, channels * len(BANDS)); the bands of a channel lie together.

    Raises:
        DitmosError: fewer samples than one frame.
    """
    return EEG.floats(signal, fs)


def front_end(fs: float, scale: float, units: str, channels: Sequence[str]) -> FrontEnd:
    """Of samples with ``scale`` real units a step; rows are int16, `ROW_SCALE` nat a step.

    Raises:
        DitmosError: a rate below twice the highest band, or one beyond what devices transform.
    """
    return FrontEnd((EEG.spectrum(fs, scale),), fs, float(np.float32(scale)), units, tuple(channels))
