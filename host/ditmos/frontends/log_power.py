"""Logarithms of sums of power: what log-mel and band power have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ditmos.frontends.spectrum import WEIGHT_ONE, WINDOW_ONE, Spectrum, bank, hann, shift_for

ROW_SCALE = float(np.float32(np.log(2) / 256))  # of integer rows: one step is so many nat


def points_for(frame: int) -> int:
    """The power of two from a frame on."""
    return 1 << (frame - 1).bit_length()


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
