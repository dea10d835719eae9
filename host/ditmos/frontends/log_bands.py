"""Log band power front end: EEG to the (frames, channels x bands) windows that small networks can read.

Frames of a second every quarter of one, periodic Hann window w, one-sided periodogram of N points, the next power of
two. The power of a band is the sum over its bins, lower edge included, upper edge not, of

    2 |X_k|^2 / (N * sum(w^2))        in uV^2 where the samples are in uV

and the feature is the natural logarithm of that plus 1e-3. At 128 Hz frames have 128 samples, hop 32, and bins are 1 Hz
apart; 512 samples give 13 frames, 4 a second. A sine of amplitude a well inside a band has the power a^2 / 2.

`log_bands` says it in floats; `front_end` is what devices compute and networks are trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.integers import LONGEST
from ditmos.frontends.log_mel import hann
from ditmos.frontends.log_power import log_power, points_for

FS = 128.0
EDGES_HZ = (1, 4, 8, 10, 13, 20, 30, 45)  # delta, theta, lower and upper alpha, lower and upper beta, gamma
BANDS = tuple(f"{low}-{high}Hz" for low, high in pairwise(EDGES_HZ))
FLOOR = 1e-3
UNITS = f"ln(band power in {{}}^2 + {FLOOR:g})"


def sizes(fs: float = FS) -> tuple[int, int, int]:
    """Samples of a frame and of a hop, points of the FFT."""
    frame = 2 * round(fs / 2)
    return frame, round(fs / 4), points_for(frame)


def band_edges(fs: float = FS) -> list[int]:
    """First bin of each band, and the one behind the last band."""
    return [round(hz * sizes(fs)[2] / fs) for hz in EDGES_HZ]


def log_bands(signal: NDArray, fs: float = FS) -> NDArray[np.float32]:
    """Samples (N, channels, time) -> (N, frames, channels * len(BANDS)); the bands of a channel lie together.

    Raises:
        DitmosError: fewer samples than one frame.
    """
    count = signal.shape[-1]
    frame, hop, points = sizes(fs)
    if count < frame:
        raise DitmosError(f"log-bands: {count} samples in a window, expected at least {frame}")
    frames = np.lib.stride_tricks.sliding_window_view(signal, frame, axis=-1)[:, :, ::hop]
    window = hann(frame)
    first = band_edges(fs)
    result = np.empty((*frames.shape[:3], len(BANDS)), np.float32)
    for i in range(0, len(frames), 64):  # bounds the memory of the spectra
        spectrum = np.fft.rfft(frames[i : i + 64] * window, points)
        power = (spectrum.real**2 + spectrum.imag**2) * (2 / (points * (window**2).sum()))
        result[i : i + 64] = np.log(np.add.reduceat(power, first, axis=-1)[..., :-1] + FLOOR)
    return np.ascontiguousarray(result.transpose(0, 2, 1, 3)).reshape(len(result), frames.shape[2], -1)


def front_end(fs: float, scale: float, units: str, channels: Sequence[str]) -> FrontEnd:
    """Of samples with ``scale`` real units a step; rows are int16, `ROW_SCALE` nat a step.

    Raises:
        DitmosError: a rate below twice the highest band, or one beyond what devices transform.
    """
    frame, hop, points = sizes(fs)
    edges = band_edges(fs)
    if edges[-1] > points // 2 + 1 or points > LONGEST:
        raise DitmosError(f"log-bands: fs is {fs:g} Hz, expected {2 * EDGES_HZ[-1]} to {LONGEST} Hz")
    matrix = np.zeros((len(BANDS), points // 2 + 1))
    for row, (low, high) in zip(matrix, pairwise(edges), strict=True):
        row[low:high] = 1
    gain = 2 * scale**2 / (points * float((hann(frame).astype(np.float64) ** 2).sum()))
    spectrum = log_power(frame, hop, points, matrix, gain=gain, floor=FLOOR)
    return FrontEnd((spectrum,), fs, float(np.float32(scale)), units, tuple(channels))
