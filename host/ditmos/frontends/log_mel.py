"""Log-mel front end: sound to the (frames, mels) windows that keyword networks read.

Frames of 30 ms every 20 ms, periodic Hann window, FFT of the next power of two, 40 triangular filters between 60 and
7600 Hz whose corners are equidistant on the HTK mel scale ``2595 log10(1 + f / 700)``, natural logarithm of the
filtered power plus 1e-6, for sound of full scale 1. At 16 kHz that is frames of 480 samples, hop 320, 512 points, and
one second gives 49 rows at 50 a second. At lower rates the filters end at 95 % of half the rate.

`log_mel` says it in floats; `front_end` is what devices compute and networks are trained on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.integers import LONGEST
from ditmos.frontends.log_power import float_hann, log_power, points_for

FS = 16_000.0
FRAME_S, HOP_S = 0.030, 0.020
MELS = 40
LOW_HZ, HIGH_HZ = 60.0, 7600.0
FLOOR = 1e-6
UNITS = "ln(mel power + 1e-6)"
NAMES = tuple(f"mel{i:02d}" for i in range(MELS))


def sizes(fs: float = FS) -> tuple[int, int, int]:
    """Samples of a frame and of a hop, points of the FFT."""
    frame = 2 * round(FRAME_S / 2 * fs)
    return frame, round(HOP_S * fs), points_for(frame)


def mel_filters(fs: float = FS) -> NDArray[np.float32]:
    """(MELS, points / 2 + 1): triangles of height 1, linear in Hz between corners equidistant in mel."""

    def mel(hz: float) -> float:
        return 2595 * np.log10(1 + hz / 700)

    points = sizes(fs)[2]
    corners = 700 * (10 ** (np.linspace(mel(LOW_HZ), mel(min(HIGH_HZ, 0.475 * fs)), MELS + 2) / 2595) - 1)
    bins = np.arange(points // 2 + 1) * fs / points
    rising = (bins - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - bins) / np.diff(corners)[1:, None]
    return np.maximum(np.minimum(rising, falling), 0).astype(np.float32)


def log_mel(sound: NDArray, fs: float = FS) -> NDArray[np.float32]:
    """Sound (N, samples), full scale 1 -> (N, frames, MELS).

    Raises:
        DitmosError: fewer samples than one frame.
    """
    count = sound.shape[-1]
    frame, hop, points = sizes(fs)
    if count < frame:
        raise DitmosError(f"log-mel: {count} samples in a window, expected at least {frame}")
    frames = np.lib.stride_tricks.sliding_window_view(sound, frame, axis=-1)[:, ::hop]
    filters, window = mel_filters(fs).T, float_hann(frame)
    result = np.empty((*frames.shape[:2], MELS), np.float32)
    for i in range(0, len(frames), 256):  # bounds the memory of the spectra
        spectrum = np.fft.rfft(frames[i : i + 256] * window, points)
        result[i : i + 256] = np.log((spectrum.real**2 + spectrum.imag**2) @ filters + FLOOR)
    return result


def front_end(fs: float, scale: float, units: str, channel: str) -> FrontEnd:
    """Of one channel of sound whose full scale is 1 / ``scale`` steps; rows are int16, `ROW_SCALE` nat a step.

    Raises:
        DitmosError: a rate so low that a filter falls between two bins, or one beyond what devices transform.
    """
    frame, hop, points = sizes(fs)
    if not MELS <= points <= LONGEST:
        raise DitmosError(f"log-mel: fs is {fs:g} Hz, expected about 4 to {LONGEST / FRAME_S / 1000:.0f} kHz")
    spectrum = log_power(frame, hop, points, mel_filters(fs), gain=scale**2, floor=FLOOR, full=min(1 / scale, 32768))
    return FrontEnd((spectrum,), fs, float(np.float32(scale)), units, (channel,))
