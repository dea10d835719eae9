"""Tracks made of a data set: words in noise at random levels, with gaps; activities one after the other; nothing.

What is drawn depends on the seed alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.backgrounds import scenes
from ditmos.datasets.dataset import Dataset
from ditmos.datasets.features import samples_of
from ditmos.datasets.surroundings import spoken
from ditmos.errors import DitmosError
from ditmos.frontends.integers import Int16, sat16
from ditmos.live.track import Track

LEVELS = (0.35, 2.0)  # of the words
GAP_S = (1.0, 4.0)  # from the end of a word's window to the next one's start
NOISE = (5e-4, 1e-2)  # root mean square, in parts of the full scale: 1 to 20 steps of 2048
NOTHING = (1e-4, 0.2)  # likewise, where nothing else is to be heard
_SILENCE = 0.25  # share of a track of nothing
_FADE_S = 0.005
_STAY_S = (10.0, 30.0)  # in an activity
_LOOKED_AT = 30  # recordings, and windows of each


def words(
    dataset: Dataset, index: NDArray[np.int64], minutes: float = 0, seed: int = 0, levels: tuple[float, float] = LEVELS
) -> Track:
    """Each of these windows of sound once, in random order, and again until the track has so many minutes.

    Raises:
        DitmosError: more channels than one.
    """
    if len(dataset.channels) != 1:
        raise DitmosError(f"{dataset.name}: {len(dataset.channels)} channels, a track of words needs one")
    rng, fs = np.random.default_rng(seed), dataset.fs
    samples, scale = samples_of(dataset)
    order, at, starts = _in_rounds(rng, index), 0, []
    used: list[int] = []
    while len(used) < len(index) or at < minutes * 60 * fs:
        at += int(rng.uniform(*GAP_S) * fs)
        starts.append(at)
        used.append(next(order))
        at += dataset.window
    count = at + int(GAP_S[1] * fs)
    sound = scenes(rng, count, fs, NOISE, steady=True)
    fade = int(_FADE_S * fs)
    soft = np.ones(dataset.window, np.float32)
    soft[:fade] = np.linspace(0, 1, fade)
    soft[-fade:] = soft[:fade][::-1]
    for start, i in zip(starts, used, strict=True):
        level = np.exp(rng.uniform(*np.log(levels)))
        sound[start : start + dataset.window] += samples[i, :, 0] * soft * np.float32(scale * level)
    ends = spoken(samples[np.array(used), :, 0], fs) + np.array(starts)[:, None]
    return _track(dataset, _steps(sound, scale), scale, ends / fs, dataset.y[np.array(used)])


def activities(dataset: Dataset, index: NDArray[np.int64], minutes: float = 0, seed: int = 0) -> Track:
    """Stays of 10 to 30 seconds, each a stretch of one recording, over and over where that is shorter.

    A recording is put together again of its windows where they overlap; else they are joined end to end, which is as
    continuous as windows can be.
    """
    rng, fs = np.random.default_rng(seed), dataset.fs
    recordings = [index[dataset.group[index] == g] for g in np.unique(dataset.group[index])]
    windows, scale = dataset.values(), 1.0
    if isinstance(dataset.scale, float):
        windows, scale = dataset.x, dataset.scale
    overlap = common_overlap([windows[own] for own in recordings])
    order, at = _in_rounds(rng, np.arange(len(recordings))), 0
    stays: list[NDArray] = []
    labels: list[int] = []
    while len(labels) < len(recordings) or at < minutes * 60 * fs:
        own = recordings[next(order)]
        label = int(rng.choice(np.unique(dataset.y[own])))
        signal = together(windows[own[dataset.y[own] == label]], overlap)
        count = max(dataset.window, round(rng.uniform(*_STAY_S) * fs))
        first = int(rng.integers(max(1, len(signal) - count + 1)))
        stays.append(signal[(first + np.arange(count)) % len(signal)])
        labels.append(label)
        at += count
    ends = np.cumsum([0, *map(len, stays)])
    times = np.stack([ends[:-1], ends[1:]], 1) / fs
    return _track(dataset, np.concatenate(stays), scale, times, np.array(labels, np.int64), continuous=True)


def common_overlap(recordings: Sequence[NDArray]) -> int:
    """Rows that a window of a recording (n, time, channels) shares with the next one, in most places; 0: none."""
    found = Counter(
        shared[0]
        for windows in recordings[:_LOOKED_AT]
        for before, after in pairwise(windows[:_LOOKED_AT])
        if len(shared := _overlaps(before, after)) == 1  # more: it does not change, and any would do
    )
    return found.most_common(1)[0][0] if found else 0


def _overlaps(before: NDArray, after: NDArray) -> list[int]:
    starts = np.flatnonzero((before[1:] == after[0]).all(1)) + 1
    return [len(before) - int(i) for i in starts if np.array_equal(before[i:], after[: len(before) - i])]


def together(windows: NDArray, overlap: int) -> NDArray:
    """Windows (n, time, channels) of one recording, in their order -> rows (time, channels), none twice where windows
    share as many rows as ``overlap``."""
    parts = [windows[0]]
    for before, after in pairwise(windows):
        shared = overlap if overlap and np.array_equal(before[-overlap:], after[:overlap]) else 0
        parts.append(after[shared:])
    return np.concatenate(parts)


def nothing(dataset: Dataset, minutes: float, seed: int = 0) -> Track:
    """Silence and noises of every kind, no word."""
    rng = np.random.default_rng(seed)
    scale = samples_of(dataset)[1]
    sound = scenes(rng, int(minutes * 60 * dataset.fs), dataset.fs, NOTHING, silence=_SILENCE)
    return _track(dataset, _steps(sound, scale), scale, np.empty((0, 2)), np.empty(0, np.int64))


def _in_rounds(rng: np.random.Generator, index: NDArray[np.int64]) -> Iterator[int]:
    while True:
        yield from rng.permutation(index).tolist()


def _steps(sound: NDArray[np.float32], scale: float) -> Int16:
    return sat16(np.rint(sound / np.float32(scale)))[:, None]


def _track(
    dataset: Dataset,
    samples: NDArray,
    scale: float,
    ends: NDArray,
    label: NDArray[np.int64],
    *,
    continuous: bool = False,
) -> Track:
    return Track(
        samples, ends[:, 0], ends[:, 1], label, dataset.class_names, dataset.channels, scale, dataset.units, dataset.fs,
        continuous, dataset.name,
    ).check()  # fmt: skip
