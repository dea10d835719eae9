"""Recordings to a dataset: what every file has in common, one clock, windows, and a report of it all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.dataset import SPLIT_NAMES, Dataset, join_units
from ditmos.datasets.importers.channels import by_sensor, channels_of, note_copies, one_layout, select
from ditmos.datasets.importers.converting import alike, in_units
from ditmos.datasets.importers.cutting import Cut, cut, guess_window, parse_length
from ditmos.datasets.importers.labels import row_labels
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording
from ditmos.datasets.importers.report import Progress, Report
from ditmos.datasets.importers.timebase import Grid, join, nominal, rate_of, same_rate
from ditmos.errors import DitmosError

_FIRST_ROWS = 5
_LARGEST = 2**31  # number of a person: one that is larger is a name


@dataclass(frozen=True)
class Shape:
    """What all recordings get: rows per second, channels, rows of a window and from one to the next."""

    rate: float
    channels: tuple[str, ...]
    window: int = 0
    hop: int = 0


def assemble(
    recordings: Sequence[Recording], options: Options, report: Report, progress: Progress, name: str
) -> Dataset:
    """The dataset of the recordings; ``report`` learns what was guessed and left out.

    Raises:
        DitmosError: nothing is left, or no label is known.
    """
    selected = []
    for recording in by_sensor(recordings):
        try:
            selected.append(in_units(select(recording, options), options, report))
        except DitmosError as error:
            report.drop(str(error).removeprefix(f"{recording.path}: "), recording.path)
    if not selected:
        raise DitmosError(_nothing(report))
    recordings = alike(one_layout(selected, report), report)
    note_copies(recordings, report)
    shape = Shape(_rate(recordings, options, report), channels_of(recordings[0]))
    grids, kept = [], []
    for number, recording in enumerate(recordings):
        try:
            grids.append(join(recording, shape.rate, options.rate, options.fill))
            kept.append(recording)
        except DitmosError as error:
            report.drop(str(error).removeprefix(f"{recording.path}: "), recording.path)
        progress("on one clock", number + 1, len(recordings))
    if not grids:
        raise DitmosError(_nothing(report))
    shape = _window(grids, shape, options, report)
    cuts = _cut_all(kept, grids, shape, options, report)
    report.first_rows = (grids[0].samples[:_FIRST_ROWS] * np.asarray(grids[0].scale or 1.0)).tolist()
    return _dataset(kept, grids, cuts, shape, options, report, name)


def _nothing(report: Report) -> str:
    reasons = "; ".join(f"{where[0]}: {reason}" for reason, where in report.dropped.items())
    return f"nothing is left: {reasons}" if reasons else "nothing to read"


def _rate(recordings: Sequence[Recording], options: Options, report: Report) -> float:
    """Rows per second of the set: as asked for, else the highest of a recording's signals, which most have."""
    rates = [[rate_of(signal) or options.rate for signal in recording.signals] for recording in recordings]
    highest = [max(r for r in own if r) for own in rates if any(own)]
    if not highest:
        raise DitmosError(f"{recordings[0].path}: no file says its rate; give --rate (rows per second)")
    stated = [
        r
        for own, rec in zip(rates, recordings, strict=True)
        for r, s in zip(own, rec.signals, strict=True)
        if r and s.times is not None
    ]
    if options.rate and stated and not same_rate(float(np.median(stated)), options.rate):
        raise DitmosError(
            f"rate is {options.rate:g}, but the time stamps say {np.median(stated):.5g}; leave out --rate, "
            "or the stamps: --time-column none"
        )
    own = [signal.rate for recording in recordings for signal in recording.signals]
    if options.rate and all(own) and not any(same_rate(r, options.rate) for r in own if r):
        said = ", ".join(f"{r:g}" for r in sorted({r for r in own if r}))
        raise DitmosError(f"rate is {options.rate:g}, but the files say {said}; leave out --rate, or mean --resample")
    low, high = min(highest), max(highest)
    common = nominal(float(np.median(highest)))
    if not same_rate(low, high):  # clocks do not explain it: the rate that most have, of equally many the highest
        found = Counter(map(nominal, highest))
        common = max(found, key=lambda rate: (found[rate], rate))
    target = options.resample or common
    if low == high:
        report.guesses.append(f"rate {low:.6g} Hz")
    else:
        report.guesses.append(f"rates from {low:.5g} to {high:.5g} Hz, taken as {common:g}")
    everything = {nominal(r) for own in rates for r in own if r}
    if any(not same_rate(r, target) for r in everything):
        report.guesses.append(f"resampled to {target:g} Hz: {', '.join(f'{r:g}' for r in sorted(everything))} Hz")
    return target


def _window(grids: Sequence[Grid], shape: Shape, options: Options, report: Report) -> Shape:
    if options.window is None:
        window = guess_window([len(grid) for grid in grids], shape.rate)
        report.guesses.append(f"window {window} rows ({window / shape.rate:.4g} s), a guess: --window")
    else:
        window = parse_length(options.window, shape.rate, "window")
    if options.hop is None:
        hop = max(1, window // 2)
        if any(len(grid) >= window + hop for grid in grids):
            report.guesses.append(f"hop {hop} rows, a guess: --hop")
    else:
        hop = parse_length(options.hop, shape.rate, "hop")
    return replace(shape, window=window, hop=hop)


def _cut_all(
    recordings: Sequence[Recording], grids: Sequence[Grid], shape: Shape, options: Options, report: Report
) -> list[Cut]:
    cuts = []
    for recording, grid in zip(recordings, grids, strict=True):
        labels = row_labels(recording, len(grid), grid.start, shape.rate, grid.labels, options.unlabelled)
        written = labels.copy()
        for old, new in options.rename.items():
            labels[written == old] = new
        peak = recording.peak or (bool(options.peak) and bool(set(labels.tolist()) & {*options.peak}))
        made = cut(grid.samples, labels, shape.window, shape.hop, options.pad, peak)
        cuts.append(made)
        for reason, lost in made.lost.items():
            report.lost[reason] += lost / shape.rate
        report.padded += made.padded
        if not len(made.windows):
            reason = max(made.lost, key=made.lost.__getitem__)
            report.drop(f"no window: {made.lost[reason]} rows {reason}", recording.path)
        if grid.uneven:
            report.note("time stamps are uneven: rows were interpolated", recording.path)
        if grid.clipped:
            report.note("resampling goes beyond 16 bits: values were clipped", recording.path)
    if not any(len(made.windows) for made in cuts):
        if all(made.lost["without a label"] and not made.labels for made in cuts):
            raise DitmosError("no label is known: give --pattern, --label-column, --labels FILE.csv or --label NAME")
        raise DitmosError(_nothing(report))
    return cuts


def _dataset(
    recordings: Sequence[Recording],
    grids: Sequence[Grid],
    cuts: Sequence[Cut],
    shape: Shape,
    options: Options,
    report: Report,
    name: str,
) -> Dataset:
    labels = [label for made in cuts for label in made.labels]
    names = tuple(sorted(set(labels), key=_natural))
    counts = [len(made.windows) for made in cuts]
    keys = [
        (r.subject, r.take or r.path, label, stretch if len(set(made.labels)) > 1 else 0)
        for r, made in zip(recordings, cuts, strict=True)
        for label, stretch in zip(made.labels, made.stretch, strict=True)
    ]
    found: dict[tuple[str | None, str, str, int], int] = {}
    group = np.array([found.setdefault(key, len(found)) for key in keys], np.int64)
    report.takes = len(found)
    x, scale = _store(grids, cuts, report)
    return Dataset(
        x=x,
        y=np.array([names.index(label) for label in labels], np.int64),
        subject=np.repeat(_subjects([r.subject for r in recordings], report), counts),
        group=group,
        class_names=names,
        channels=shape.channels,
        scale=scale,
        units=join_units(grids[0].units),
        fs=shape.rate,
        split=_split(recordings, counts, report),
        name=name,
    ).check()


def _store(grids: Sequence[Grid], cuts: Sequence[Cut], report: Report) -> tuple[NDArray, float | tuple[float, ...]]:
    """All windows, and real units per number: counts stay int16 where all recordings have the same scale, or the same
    ones; everything else is float32."""
    scales = {grid.scale for grid in grids}
    if len(scales) == 1 and all(grid.samples.dtype == np.int16 for grid in grids):
        return np.concatenate([made.windows for made in cuts]), next(iter(scales)) or 1.0
    with np.errstate(over="ignore"):
        x = np.concatenate(
            [
                (made.windows * np.asarray(grid.scale or 1.0)).astype(np.float32)
                for made, grid in zip(cuts, grids, strict=True)
            ]
        )
    if not np.isfinite(x).all():
        raise DitmosError("the recordings have numbers beyond float32; say what they are with --scale")
    if np.abs(x).max(initial=0) > 2**24:
        report.note("numbers beyond 2^24 are rounded to the 24 bits of float32", "the set")
    return x, 1.0


def _subjects(names: Sequence[str | None], report: Report) -> NDArray[np.int64]:
    """Numbers of the people: those in their names where that tells them apart, else from 0."""
    known = sorted({name for name in names if name is not None}, key=_natural)
    if not known:
        report.guesses.append("no subject is known: all windows count as one person's")
        return np.zeros(len(names), np.int64)
    digits = [re.findall(r"\d+", name) for name in known]
    numbers = [int(d[0]) for d in digits if len(d) == 1]
    if len(set(numbers)) != len(known) or max(numbers) > _LARGEST:
        numbers = list(range(len(known)))
    report.subjects = dict(zip(numbers, known, strict=True))
    unknown = max(numbers) + 1
    if None in names:
        report.guesses.append(f"recordings without a subject count as person {unknown}")
    number = dict(zip(known, numbers, strict=True))
    return np.array([unknown if name is None else number[name] for name in names], np.int64)


def _split(recordings: Sequence[Recording], counts: Sequence[int], report: Report) -> NDArray[np.int8] | None:
    without = [r.path for r in recordings if r.split is None]
    if without:
        if len(without) < len(recordings):
            report.guesses.append(f"no split: {len(without)} recordings say no part, the first is {without[0]}")
        return None
    return np.repeat(np.array([SPLIT_NAMES.index(r.split or "") for r in recordings], np.int8), counts)


def _natural(text: str) -> tuple:
    """Numbers in a name by their size."""
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p.lower()) for p in re.split(r"(\d+)", text) if p), text
