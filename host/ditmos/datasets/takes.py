"""Takes: what a sensor recorded of one label, each in a file of its own, and the dataset that is made of them.

A folder of takes stands beside its dataset: ``my.takes`` beside ``my.npz``. Takes are raw, so that the dataset can be
made anew, with another window. A dataset that was there before the first take is kept in the folder and joined.
"""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos import atomic
from ditmos.datasets.dataset import UNREADABLE, Dataset, join_units, load, one_or_each, save
from ditmos.datasets.splits import split
from ditmos.errors import DitmosError
from ditmos.locks import try_lock

RATE_TOLERANCE = 0.02  # of a rate: what clocks and the first and last row of a take may differ by
LATE = 0.25  # seconds that the last row may come late: the board was busy, and the next rows would have caught up
SPREAD = 1.25  # of the rates of takes that make a set: a driver that is too slow keeps no even rate
_KEYS = ("samples", "label", "subject", "channels", "units", "scale", "rate", "measured")
_EARLIER = "earlier.npz"
_BEGUN = ".begun"  # in a folder that has had takes: the dataset beside it was made of them


@dataclass(frozen=True)
class Signal:
    """What a sensor says of itself (device/sensors.py); ``rate``: rows per second. ``units`` and ``scale``: one for all
    channels, or one for each."""

    channels: tuple[str, ...]
    units: str | tuple[str, ...]
    scale: float | tuple[float, ...]
    rate: float

    @property
    def scales(self) -> tuple[float, ...]:
        """Of each channel."""
        return self.scale if isinstance(self.scale, tuple) else (self.scale,) * len(self.channels)

    def of_dataset(self) -> tuple[str, float | tuple[float, ...]]:
        """Units and scale as a dataset says them."""
        units = self.units if isinstance(self.units, str) else join_units(self.units)
        return units, one_or_each(self.scales)


@dataclass(frozen=True)
class Take:
    """One recording: raw samples (rows, channels) of one label.

    ``rate``: rows per second as the board measured it; None where it did not.
    """

    label: str
    samples: NDArray[np.int16]
    signal: Signal
    subject: int = 0
    rate: float | None = None

    @property
    def slow(self) -> bool:
        """Whether the rate is another one than the sensor's, by more than clocks and a late last row explain."""
        if self.rate is None:
            return False
        rows = len(self.samples) - 1
        meant, took = rows / self.signal.rate, rows / self.rate
        return abs(took - meant) > RATE_TOLERANCE * meant + LATE


class Takes:
    """The folder of takes beside the dataset ``out``."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out.with_suffix(".takes")
        self._lock = -1

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def prepare(self) -> None:
        """Make the folder, and see that something can be written there. Keeps a dataset that has no takes yet.

        Raises:
            DitmosError: it cannot be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._own:
                shutil.copyfile(self.out, self._earlier.with_suffix(".part"))
                self._earlier.with_suffix(".part").replace(self._earlier)
        except OSError as error:
            raise DitmosError(f"{self.folder}: cannot be written ({error.strerror or error})") from None
        atomic.write(self.folder / ".try", b"")
        (self.folder / ".try").unlink()
        self._lock = os.open(self.folder, os.O_RDONLY)  # until this object goes
        if not try_lock(self._lock):
            raise DitmosError(f"{self.folder}: another ditmos record is at work there")

    @property
    def _earlier(self) -> Path:
        return self.folder / _EARLIER

    @property
    def _own(self) -> bool:
        """Whether there is a dataset that was not made of takes."""
        made = self.files() or self._earlier.exists() or (self.folder / _BEGUN).exists()
        return self.out.exists() and not made

    def files(self) -> dict[int, Path]:
        """Takes by number, in their order. Raises DitmosError where two have the same."""
        found: dict[int, Path] = {}
        for path in sorted(self.folder.glob("[0-9]*-*.npz")):
            digits = path.name.partition("-")[0]
            if not re.fullmatch(r"\d{4,}", digits):
                continue
            other = found.setdefault(int(digits), path)
            if other != path:
                raise DitmosError(f"{path}: take {int(digits)} is there twice, as {other.name}; rename one of them")
        return dict(sorted(found.items()))

    def keep(self, take: Take, number: int | None = None) -> Path:
        """Write a take: the next one, or in the place of ``number``. It is there whole, or as it was.

        Raises:
            DitmosError: no room, no rights.
        """
        files = self.files()
        if number is None:
            number = max(files, default=-1) + 1
        path = self.folder / f"{number:04d}-{re.sub(r'[^0-9A-Za-z_-]+', '_', take.label) or 'take'}.npz"
        path = files.get(number, path)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            samples=take.samples.astype(np.int16),
            label=np.str_(take.label),
            subject=np.int64(take.subject),
            channels=np.array(take.signal.channels, np.str_),
            units=np.array(take.signal.units, np.str_),
            scale=np.array(take.signal.scale, np.float64),
            rate=np.float64(take.signal.rate),
            measured=np.float64(np.nan if take.rate is None else take.rate),
        )
        if not (self.folder / _BEGUN).exists():
            atomic.write(self.folder / _BEGUN, b"")
        atomic.write(path, buffer.getvalue())
        return path

    def remove(self, number: int) -> None:
        """Delete a take; the numbers of the others stay. Raises DitmosError where there is none."""
        path = self.files().get(number)
        if path is None:
            raise DitmosError(f"{self.folder}: no take {number}")
        path.unlink()

    def take(self, number: int) -> Take:
        """One of them. Raises DitmosError where there is none."""
        path = self.files().get(number)
        if path is None:
            raise DitmosError(f"{self.folder}: no take {number}")
        return load_take(path)

    def load(self) -> list[Take]:
        """All takes, by number. Raises DitmosError for a file that is none."""
        return [load_take(path) for path in self.files().values()]

    def earlier(self) -> Dataset | None:
        """The dataset that was there before the first take."""
        return load(self._earlier) if self._earlier.exists() else None

    def check(self, labels: Sequence[str], window: int, signal: Signal | None = None) -> None:
        """What is known before the first take: does it go with what is there?

        Raises:
            DitmosError: it differs in classes, window (where the set has no takes), or sensor.
        """
        for number, path in self.files().items():
            take = load_take(path)
            if take.label not in labels:
                raise DitmosError(
                    f"{path}: take {number} is of {take.label!r}, the labels are {', '.join(labels)}: name all of "
                    "them, or record into another file"
                )
            if signal is not None:
                _same(path, take.signal, signal)
        old = self.earlier() or (load(self.out) if self._own else None)
        if old is None:
            return
        _same_field(self.out, "class_names", old.class_names, tuple(labels))
        _same_field(self.out, "window", old.window, window)
        if signal is not None:
            units, scale = signal.of_dataset()
            _same_field(self.out, "channels", old.channels, signal.channels)
            _same_field(self.out, "units", old.units, units)
            _same_field(self.out, "scale", old.scale, scale)
            _same_field(self.out, "rate", old.fs, signal.rate)

    def dataset(self, labels: Sequence[str], window: int, hop: int) -> Dataset:
        """Windows of all takes, behind those of an earlier set.

        Raises:
            DitmosError: nothing recorded, a take shorter than a window, takes of different rates.
        """
        made, old = self.load(), self.earlier()
        if not made and old is not None:
            return old
        new = to_dataset(made, labels, window, hop, self.out.stem, [*self.files()])
        return new if old is None else join(old, new, self.out)

    def write(self, labels: Sequence[str], window: int, hop: int) -> Dataset:
        """Write the dataset of all takes. Its split is drawn anew each time, whole takes on one side, where there are
        enough of them. Raises as `dataset`."""
        made = self.dataset(labels, window, hop)
        with suppress(DitmosError):  # too few takes: no split yet
            made = split(made, "group")
        save(made, self.out)
        return made


def is_take(keys: Sequence[str]) -> bool:
    """Whether an .npz with these keys is a take."""
    return set(_KEYS) <= set(keys)


def load_take(path: Path) -> Take:
    """Raises DitmosError for a file that is no take."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not is_take(archive.files):
                raise DitmosError(f"{path}: not a take: {', '.join(sorted(set(_KEYS) - set(archive.files)))} missing")
            values = {key: archive[key] for key in _KEYS}
        signal = Signal(
            tuple(map(str, np.atleast_1d(values["channels"]))),
            tuple(map(str, values["units"])) if values["units"].ndim else str(values["units"]),
            tuple(map(float, values["scale"])) if values["scale"].ndim else float(values["scale"]),
            float(values["rate"]),
        )
        measured = float(values["measured"])
        take = Take(
            str(values["label"]),
            values["samples"],
            signal,
            int(values["subject"]),
            None if np.isnan(measured) else measured,
        )
    except UNREADABLE as error:
        raise DitmosError(f"{path}: not a readable take ({error})") from None
    if take.samples.dtype != np.int16 or take.samples.ndim != 2 or take.samples.shape[1] != len(signal.channels):
        raise DitmosError(
            f"{path}: samples are {take.samples.dtype} {take.samples.shape}, expected int16 (rows, "
            f"{len(signal.channels)})"
        )
    for name, given in (("units", signal.units), ("scale", signal.scale)):
        if isinstance(given, tuple) and len(given) != len(signal.channels):
            raise DitmosError(f"{path}: {name} has {len(given)} entries, expected one, or one a channel")
    rates = (signal.rate,) if take.rate is None else (signal.rate, take.rate)
    for name, numbers in (("rate", rates), ("scale", signal.scales)):
        if wrong := [number for number in numbers if not 0 < number < np.inf]:
            raise DitmosError(f"{path}: {name} is {wrong[0]:g}, expected a positive number")
    return take


def windows_of(samples: NDArray, window: int, hop: int) -> NDArray:
    """(rows, channels) -> (n, window, channels), cut every ``hop`` rows."""
    starts = range(0, len(samples) - window + 1, hop)
    return np.stack([samples[i : i + window] for i in starts]) if starts else samples[:0].reshape(0, window, 0)


def common_rate(takes: Sequence[Take], numbers: Sequence[int]) -> float:
    """Rows per second of all takes: the sensor's, or the measured one where it is another. numbers: of the takes.

    Raises:
        DitmosError: it is not the same in all of them.
    """
    if not any(take.slow for take in takes):
        return takes[0].signal.rate
    rates = [take.signal.rate if take.rate is None else take.rate for take in takes]
    low, high = min(rates), max(rates)
    if high / low > SPREAD:
        raise DitmosError(
            f"take {numbers[rates.index(low)]} has {low:.1f} rows a second, take {numbers[rates.index(high)]} "
            f"{high:.1f}: they make no set; record one of them again (--again NUMBER)"
        )
    return float(f"{np.median(rates):.4g}")


def to_dataset(
    takes: Sequence[Take],
    labels: Sequence[str],
    window: int,
    hop: int,
    name: str = "own",
    numbers: Sequence[int] | None = None,
) -> Dataset:
    """Labelled windows; each take is a group, so that a split keeps it together. numbers: of the takes, from 0 where
    they are not given.

    Raises:
        DitmosError: nothing recorded, a take shorter than a window, takes of different rates.
    """
    if not takes:
        raise DitmosError("nothing was recorded")
    cut, numbers = [], numbers or range(len(takes))
    for i, take in zip(numbers, takes, strict=True):
        if len(take.samples) < window:
            raise DitmosError(f"take {i} ({take.label}) has {len(take.samples)} rows, expected at least {window}")
        cut.append(windows_of(take.samples, window, hop))
    counts = [len(windows) for windows in cut]
    signal = takes[0].signal
    units, scale = signal.of_dataset()
    return Dataset(
        x=np.concatenate(cut).astype(np.int16),
        y=np.repeat([list(labels).index(take.label) for take in takes], counts).astype(np.int64),
        subject=np.repeat([take.subject for take in takes], counts).astype(np.int64),
        group=np.repeat(np.arange(len(takes)), counts).astype(np.int64),
        class_names=tuple(labels),
        channels=signal.channels,
        scale=scale,
        units=units,
        fs=common_rate(takes, numbers),
        name=name,
    ).check()


def join(old: Dataset, new: Dataset, path: Path) -> Dataset:
    """Both sets in one, for a file that is added to; groups stay apart.

    Raises:
        DitmosError: they differ in classes, channels, scale, units, rate or window.
    """
    for field in ("class_names", "channels", "scale", "units", "fs", "window"):
        _same_field(path, field, getattr(old, field), getattr(new, field))
    return Dataset(
        x=np.concatenate([old.x, new.x]),
        y=np.concatenate([old.y, new.y]),
        subject=np.concatenate([old.subject, new.subject]),
        group=np.concatenate([old.group, new.group + old.group.max() + 1]),
        class_names=new.class_names,
        channels=new.channels,
        scale=new.scale,
        units=new.units,
        fs=new.fs,
        name=new.name,
    ).check()


def _same(path: Path, before: Signal, now: Signal) -> None:
    for field in ("channels", "units", "scale", "rate"):
        _same_field(path, field, getattr(before, field), getattr(now, field))


def _same_field(path: Path, field: str, before: object, now: object) -> None:
    if before != now:
        raise DitmosError(f"{path}: {field} is {before} there, {now} now; record into another file")
