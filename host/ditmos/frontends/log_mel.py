"""Log-mel front end: sound to the (frames, mels) windows that keyword networks read.

Frames of 480 samples, hop 320, periodic Hann window, 512-point FFT, 40 triangular filters between 60
and 7600 Hz whose corners are equidistant on the HTK mel scale ``2595 log10(1 + f / 700)``, natural logarithm of the
filtered power plus 1e-6. At 16 kHz one second gives 49 frames at 50 a second.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets import Dataset
from ditmos.errors import DitmosError

FS = 16_000.0
FRAME, HOP, FFT, MELS = 480, 320, 512, 40
LOW_HZ, HIGH_HZ = 60.0, 7600.0
FLOOR = 1e-6
UNITS = "ln(mel power + 1e-6)"


def hann(length: int = FRAME) -> NDArray[np.float32]:
    """Periodic Hann window."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)


def mel_filters(fs: float = FS) -> NDArray[np.float32]:
    """(MELS, FFT / 2 + 1): triangles of height 1, linear in Hz between corners equidistant in mel."""

    def mel(hz: float) -> float:
        return 2595 * np.log10(1 + hz / 700)

    corners = 700 * (10 ** (np.linspace(mel(LOW_HZ), mel(HIGH_HZ), MELS + 2) / 2595) - 1)
    bins = np.arange(FFT // 2 + 1) * fs / FFT
    rising = (bins - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - bins) / np.diff(corners)[1:, None]
    return np.maximum(np.minimum(rising, falling), 0).astype(np.float32)


def log_mel(sound: NDArray, fs: float = FS) -> NDArray[np.float32]:
    """Sound (N, samples), full scale 1 -> (N, frames, MELS).

    Raises:
        DitmosError: fewer samples than one frame.
    """
    count = sound.shape[-1]
    if count < FRAME:
        raise DitmosError(f"log-mel: {count} samples in a window, expected at least {FRAME}")
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME, axis=-1)[:, ::HOP]
    filters, window = mel_filters(fs).T, hann()
    result = np.empty((*frames.shape[:2], MELS), np.float32)
    for i in range(0, len(frames), 256):  # bounds the memory of the spectra
        spectrum = np.fft.rfft(frames[i : i + 256] * window, FFT)
        result[i : i + 256] = np.log((spectrum.real**2 + spectrum.imag**2) @ filters + FLOOR)
    return result


def to_log_mel(dataset: Dataset) -> Dataset:
    """One channel of sound at 16 kHz -> its log-mel windows, float32. A set in log-mel already stays as it is.

    Raises:
        DitmosError: more channels than one, or another sampling rate.
    """
    if dataset.units == UNITS:
        return dataset
    if len(dataset.channels) != 1:
        raise DitmosError(f"{dataset.name}: {len(dataset.channels)} channels, log-mel features need 1 channel of sound")
    if dataset.fs != FS:
        raise DitmosError(f"{dataset.name}: fs is {dataset.fs} Hz, log-mel features need {FS:.0f} Hz")
    return replace(
        dataset,
        x=log_mel(dataset.real()[:, 0]),
        channels=tuple(f"mel{i:02d}" for i in range(MELS)),
        scale=1.0,
        units=UNITS,
        fs=FS / HOP,
    ).check()
