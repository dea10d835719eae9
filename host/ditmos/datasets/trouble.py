"""What looks wrong in a dataset although its form is right: dead, clipped and unlike channels, copies, thin classes."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.dataset import SPLIT_NAMES, TEST, TRAIN, Dataset

_LOOKED_AT = 1_000_000  # values of a channel, for medians and percentiles
_CLIPPED = 0.001  # of a channel's values lie at its end, three in a row or more
_GLITCH = 30.0  # times what 99.9 % of the values stay below
_UNLIKE = 1000.0  # times the spread of another channel
_FEW = 10  # windows of a class
_UNEVEN = 20.0  # times as many windows as another class


def find_trouble(dataset: Dataset) -> list[str]:
    """What is suspicious, a sentence each, the worst first."""
    return [*_copies(dataset), *channel_trouble(dataset), *_gravity(dataset), *_classes(dataset), *_parts(dataset)]


def _copies(dataset: Dataset) -> list[str]:
    """Windows that are the same, byte for byte."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for i, window in enumerate(dataset.x):
        places[hashlib.blake2b(window.tobytes(), digest_size=16).digest()].append(i)
    same = [np.array(rows) for rows in places.values() if len(rows) > 1]
    if not same:
        return []
    result = [f"{sum(len(rows) - 1 for rows in same)} of {len(dataset)} windows are copies of another one"]
    labels = sum(len(np.unique(dataset.y[rows])) > 1 for rows in same)
    if labels:
        result.append(f"{labels} windows stand there under more than one class")
    if dataset.split is not None:
        both = sum({TRAIN, TEST} <= set(dataset.split[rows].tolist()) for rows in same)
        if both:
            result.append(f"{both} windows stand in training and in test")
    return result


def channel_trouble(dataset: Dataset) -> list[str]:
    """Of the channels alone: dead, clipped, with a glitch, unlike in size."""
    result, spreads = [], {}
    for number, name in enumerate(dataset.channels):
        values, scale = dataset.x[:, :, number], float(dataset.scales[number])
        low, high = values.min(), values.max()
        if low == high:
            result.append(f"channel {name} is {float(low) * scale:g} everywhere: it tells nothing")
            continue
        some = values.reshape(-1)[:: max(1, values.size // _LOOKED_AT)].astype(np.float64)
        offset = np.abs(some - np.median(some))
        usual = np.percentile(offset, 99.9)
        spreads[name] = float(some.std()) * scale
        flat = int((values.min(1) == values.max(1)).sum())
        if flat > len(values) / 10:
            result.append(f"channel {name} does not change in {flat} of {len(values)} windows")
        share, end = max((_stuck(values, high), high), (_stuck(values, low), low))
        if share > _CLIPPED and flat <= len(values) / 10:
            result.append(f"channel {name} looks clipped: {share:.1%} of its values stay at {float(end) * scale:g}")
        largest = max(abs(float(high) - np.median(some)), abs(float(low) - np.median(some)))
        if usual > 0 and largest > _GLITCH * usual:
            result.append(f"channel {name} has a glitch: {largest * scale:g}, {largest / usual:.0f} times the usual")
    if spreads:
        most, least = max(spreads, key=spreads.__getitem__), min(spreads, key=spreads.__getitem__)
        if spreads[least] > 0 and spreads[most] > _UNLIKE * spreads[least]:
            result.append(
                f"channels differ in size: {most} varies {spreads[most] / spreads[least]:.0f} times as much as {least}"
            )
    return result


def _stuck(values: NDArray, end: float) -> float:
    """Share of the values that are ``end`` in a run of three or more."""
    at = values == end
    if not at.any():
        return 0.0
    inner = at[:, :-2] & at[:, 1:-1] & at[:, 2:]
    return float(inner.sum()) / values.size


def _gravity(dataset: Dataset) -> list[str]:
    """Accelerations whose size at rest is the earth's, in the other unit: three axes, or in g whatever there is, as
    nobody is at 9.8 g most of the time."""
    names, units_of = [name.lower() for name in dataset.channels], dataset.channel_units
    axes = [i for i, name in enumerate(names) if name.startswith("a") and name[-1:] in "xyz"][:3]
    if len(axes) != 3 or len({units_of[i] for i in axes}) != 1:
        axes = [i for i, unit in enumerate(units_of) if unit == "g"][:3]
    units = {units_of[i] for i in axes}
    if units not in ({"g"}, {"m/s^2"}):
        return []
    some = dataset.real(slice(None, None, max(1, len(dataset) // 500)))[:, axes]
    rest = float(np.median(np.linalg.norm(some, axis=1)))
    if units == {"g"} and 8.5 < rest < 11:
        return [f"the acceleration is {rest:.3g} at rest: that looks like m/s^2, not g"]
    if units == {"m/s^2"} and 0.85 < rest < 1.15:
        return [f"the acceleration is {rest:.3g} at rest: that looks like g, not m/s^2"]
    return []


def _classes(dataset: Dataset) -> list[str]:
    counts = np.bincount(dataset.y, minlength=dataset.classes)
    if dataset.classes == 1:
        return [f"all windows are of class {dataset.class_names[0]}"]
    result = [f"class {dataset.class_names[i]} has {counts[i]} windows" for i in np.flatnonzero(counts < _FEW)]
    if counts.min() and counts.max() > _UNEVEN * counts.min():
        most, least = dataset.class_names[counts.argmax()], dataset.class_names[counts.argmin()]
        result.append(f"class {most} has {counts.max() / counts.min():.0f} times as many windows as {least}")
    alike = Counter(" ".join(name.lower().split()) for name in dataset.class_names)
    for name in (name for name, times in alike.items() if times > 1):
        own = [own for own in dataset.class_names if " ".join(own.lower().split()) == name]
        result.append(f"classes {', '.join(own)} differ in case or blanks only: one by --rename '{own[0]}={own[1]}'")
    people = len(np.unique(dataset.subject))
    if people > 1:
        single = [i for i in range(dataset.classes) if len(np.unique(dataset.subject[dataset.y == i])) == 1]
        if single:
            names = ", ".join(dataset.class_names[i] for i in single[:5])
            result.append(f"{len(single)} classes are of one person only: {names}{', ...' if len(single) > 5 else ''}")
    return result


def _parts(dataset: Dataset) -> list[str]:
    """What a split makes useless: empty parts, classes that training never sees."""
    if dataset.split is None:
        return []
    result = [f"the split has no {name} window" for i, name in enumerate(SPLIT_NAMES) if not (dataset.split == i).any()]
    unseen = sorted(set(dataset.y.tolist()) - set(dataset.y[dataset.split == TRAIN].tolist()))
    if unseen:
        names = ", ".join(dataset.class_names[i] for i in unseen[:5])
        result.append(f"{len(unseen)} classes are not in training: {names}{', ...' if len(unseen) > 5 else ''}")
    return result
