"""Sound without words, made up: what a microphone hears most of the time.

Samples are in parts of the full scale. Levels are root mean squares.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.floating]
Rng = np.random.Generator

_LOWEST_HZ = 30.0
_SCENE_S = (8.0, 20.0)  # how long a background stays the same
_FADE_S = 0.05


def coloured(rng: Rng, count: int, fs: float) -> Samples:
    """Noise whose power falls with frequency, from not at all (white) to with its square (brown); level 1."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hz = np.maximum(np.fft.rfftfreq(count, 1 / fs), _LOWEST_HZ)
    sound = np.fft.irfft(spectrum * hz ** -rng.uniform(0, 1), count)
    return sound / max(float(sound.std()), 1e-12)


def uneven(rng: Rng, count: int, fs: float) -> Samples:
    """Coloured noise whose level moves by a factor of 4 within seconds."""
    knots = np.arange(0, count + fs, fs)
    gain = np.interp(np.arange(count), knots, 4 ** rng.uniform(-0.5, 0.5, len(knots)))
    return coloured(rng, count, fs) * gain


def hum(rng: Rng, count: int, fs: float) -> Samples:
    """Mains and its overtones, and a little noise."""
    t, first = np.arange(count) / fs, rng.choice((50.0, 60.0))
    sound = 0.1 * coloured(rng, count, fs)
    for i in range(1, 8):
        sound += rng.uniform(0, 1) / i * np.sin(2 * np.pi * (i * first * t + rng.random()))
    return sound


def tones(rng: Rng, count: int, fs: float) -> Samples:
    """A few tones that begin and end, some of them gliding: machines, music, birds."""
    sound = 0.05 * coloured(rng, count, fs)
    for _ in range(max(1, round(rng.uniform(1, 3) * count / fs))):
        length = int(rng.uniform(0.05, 1.5) * fs)
        start = int(rng.integers(-length // 2, count))
        begin, end = max(start, 0), min(start + length, count)
        t = np.arange(max(end - begin, 0)) / fs
        hz = np.exp(rng.uniform(np.log(100), np.log(0.4 * fs)))
        glide = hz * rng.uniform(-0.5, 0.2) * (rng.random() < 0.4)
        envelope = np.minimum(1, np.minimum(t, t[::-1]) / 0.01) if len(t) else t
        sound[begin:end] += rng.uniform(0.1, 1) * envelope * np.sin(2 * np.pi * (hz * t + 0.5 * glide * t**2))
    return sound


def knocks(rng: Rng, count: int, fs: float) -> Samples:
    """Short bursts that die away: doors, keys, steps; in a little noise."""
    sound = 0.02 * coloured(rng, count, fs)
    for _ in range(max(1, round(rng.uniform(0.5, 6) * count / fs))):
        length = int(rng.uniform(0.01, 0.3) * fs)
        at = int(rng.integers(0, count))
        burst = coloured(rng, length, fs) * np.exp(-6 * np.arange(length) / length)
        sound[at : at + length] += rng.uniform(0.1, 1) * burst[: count - at]
    return sound


KINDS: tuple[Callable[[Rng, int, float], Samples], ...] = (coloured, coloured, uneven, hum, tones, knocks)


def background(rng: Rng, count: int, fs: float, level: tuple[float, float], *, steady: bool = False) -> Samples:
    """One of `KINDS` (``steady``: coloured or uneven noise), its level between the two, evenly in decibels."""
    kinds = KINDS[:3] if steady else KINDS
    sound = kinds[rng.integers(len(kinds))](rng, count, fs)
    power = float(np.sqrt(np.mean(sound**2)))
    return sound * (np.exp(rng.uniform(*np.log(level))) / max(power, 1e-12))


def scenes(
    rng: Rng, count: int, fs: float, level: tuple[float, float], *, steady: bool = False, silence: float = 0.0
) -> Samples:
    """Backgrounds one after the other, of any length; a share of them is ``silence``, samples of 0."""
    result, at, fade = np.zeros(count, np.float32), 0, int(_FADE_S * fs)
    rise = np.linspace(0, 1, fade)
    while at < count:
        length = int(rng.uniform(*_SCENE_S) * fs)
        scene = np.zeros(length) if rng.random() < silence else background(rng, length, fs, level, steady=steady)
        scene[:fade] *= rise
        scene[-fade:] *= rise[::-1]
        end = min(at + length, count)
        result[at:end] += scene[: end - at]
        at += length - fade
    return result
