"""What every reader gives: recordings, made of signals that each have a rate or time stamps of their own."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


def name_of(number: float) -> str:
    """A number that stands for a class or a person: 3.0 is 3, and no number is no name."""
    if not np.isfinite(number):
        return ""
    return str(int(number)) if number == np.rint(number) else str(number)


@dataclass(frozen=True)
class Signal:
    """Some channels that were sampled together.

    samples: (rows, channels): whole numbers as int16 counts or int64, else float64 with NaN where a value is missing.
    units: one a channel, "" where the file does not say.
    rate: rows per second, None where the file does not say.
    start: seconds of the first row on the recording's clock (unix time where the file has it).
    times: (rows,) seconds of each row, where the file has time stamps.
    scale: real units per count, one or one a channel, where the samples are known to be counts of a converter.
    labels: (rows,) names, "" for none, where the file has a label in each row.
    """

    samples: NDArray
    channels: tuple[str, ...]
    units: tuple[str, ...]
    rate: float | None = None
    start: float = 0.0
    times: NDArray[np.float64] | None = None
    scale: float | tuple[float, ...] | None = None
    labels: NDArray[np.str_] | None = None


@dataclass(frozen=True)
class Span:
    """A label from ``start`` until before ``stop``, in seconds on the recording's clock."""

    start: float
    stop: float
    label: str


@dataclass(frozen=True)
class Recording:
    """What one file, or one folder of a device, holds.

    path: how it is named in messages. source: the format's name. split: "train", "validation" or "test" where the
    files say so. peak: gives one window, around its largest magnitude. notes: what was guessed or put right.
    """

    path: str
    source: str
    signals: tuple[Signal, ...]
    label: str | None = None
    subject: str | None = None
    take: str | None = None
    sensor: str | None = None
    split: str | None = None
    spans: tuple[Span, ...] = ()
    peak: bool = False
    notes: tuple[str, ...] = field(default=())
