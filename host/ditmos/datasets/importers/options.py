"""What can be said of recordings that are imported; everything that is not said is guessed, and shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ditmos.errors import DitmosError


@dataclass(frozen=True)
class Options:
    """Names of columns may be numbers, from 1. pattern: of paths, "{label}/{subject}_{take}.csv". label, subject: of
    everything. labels: a CSV of labels by time. unlabelled: class of rows that no label covers. columns: that are
    channels, in this order. names: of the channels. rate: of files that do not say theirs. resample: rows per
    second of the set. units: of the set, one or one a channel: files that say theirs are converted, unless there is
    a scale. own_units: of the files, where these do not say them. scale: real units per number in the files.
    window, hop: "128" rows or "2.5s". pad: "zero" or "edge", for recordings shorter than a window. peak: classes
    whose recordings give one window, around the largest magnitude. fill: seconds; shorter gaps are bridged. rename:
    old class to new, "" to leave it out. key: variable of a .mat or .npz file.
    """

    pattern: str | None = None
    label: str | None = None
    subject: str | None = None
    label_column: str | None = None
    subject_column: str | None = None
    take_column: str | None = None
    sensor_column: str | None = None
    labels: Path | None = None
    unlabelled: str | None = None
    columns: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    time_column: str | None = None
    time_unit: str | None = None
    encoding: str | None = None
    separator: str | None = None
    decimal: str | None = None
    rate: float | None = None
    resample: float | None = None
    units: tuple[str, ...] = ()
    own_units: tuple[str, ...] = ()
    scale: float | None = None
    window: str | None = None
    hop: str | None = None
    pad: str | None = None
    peak: tuple[str, ...] = ()
    fill: float = 0.0
    rename: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None

    def check(self) -> None:
        """Raises DitmosError for numbers that make no sense."""
        for name, value in (("rate", self.rate), ("resample", self.resample)):
            if value is not None and not 0 < value < 1e7:
                raise DitmosError(f"{name} is {value:g}, expected rows per second")
        if self.scale is not None and not 0 < abs(self.scale) < math.inf:
            raise DitmosError(f"scale is {self.scale:g}, expected real units per number in the files")
        if not 0 <= self.fill < math.inf:
            raise DitmosError(f"fill is {self.fill:g}, expected seconds")
