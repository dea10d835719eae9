"""Random front ends and samples for every test of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.integers import Int16, sat16
from ditmos.frontends.operations import Affine, Centre, Norm, Operation, Split
from ditmos.frontends.spectrum import MOST_OFFSET, WINDOW_ONE, Spectrum, bank, hann


def random_spectrum(rng: Generator, *, longest: int = 512) -> Spectrum:
    """Any size, bank, floor and offset that the device takes, sensible ones more often."""
    points = int(2 ** rng.integers(3, longest.bit_length()))
    frame = 2 * int(rng.integers(1 if rng.random() < 0.3 else points // 4, points // 2 + 1))
    bins = points // 2 + 1
    bands = int(rng.integers(1, 12))
    matrix = np.zeros((bands, bins))
    for row in matrix:
        first = int(rng.integers(bins))
        end = int(rng.integers(first, bins)) + 1
        row[first:end] = rng.random(end - first) * rng.choice([1, 1.9])
    starts, weights = bank(matrix)
    window = hann(frame) if rng.random() < 0.7 else rng.integers(-WINDOW_ONE, WINDOW_ONE + 1, frame).astype(np.int32)
    return Spectrum(
        frame=frame,
        hop=int(rng.integers(1, frame + 1)),
        points=points,
        window=window,
        starts=starts,
        weights=weights,
        floor=int(2 ** (63 * rng.random())) if rng.random() < 0.9 else 1,
        offset=int(rng.integers(-MOST_OFFSET, MOST_OFFSET + 1) if rng.random() < 0.1 else rng.integers(0, 70 << 16)),
        shift=int(rng.choice([0, 0, 1, 4, 15])),
    )


def random_affine(rng: Generator, channels: int, *, own: bool = False) -> Affine:
    shift = rng.integers(1, 32, channels).astype(np.uint8)
    factor = 2.0 ** rng.uniform(-4, 4, channels)
    multiplier = np.minimum(np.rint(factor * 2.0**shift), 2**31 - 1).astype(np.int32)
    return Affine(rng.integers(-32768, 32768, channels).astype(np.int16), multiplier, shift, own)


def random_front(rng: Generator, *, longest: int = 512) -> FrontEnd:
    """One to six operations in any order that is allowed."""
    channels = int(rng.integers(1, 4))
    operations: list[Operation] = []
    width = channels
    has_spectrum = has_own = False
    for _ in range(int(rng.integers(1, 6))):
        choice = rng.choice(["spectrum", "spectrum", "split", "norm", "affine"])
        operation: Operation
        if choice == "spectrum" and not has_spectrum and width <= 8:
            operation, has_spectrum = random_spectrum(rng, longest=longest), True
        elif choice == "split" and width <= 32:
            operation = Split(int(rng.integers(1, 16)))
        elif choice == "norm" and width >= 2:
            count = int(rng.integers(2, min(width, 8) + 1))
            operation = Norm(int(rng.integers(0, width - count + 1)), count)
        else:
            own = not has_own and bool(rng.random() < 0.5)
            has_own |= own
            operation = random_affine(rng, width, own=own)
        operations.append(operation)
        width = operation.channels_out(width)
    operations = [
        replace(o, wide=True) if isinstance(o, Spectrum) and isinstance(after, Affine) and rng.random() < 0.7 else o
        for o, after in zip(operations, [*operations[1:], None], strict=True)
    ]
    if rng.random() < 0.3:
        operations.append(Centre(bool(rng.random() < 0.5)))
    names = tuple(f"channel {i}" for i in range(channels))
    fs, scale = (float(np.float32(2.0 ** rng.uniform(-10, 10))) for _ in range(2))
    return FrontEnd(tuple(operations), fs, scale, "units", names)


def random_samples(rng: Generator, count: int, channels: int) -> Int16:
    """Noise of any level, with stretches of silence, of the extremes and of squares at full scale."""
    level = 2.0 ** rng.uniform(0, 15)
    x = rng.normal(0, level, (count, channels))
    for _ in range(int(rng.integers(0, 4))):
        first = int(rng.integers(count))
        end = int(rng.integers(first, count)) + 1
        period = int(rng.choice([1, 2, 3, 4, 8, 16, 37]))
        square = np.where(np.arange(end - first) // period % 2, 32767, -32768)
        x[first:end] = rng.choice([np.zeros(end - first), square, np.full(end - first, -32768)])[:, None]
    return sat16(np.rint(x))


def random_sound(rng: Generator, fs: float, count: int, full: int) -> Int16:
    """(count, one second, 1): gliding tones over noise, loud and quiet; ``full`` steps are full scale."""
    t = np.arange(int(fs)) / fs
    pitch = 2 * np.pi * np.cumsum(rng.uniform(90, 300, (count, 1)) * (1 + 0.3 * np.sin(2 * np.pi * 3 * t)), 1) / fs
    tones = sum(np.sin(i * pitch) * rng.uniform(0, 1, (count, 1)) / i for i in range(1, 20))
    x = 0.3 * tones * np.exp(-(((t - 0.5) / 0.15) ** 2)) * 10 ** rng.uniform(-2, 0, (count, 1))
    x = x + rng.normal(0, 10 ** rng.uniform(-4, -2, (count, 1)), x.shape)
    return np.rint(x * full).clip(-full, full - 1).astype(np.int16)[..., None]


def random_eeg(rng: Generator, fs: float, count: int, channels: int) -> Int16:
    """(count, four seconds, channels): brown noise."""
    x = np.cumsum(rng.normal(0, 30, (count, int(4 * fs), channels)), 1)
    return sat16(np.rint(x - x.mean(1, keepdims=True)))
