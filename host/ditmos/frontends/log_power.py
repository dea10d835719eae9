"""Logarithms of sums of power: what log-mel and band power have in common, and power in bands of any edges."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.frontends.integers import LONGEST
from ditmos.frontends.spectrum import WEIGHT_ONE, WINDOW_ONE, Spectrum, bank, hann, shift_for

ROW_SCALE = float(np.float32(np.log(2) / 256))  # of integer rows: one step is so many nat
_BLOCK = 64  # windows whose spectra are in memory at a time


def points_for(frame: int) -> int:
    """The power of two from a frame on."""
    return 1 << (frame - 1).bit_length()


def float_hann(length: int) -> NDArray[np.float32]:
    """Periodic Hann window."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)


def log_power(
    frame: int, hop: int, points: int, matrix: NDArray, *, gain: float, floor: float, full: float = 32768
) -> Spectrum:
    """Integer rows of ``ln(gain * sum_k matrix[b][k] |DFT(hann x)[k]|^2 + floor)`` over `ROW_SCALE`.

    matrix: weights (bands, points / 2 + 1) from 0 to 1. x is in steps of the samples, of which ``full`` is the largest.
    """
    starts, weights = bank(matrix)
    shift = shift_for(full)
    # Spectrum sums WEIGHT_ONE matrix |Y|^2, where Y = DFT(hann x) 2^shift (WINDOW_ONE / 2^16) 4 / points.
    unit = WEIGHT_ONE * (2.0**shift * WINDOW_ONE / 2**16 * 4 / points) ** 2 / gain
    return Spectrum(
        frame=frame,
        hop=hop,
        points=points,
        window=hann(frame),
        starts=starts,
        weights=weights,
        floor=max(1, round(floor * unit)),
        offset=round(np.log2(unit) * 65536),
        shift=shift,
    )


@dataclass(frozen=True)
class Bands:
    """Frames of ``frame_s`` every ``hop_s`` seconds, periodic Hann window w, one-sided periodogram of N points, the
    next power of two. The power of a band is the sum over its bins, lower edge included, upper edge not, of

        2 |X_k|^2 / (N * sum(w^2))        in the square of the samples' units

    and the feature is the natural logarithm of that plus ``floor``. A sine of amplitude a well inside a band has the
    power a^2 / 2. name: for messages.
    """

    name: str
    edges_hz: tuple[float, ...]
    frame_s: float
    hop_s: float
    floor: float

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{low:g}-{high:g}Hz" for low, high in pairwise(self.edges_hz))

    def sizes(self, fs: float) -> tuple[int, int, int]:
        """Samples of a frame and of a hop, points of the FFT."""
        frame = 2 * round(self.frame_s * fs / 2)
        return frame, round(self.hop_s * fs), points_for(frame)

    def edges(self, fs: float) -> list[int]:
        """First bin of each band, and the one behind the last band."""
        return [round(hz * self.sizes(fs)[2] / fs) for hz in self.edges_hz]

    def floats(self, signal: NDArray, fs: float) -> NDArray[np.float32]:
        """Samples (N, channels, time) -> (N, frames, channels * bands); the bands of a channel lie together.

        Raises:
            DitmosError: fewer samples than one frame.
        """
        count = signal.shape[-1]
        frame, hop, points = self.sizes(fs)
        if count < frame:
            raise DitmosError(f"{self.name}: {count} samples in a window, expected at least {frame}")
        frames = np.lib.stride_tricks.sliding_window_view(signal, frame, axis=-1)[:, :, ::hop]
        window = float_hann(frame)
        edges = self.edges(fs)
        result = np.empty((*frames.shape[:3], len(edges) - 1), np.float32)
        for i in range(0, len(frames), _BLOCK):
            spectrum = np.fft.rfft(frames[i : i + _BLOCK] * window, points)
            power = (spectrum.real**2 + spectrum.imag**2) * (2 / (points * (window**2).sum()))
            sums = [power[..., a:b].sum(-1) for a, b in pairwise(edges)]
            result[i : i + _BLOCK] = np.log(np.stack(sums, -1) + self.floor)
        return np.ascontiguousarray(result.transpose(0, 2, 1, 3)).reshape(len(result), frames.shape[2], -1)

    def spectrum(self, fs: float, scale: float) -> Spectrum:
        """The same of samples with ``scale`` real units a step; rows are int16, `ROW_SCALE` nat a step.

        Raises:
            DitmosError: a rate below twice the highest band, or one beyond what devices transform.
        """
        frame, hop, points = self.sizes(fs)
        edges = self.edges(fs)
        if points > LONGEST or edges[-1] > points // 2 + 1:
            most = LONGEST / self.frame_s
            raise DitmosError(f"{self.name}: fs is {fs:g} Hz, expected {2 * self.edges_hz[-1]:g} to {most:g} Hz")
        matrix = np.zeros((len(edges) - 1, points // 2 + 1))
        for row, (low, high) in zip(matrix, pairwise(edges), strict=True):
            row[low:high] = 1
        gain = 2 * scale**2 / (points * float((float_hann(frame).astype(np.float64) ** 2).sum()))
        return log_power(frame, hop, points, matrix, gain=gain, floor=self.floor)
