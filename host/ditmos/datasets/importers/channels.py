"""What every recording of a set has in common: the same channels, in the same order, under the same names."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording, Signal
from ditmos.datasets.importers.report import Report
from ditmos.errors import DitmosError


def by_sensor(recordings: Sequence[Recording]) -> list[Recording]:
    """Files of one take by several sensors become one recording."""
    groups: dict[tuple, list[Recording]] = {}
    for i, recording in enumerate(recordings):
        key = (recording.label, recording.subject, recording.take) if recording.sensor else (i,)
        groups.setdefault(key, []).append(recording)
    result = []
    for group in groups.values():
        first = group[0]
        if first.sensor:
            signals = tuple(
                replace(s, channels=tuple(_of_sensor(r.sensor or "", c) for c in s.channels))
                for r in sorted(group, key=lambda r: r.sensor or "")
                for s in r.signals
            )
            notes = tuple(dict.fromkeys(note for r in group for note in r.notes))
            first = replace(first, signals=signals, notes=notes, sensor=None)
        result.append(first)
    return result


def _of_sensor(sensor: str, channel: str) -> str:
    return channel if channel.lower().startswith(sensor.lower()) else f"{sensor}.{channel}"


def select(recording: Recording, options: Options) -> Recording:
    """The channels that ``options.columns`` names, where the reader did not look at it; ACC takes ACC_X and ACC_Y."""
    signals = recording.signals
    if options.columns and recording.source != "text":
        signals = _in_order(recording, options.columns)
    if options.scale is not None:
        signals = tuple(_scaled(signal, options.scale) for signal in signals)
    if options.names:
        signals = _renamed(signals, options.names, recording.path)
    return replace(recording, signals=signals)


def _in_order(recording: Recording, columns: Sequence[str]) -> tuple[Signal, ...]:
    """Signals of the channels that ``columns`` names, in its order. Raises DitmosError for one that is not there."""
    places = [(signal, i) for signal in recording.signals for i in range(len(signal.channels))]
    chosen: list[int] = []
    for name in columns:
        found = [n for n, (signal, i) in enumerate(places) if _named(signal.channels[i], n, name)]
        if not found:
            raise DitmosError(f"{recording.path}: no channel {name}, it has {', '.join(channels_of(recording))}")
        chosen += [n for n in found if n not in chosen]
    runs = groupby((places[n] for n in chosen), key=lambda place: id(place[0]))
    together = [[*run] for _, run in runs]
    return tuple(_picked(run[0][0], [i for _, i in run]) for run in together)


def _picked(signal: Signal, index: Sequence[int]) -> Signal:
    """Some of the channels, in that order."""
    return replace(
        signal,
        samples=signal.samples[:, index],
        channels=tuple(signal.channels[i] for i in index),
        units=tuple(signal.units[i] for i in index),
        scale=tuple(signal.scale[i] for i in index) if isinstance(signal.scale, tuple) else signal.scale,
    )


def _renamed(signals: tuple[Signal, ...], names: tuple[str, ...], path: str) -> tuple[Signal, ...]:
    width = sum(len(signal.channels) for signal in signals)
    if len(names) != width:
        raise DitmosError(f"{path}: {len(names)} names are given, expected {width}, one a channel")
    rest = iter(names)
    return tuple(replace(signal, channels=tuple(next(rest) for _ in signal.channels)) for signal in signals)


def _named(channel: str, index: int, name: str) -> bool:
    lower = channel.lower()
    return lower == name.lower() or lower.startswith(f"{name.lower()}_") or name == str(index + 1)


def _scaled(signal: Signal, scale: float) -> Signal:
    if signal.samples.dtype == np.int16:
        return replace(signal, scale=scale)
    return replace(signal, samples=signal.samples * scale)


def channels_of(recording: Recording) -> tuple[str, ...]:
    return tuple(name for signal in recording.signals for name in signal.channels)


def one_layout(recordings: list[Recording], report: Report) -> list[Recording]:
    """Recordings with the channels that most have; the same in another order are put in order."""
    layouts = Counter(channels_of(r) for r in recordings)
    rows: Counter[tuple[str, ...]] = Counter()
    for recording in recordings:
        rows[channels_of(recording)] += sum(len(signal.samples) for signal in recording.signals)
    common = max(layouts, key=lambda names: (layouts[names], rows[names]))
    result = []
    for recording in recordings:
        own = channels_of(recording)
        if own == common:
            result.append(recording)
            continue
        place = {name.lower(): i for i, name in enumerate(own)}
        order = [place.get(name.lower()) for name in common]
        named = len(own) == len(common) or not any(name.isdigit() for name in common)
        if len(recording.signals) > 1 or None in order or len(place) < len(own) or not named:
            report.drop(f"channels are {', '.join(own)}, expected {', '.join(common)} as in most", recording.path)
            continue
        index = [i for i in order if i is not None]
        result.append(replace(recording, signals=(replace(_picked(recording.signals[0], index), channels=common),)))
        if more := [name for i, name in enumerate(own) if i not in index]:
            report.note(f"{', '.join(more)} left out: most have only {', '.join(common)}", recording.path)
        if index != sorted(index):
            report.note("channels stand in another order, and were put in this one", recording.path)
    return result


def note_copies(recordings: Sequence[Recording], report: Report) -> None:
    """Files that hold the very samples of another one."""
    seen: dict[bytes, str] = {}
    for recording in recordings:
        digest = hashlib.blake2b(digest_size=16)
        for signal in recording.signals:
            digest.update(np.ascontiguousarray(signal.samples).data)
        first = seen.setdefault(digest.digest(), recording.path)
        if first != recording.path:
            report.note("the same samples as another recording", f"{recording.path} is {first}")
