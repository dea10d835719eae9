"""Log band power front end: EEG to the (frames, channels x bands) windows that small networks can read.

Frames of 128 samples, hop 32, periodic Hann window w, one-sided periodogram. The power of a band is the sum over its
bins, lower edge included, upper edge not, of

    2 |X_k|^2 / (FRAME * sum(w^2))        in uV^2 where the samples are in uV

and the feature is the natural logarithm of that plus 1e-3. Bins are 1 Hz apart at 128 Hz; 512 samples give 13 frames,
4 a second. A sine of amplitude a well inside a band has the power a^2 / 2.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets import Dataset
from ditmos.errors import DitmosError
from ditmos.frontends.log_mel import hann

FS = 128.0
FRAME, HOP = 128, 32
EDGES_HZ = (1, 4, 8, 10, 13, 20, 30, 45)  # delta, theta, lower and upper alpha, lower and upper beta, gamma
BANDS = tuple(f"{low}-{high}Hz" for low, high in pairwise(EDGES_HZ))
FLOOR = 1e-3


def log_bands(signal: NDArray) -> NDArray[np.float32]:
    """Samples (N, channels, time) at FS -> (N, frames, channels * len(BANDS)); the bands of a channel lie together.

    Raises:
        DitmosError: fewer samples than one frame.
    """
    count = signal.shape[-1]
    if count < FRAME:
        raise DitmosError(f"log-bands: {count} samples in a window, expected at least {FRAME}")
    frames = np.lib.stride_tricks.sliding_window_view(signal, FRAME, axis=-1)[:, :, ::HOP]
    window = hann(FRAME)
    first = [round(hz * FRAME / FS) for hz in EDGES_HZ]
    result = np.empty((*frames.shape[:3], len(BANDS)), np.float32)
    for i in range(0, len(frames), 64):  # bounds the memory of the spectra
        spectrum = np.fft.rfft(frames[i : i + 64] * window)
        power = (spectrum.real**2 + spectrum.imag**2) * (2 / (FRAME * (window**2).sum()))
        result[i : i + 64] = np.log(np.add.reduceat(power, first, axis=-1)[..., :-1] + FLOOR)
    return np.ascontiguousarray(result.transpose(0, 2, 1, 3)).reshape(len(result), frames.shape[2], -1)


def to_log_bands(dataset: Dataset) -> Dataset:
    """Every channel at 128 Hz -> its log band powers, float32. A set in log band power already stays as it is.

    Raises:
        DitmosError: another sampling rate, or windows shorter than a frame.
    """
    units = f"ln(band power in {{}}^2 + {FLOOR:g})"
    if dataset.units.startswith(units.partition("{}")[0]):
        return dataset
    if dataset.fs != FS:
        raise DitmosError(f"{dataset.name}: fs is {dataset.fs} Hz, log-bands features need {FS:.0f} Hz")
    return replace(
        dataset,
        x=log_bands(dataset.real()),
        channels=tuple(f"{channel} {band}" for channel in dataset.channels for band in BANDS),
        scale=1.0,
        units=units.format(dataset.units),
        fs=FS / HOP,
    ).check()
