"""Empatica E4: a folder per recording, one file a signal, its start and rate in the first two lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording, Signal
from ditmos.datasets.importers.table import parse_table
from ditmos.errors import DitmosError
from ditmos.text import read_text

# file: channels, units, real units per count where the file has counts
_SIGNALS = {
    "BVP": (("BVP",), "a.u.", None),
    "EDA": (("EDA",), "uS", None),
    "TEMP": (("TEMP",), "degC", None),
    "ACC": (("ACC_X", "ACC_Y", "ACC_Z"), "g", 1 / 64),
}
_DERIVED = {"HR": (("HR",), "1/min", None)}  # computed by the maker, not measured: only where it is asked for
_UNIX = (1e9, 4e9)


def is_recording(folder: Path) -> bool:
    """Two or more of the device's files are there."""
    names = {path.stem.upper() for path in folder.iterdir() if path.suffix.lower() == ".csv"}
    return len(names & _SIGNALS.keys()) >= 2


def read(folder: Path, options: Options) -> list[Recording]:
    """BVP, EDA, TEMP and ACC, each at its own rate on unix time; HR only if ``columns`` names it.

    Raises:
        DitmosError: a file is not in the device's form.
    """
    wanted = dict(_SIGNALS)
    if any(name.upper() == "HR" for name in options.columns):
        wanted |= _DERIVED
    files = {path.stem.upper(): path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".csv"}
    signals = [_signal(files[name], *about) for name, about in wanted.items() if name in files]
    start = max(signal.start for signal in signals)
    stop = min(signal.start + len(signal.samples) / (signal.rate or 1) for signal in signals)
    rates = ", ".join(f"{signal.channels[0].partition('_')[0]} {signal.rate:g} Hz" for signal in signals)
    notes = [f"Empatica E4: {rates}"]
    unlike = max(s.start + len(s.samples) / (s.rate or 1) for s in signals) - stop
    if unlike > 1:
        notes.append(f"its signals end {unlike:.0f} s apart: read until the first ends")
    for name, path in files.items():
        if name.startswith("TAGS"):
            notes += _tags(path, start, stop)
    return [Recording(str(folder), "e4", tuple(signals), take=None, notes=tuple(notes))]


def _signal(path: Path, channels: tuple[str, ...], units: str, scale: float | None) -> Signal:
    text, _ = read_text(path)
    lines = [line for line in text.split("\n") if line.strip()]
    head = []
    for what, line in zip(("the start in unix seconds", "the rate in Hz"), lines, strict=False):
        try:
            values = {float(field) for field in line.split(",")}
        except ValueError:
            values = set()
        if len(values) != 1:
            raise DitmosError(f"{path}: {line[:40]!r} is not {what}")
        head.append(values.pop())
    if len(head) < 2 or not _UNIX[0] < head[0] < _UNIX[1] or not 0 < head[1] <= 1000:
        raise DitmosError(f"{path}: expected a line with the start in unix seconds, then one with the rate in Hz")
    table = parse_table("\n".join(lines[2:]), str(path), separator=",")
    if len(table.columns) != len(channels):
        raise DitmosError(f"{path}: {len(table.columns)} values in a row, expected {len(channels)}")
    samples = np.column_stack(list(table.columns.values()))
    if samples.dtype == object:
        raise DitmosError(f"{path}: its rows are no numbers")
    if scale is not None:
        samples = samples * scale
    return Signal(samples.astype(np.float64), channels, (units,) * len(channels), rate=head[1], start=head[0])


def _tags(path: Path, start: float, stop: float) -> list[str]:
    """Button presses outside of the recording are the wrong time, or the wrong file."""
    text, _ = read_text(path)
    try:
        times = [float(line) for line in text.split()]
    except ValueError:
        return [f"{path.name} is no list of times"]
    outside = [time for time in times if not start - 60 <= time <= stop + 60]
    if not outside:
        return []
    text = ", ".join(
        f"{time:.0f} ({(start - time) / 3600:.1f} h before it)" if time < start else f"{time:.0f} (after it)"
        for time in outside[:3]
    )
    more = ", ..." if len(outside) > 3 else ""
    return [f"{path.name}: {len(outside)} of {len(times)} button presses lie outside of the recording: {text}{more}"]
