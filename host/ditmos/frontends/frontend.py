"""A front end: operations in order, whole or in pieces, and what a device needs to run them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from math import isfinite
from typing import Any

import numpy as np

from ditmos.errors import DitmosError
from ditmos.frontends.integers import Int16, Rows, narrow
from ditmos.frontends.operations import Affine, Centre, Operation, Statistics
from ditmos.frontends.spectrum import Spectrum
from ditmos.frontends.window_summary import Summary

MOST_OPERATIONS = 8
MOST_CHANNELS = 4096  # of a row, anywhere


@dataclass(frozen=True, eq=False)
class FrontEnd:
    """Raw samples (time, channels) int16 -> rows, int16.

    fs: of the samples, Hz. scale: real units of one step of a sample. units: of the samples. channel_names: of the
    samples.

    At most one operation is a `Spectrum`, one an `Affine` of the device's own; `Centre` or `Summary` comes last.
    """

    operations: tuple[Operation, ...]
    fs: float
    scale: float
    units: str
    channel_names: tuple[str, ...]

    def __post_init__(self) -> None:
        def need(ok: bool, what: str) -> None:
            if not ok:
                raise DitmosError(f"front end: {what}")

        count = len(self.operations)
        need(1 <= count <= MOST_OPERATIONS, f"{count} operations, expected 1 to {MOST_OPERATIONS}")
        for name, kind in (("Spectrum", Spectrum), ("Centre", Centre)):
            found = sum(isinstance(operation, kind) for operation in self.operations)
            need(found <= 1, f"{found} operations are {name}, expected at most one")
        own = sum(isinstance(operation, Affine) and operation.own for operation in self.operations)
        need(own <= 1, f"{own} operations are an Affine of the device's own, expected at most one")
        early = [type(o).__name__ for o in self.operations[:-1] if isinstance(o, Centre | Summary)]
        need(not early, f"{', '.join(early)} is not the last operation")
        for one, after in zip_longest(self.operations, self.operations[1:]):
            wide = isinstance(one, Spectrum) and one.wide
            need(not wide or isinstance(after, Affine), "a wide Spectrum is followed by no Affine")
        for name in ("fs", "scale"):
            value = getattr(self, name)
            need(value > 0 and isfinite(value), f"{name} is {value}, expected a positive number")
            need(value == float(np.float32(value)), f"{name} is {value}, expected a float32 number")
        texts = (self.units, *self.channel_names)
        need(all("\0" not in text for text in texts), "units or a channel name contain a zero byte")
        widest = max(self.widths)
        need(self.channels >= 1 and widest <= MOST_CHANNELS, f"{widest} channels, expected 1 to {MOST_CHANNELS}")

    @property
    def channels(self) -> int:
        """Of the samples."""
        return len(self.channel_names)

    @property
    def widths(self) -> list[int]:
        """Channels before the first operation, and after each one."""
        widths = [self.channels]
        for operation in self.operations:
            widths.append(operation.channels_out(widths[-1]))
        return widths

    @property
    def channels_out(self) -> int:
        """Of what the network reads."""
        return self.widths[-1]

    @property
    def row_channels(self) -> int:
        """Of the rows, of which what the network reads may be features."""
        return self.widths[-2] if self.features_rows else self.widths[-1]

    @property
    def spectrum(self) -> Spectrum | None:
        return next((o for o in self.operations if isinstance(o, Spectrum)), None)

    @property
    def centre(self) -> Centre | None:
        last = self.operations[-1]
        return last if isinstance(last, Centre) else None

    @property
    def summary(self) -> Summary | None:
        last = self.operations[-1]
        return last if isinstance(last, Summary) else None

    @property
    def features_rows(self) -> int:
        """Rows of a window whose features the network reads in place of them; 0 where it reads the rows."""
        return self.summary.rows if self.summary else 0

    def kept_rows(self, window: int) -> int:
        """Rows that a window of the network is made of."""
        return self.features_rows + window - 1 if self.features_rows else window

    def check_window(self, window: int) -> None:
        """Raises DitmosError where a network's windows of so many rows are none that this makes."""
        if self.features_rows and window != 1:
            raise DitmosError(f"front end: features are a window of 1 row, the network's has {window}")
        if self.summary:
            self.summary.check_window(self.kept_rows(window))

    @property
    def keeps_rows(self) -> bool:
        """Whether a window of rows is kept until it is whole."""
        return bool(self.centre or self.summary)

    @property
    def hop(self) -> int:
        """Samples from one row to the next."""
        return self.spectrum.hop if self.spectrum else 1

    def samples(self, rows: int) -> int:
        """Samples that so many rows of the network's are made of."""
        return (self.kept_rows(rows) - 1) * self.hop + (self.spectrum.frame if self.spectrum else 1)

    def rows(self, samples: int) -> int:
        """Rows that so many samples make."""
        return max(0, (samples - self.samples(1)) // self.hop + 1)

    def __call__(self, x: Int16) -> Int16:
        """Whole windows (..., time, channels) int16 -> (..., rows, channels_out).

        Raises:
            DitmosError: not int16, other channels, or too short for a row.
        """
        if x.dtype != np.int16 or x.shape[-1] != self.channels:
            raise DitmosError(f"front end: samples are {x.dtype} {x.shape}, expected int16 (..., {self.channels})")
        if not self.rows(x.shape[-2]):
            raise DitmosError(f"front end: {x.shape[-2]} samples, a row needs {self.samples(1)}")
        return self.of_window(self.uncentred(x))

    def of_window(self, rows: Int16) -> Int16:
        """What the network reads of a window of rows (..., rows, row_channels): those, centred, or their features."""
        if self.centre:
            return self.centre(rows)
        if self.summary and self.features_rows:
            return self.summary.features(rows)[..., None, :]
        return rows

    def uncentred(self, x: Int16) -> Int16:
        """The same before `Centre`: rows that do not depend on the window that they lie in."""
        rows: Rows = x
        for operation in self.operations:
            rows = rows if isinstance(operation, Centre) else operation(rows)
        return narrow(rows)


@dataclass
class Stream:
    """A front end at work on samples that come in pieces: however they are cut, the rows are the same.

    affine: in use instead of the front end's own one, once calibrated.
    """

    front: FrontEnd
    affine: Affine | None = None
    _kept: list[Any] = field(default_factory=list)
    _seen: Statistics | None = None

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all samples; a calibration stays in use, but the next one starts anew."""
        self._kept = [None] * len(self.front.operations)
        self._seen = None

    def push(self, samples: Int16) -> Int16:
        """(time, channels) int16, any number of them -> the new rows, before `Centre`."""
        return narrow(self._run(samples, 0, len(self.front.operations)))

    def calibrate(self, samples: Int16) -> int:
        """Take in samples for the mean and deviation of each channel, and use those from now on. The rows so far.

        Raises:
            ValueError: the front end has no Affine of its own. RuntimeError: too many rows.
        """
        index = own_affine(self.front.operations)
        if index is None:
            raise ValueError("the front end has nothing to calibrate")
        rows = narrow(self._run(samples, 0, index))
        if self._seen is None:
            self._seen = Statistics.none(rows.shape[1])
        self._seen.add(rows)
        if self._seen.count:
            self.affine = self._seen.affine()
        return self._seen.count

    def _run(self, rows: Rows, first: int, end: int) -> Rows:
        for i in range(first, end):
            operation = self.front.operations[i]
            if self.affine is not None and i == own_affine(self.front.operations):
                operation = self.affine
            rows, self._kept[i] = operation.run(rows, self._kept[i])
        return rows


def own_affine(operations: Sequence[Operation]) -> int | None:
    """Index of the operation that a device can calibrate."""
    return next((i for i, o in enumerate(operations) if isinstance(o, Affine) and o.own), None)
