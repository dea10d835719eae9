"""What a detector of words hears between them, made from what a set of sound holds.

A set has words alone, each in the middle of its window and as loud as it was said. A detector that is always on hears
them at any place and any level, in noise, half in and half out of its window, and mostly hears no word at all.
`with_surroundings` adds such windows to the training part, and about half as many to the validation part; the test part
stays as it is.

| windows | of each of the set's | class |
|---|---|---|
| the word anywhere in the window, at another level, mostly in a background | 3 | its own |
| half of it or less, at an end of the window | 1 | unknown |
| played backwards, or the first half of one word before the second half of another | 1 | unknown |
| background, silence | 0.5 | unknown |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.backgrounds import Rng, Samples, background
from ditmos.datasets.dataset import TRAIN, VALIDATION, Dataset
from ditmos.datasets.features import samples_of
from ditmos.errors import DitmosError
from ditmos.frontends.integers import Int16, sat16

UNKNOWN = "unknown"
# Classes that mean "nothing that you asked for", by the names that sets give them.
SILENT_NAMES = frozenset((UNKNOWN, "other", "others", "none", "silence", "noise", "background", "background_noise"))
LEVELS = (0.18, 2.3)  # of the words
UNDER_WORDS = (2.5e-4, 0.02)  # level of a background, in parts of the full scale
ALONE = (1e-4, 0.2)
SLOWEST_HZ = 4000.0
_MOST = 2500  # windows of a part that copies are made of: a large set has enough of its own
_SPAN_S, _LOUD = 0.05, 0.02  # a word is where the power over such a span is more than that share of its largest
_MARGIN_S, _FADE_S = 0.03, 0.01
_FILLED = 0.9  # of the window: a longer sound is not a word, and stays whole and in its place


def silent_classes(class_names: Sequence[str]) -> tuple[int, ...]:
    """Those that mean no event."""
    return tuple(i for i, name in enumerate(class_names) if name.strip(" _").lower() in SILENT_NAMES)


def spoken(x: NDArray, fs: float) -> NDArray[np.int64]:
    """Windows (N, time) -> (N, 2): first sample of the word, and the one behind it."""
    span = max(1, round(_SPAN_S * fs))
    result = np.empty((len(x), 2), np.int64)
    for i, window in enumerate(x):
        total = np.concatenate(([0.0], np.cumsum(window.astype(np.float64) ** 2)))
        power = total[span:] - total[:-span] if len(window) > span else total[-1:]
        loud = np.flatnonzero(power >= _LOUD * power.max())
        result[i] = loud[0], min(loud[-1] + span, len(window))
    return result


@dataclass(frozen=True)
class _Part:
    """Words of one part of the set: samples in parts of the full scale, ends as `spoken` says, class, person."""

    x: Samples
    ends: NDArray[np.int64]
    y: NDArray[np.int64]
    subject: NDArray[np.int64]
    fs: float

    def word(self, i: int) -> Samples:
        """With soft ends."""
        margin, fade = int(_MARGIN_S * self.fs), int(_FADE_S * self.fs)
        first, end = self.ends[i]
        cut = self.x[i, max(first - margin, 0) : end + margin].copy()
        fade = min(fade, len(cut) // 2)
        rise = np.linspace(0, 1, fade, endpoint=False)
        cut[:fade] *= rise
        cut[len(cut) - fade :] *= rise[::-1]
        return cut


def _placed(part: _Part, i: int, rng: Rng) -> Samples:
    """Anywhere in the window; where it fills the window, as it is."""
    word, size = part.word(i), part.x.shape[1]
    if len(word) > _FILLED * size:
        return part.x[i]
    window = np.zeros(size)
    at = int(rng.integers(size - len(word) + 1))
    window[at : at + len(word)] = word
    return window


def _piece(part: _Part, i: int, rng: Rng) -> Samples:
    """A tenth to a half of it, the beginning at the window's end or the end at its beginning."""
    word, size = part.word(i)[: part.x.shape[1]], part.x.shape[1]
    seen = max(1, int(rng.uniform(0.1, 0.5) * len(word)))
    window = np.zeros(size)
    if rng.random() < 0.5:
        window[size - seen :] = word[:seen]
    else:
        window[:seen] = word[-seen:]
    return window


def _no_word(part: _Part, i: int, rng: Rng) -> Samples:
    """Backwards, or a half before a half of a word of another class, of the same person where there is one."""
    word, size = part.word(i), part.x.shape[1]
    others = np.flatnonzero((part.subject == part.subject[i]) & (part.y != part.y[i]))
    if rng.random() < 0.4 or not len(others):
        word = word[::-1]
    else:
        other = part.word(int(rng.choice(others)))
        word = np.concatenate((word[: len(word) // 2], other[len(other) // 2 :]))
    word = word[:size]
    window = np.zeros(size)
    at = int(rng.integers(size - len(word) + 1))
    window[at : at + len(word)] = word
    return window


def _mixed(word: Samples, fs: float, rng: Rng) -> Samples:
    """At another level, mostly in a background that is no louder than the word."""
    word = word * np.exp(rng.uniform(*np.log(LEVELS)))
    if rng.random() < 0.2:
        return word
    under = background(rng, len(word), fs, UNDER_WORDS, steady=rng.random() < 0.8)
    loud = np.sqrt(np.mean(word**2))
    return word + under * min(1.0, loud / max(float(np.sqrt(np.mean(under**2))), 1e-12))


def _empty(part: _Part, rng: Rng) -> Samples:
    if rng.random() < 0.1:
        return np.zeros(part.x.shape[1])
    return background(rng, part.x.shape[1], part.fs, ALONE)


def with_surroundings(dataset: Dataset, seed: int = 0) -> Dataset:
    """The set (one channel of sound, split) and what the table above says, in its order behind it, as int16 samples.

    A set without a class for what is no event gets one, ``unknown``, as its last. Added windows belong to the person
    and the recording that they were made of; silence belongs to those of some window of its part.

    Raises:
        DitmosError: more channels than one, or a rate at which there are no words.
    """
    if len(dataset.channels) != 1 or dataset.fs < SLOWEST_HZ:
        raise DitmosError(
            f"{dataset.name}: {len(dataset.channels)} channels at {dataset.fs:g} Hz, surroundings need one channel of "
            f"sound, {SLOWEST_HZ:g} Hz or more"
        )
    samples, scale = samples_of(dataset)
    names = dataset.class_names
    unknown = (silent_classes(names) or (len(names),))[0]
    if unknown == len(names):
        names = (*names, UNKNOWN)
    rng = np.random.default_rng(seed)
    x: list[Int16] = [samples]
    y, source = [dataset.y], [np.arange(len(dataset))]
    for which in (TRAIN, VALIDATION):
        own = dataset.part(which)
        if not len(own):
            continue
        some = rng.permutation(own)[:_MOST]
        sound = samples[some, :, 0] * scale
        part = _Part(sound, spoken(sound, dataset.fs), dataset.y[some], dataset.subject[some], dataset.fs)
        for window, label, i in _added(part, unknown, rng, few=which == VALIDATION):
            x.append(sat16(np.rint(window / scale))[None, :, None])
            y.append(np.array([label]))
            source.append(some[i : i + 1])
    index = np.concatenate(source)
    split = dataset.split
    return replace(
        dataset, x=np.concatenate(x), y=np.concatenate(y), subject=dataset.subject[index], group=dataset.group[index],
        split=None if split is None else split[index], class_names=names, scale=scale,
    ).check()  # fmt: skip


def _added(part: _Part, unknown: int, rng: Rng, *, few: bool) -> list[tuple[Samples, int, int]]:
    """(window, class, index of what it was made of); ``few``: of each kind, about half."""
    size = part.x.shape[1]
    whole = float(np.median(part.ends[:, 1] - part.ends[:, 0])) > _FILLED * size
    made: list[tuple[Samples, int, int]] = []
    step = 2 if few else 1
    kinds: list[tuple[Callable[[_Part, int, Rng], Samples], bool]] = [(_placed, False)] * (1 if few else 3)
    if not whole:  # sounds without an end have no pieces
        kinds += [(_piece, True), (_no_word, True)]
    for make, other in kinds:
        for i in range(0, len(part.y), step if other else 1):
            made.append((_mixed(make(part, i, rng), part.fs, rng), unknown if other else int(part.y[i]), i))
    for i in range(0, len(part.y), 2 * step):
        made.append((_empty(part, rng), unknown, i))
    return made
