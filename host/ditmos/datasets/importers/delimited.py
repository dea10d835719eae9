"""Recordings from delimited text: CSV, TSV, TXT, DAT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording, Signal, name_of
from ditmos.datasets.importers.roles import Roles, assign
from ditmos.datasets.importers.stamps import in_order, to_seconds
from ditmos.datasets.importers.table import Table, read_table
from ditmos.datasets.importers.timebase import pace, same_rate, spread_stamps
from ditmos.errors import DitmosError

SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
_SPARSE = 0.4  # of a column's rows are missing: it was sampled at another rate


def read(path: Path, options: Options) -> list[Recording]:
    """One recording, or one for each person and take that the columns name.

    Raises:
        DitmosError: not a table of numbers, or not the columns that the options name.
    """
    table = read_table(path, encoding=options.encoding, separator=options.separator, decimal=options.decimal)
    roles = assign(table, options, str(path))
    notes = (f"{table.encoding}, {table.dialect.describe()}", roles.describe(), *table.notes)
    result = []
    for subject, take, rows in _parts(table, roles):
        signals, more = _signals(table, roles, rows, options, str(path))
        result.append(Recording(str(path), "text", signals, subject=subject, take=take, notes=(*notes, *more)))
    return result


def _names(column: NDArray) -> NDArray:
    """(rows,) values as names."""
    if column.dtype == object:
        return column
    values, place = np.unique(column, return_inverse=True)
    return np.array([name_of(value) for value in values], object)[place]


def _parts(table: Table, roles: Roles) -> Iterator[tuple[str | None, str | None, NDArray[np.int64]]]:
    """(subject, take, rows) for each pair of them, in the order in which they come."""
    subject = _names(table.columns[roles.subject]) if roles.subject else None
    take = _names(table.columns[roles.take]) if roles.take else None
    if subject is None and take is None:
        yield None, None, np.arange(len(table))
        return
    keys = list(zip(*(c if c is not None else [None] * len(table) for c in (subject, take)), strict=True))
    found: dict[tuple, list[int]] = {}
    for row, key in enumerate(keys):
        found.setdefault(key, []).append(row)
    for (person, number), rows in found.items():
        yield person or None, number or None, np.array(rows)


def _signals(
    table: Table, roles: Roles, rows: NDArray[np.int64], options: Options, path: str
) -> tuple[tuple[Signal, ...], tuple[str, ...]]:
    notes: list[str] = []
    result = []
    apart = {name for _, channels in roles.beside for name in channels}
    first = tuple(name for name in roles.channels if name not in apart)
    for time, own in ((roles.time, first), *roles.beside):
        times = None
        if time:
            times, form = _times(table, time, roles.date, rows, options)
            notes.append(f"time stamps in {form}")
            if said := table.dialect.rate:
                found = pace(spread_stamps(np.sort(times[np.isfinite(times)])))
                if found and not same_rate(found.rate, said):
                    notes.append(f"the header says {said:g} Hz, the time stamps say {found.rate:.4g}: these count")
        for name, chosen in _by_sensor(table, roles, rows):
            groups = [own] if times is None else _together(table, own, rows[chosen])
            for channels in groups:
                signal, note = _signal(table, roles, rows[chosen], None if times is None else times[chosen], channels)
                if name:
                    signal = replace(signal, channels=tuple(f"{name}.{c}" for c in signal.channels))
                result.append(signal)
                notes += note
    if len(result) > 1 and not roles.time:
        raise DitmosError(
            f"{path}: its signals have rows of their own but no time stamps; name them with --time-column"
        )
    return tuple(result), tuple(dict.fromkeys(notes))


def _times(
    table: Table, name: str, date: str | None, rows: NDArray[np.int64], options: Options
) -> tuple[NDArray[np.float64], str]:
    """(rows,) seconds, and how they are written."""
    column = table.columns[name][rows]
    if date:
        column = np.array([f"{d} {t}".strip() for d, t in zip(table.columns[date][rows], column, strict=True)], object)
    return to_seconds(column, name, table.dialect.units[table.dialect.names.index(name)], options.time_unit)


def _by_sensor(table: Table, roles: Roles, rows: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """(name, positions within rows) of each sensor, where the rows of several are mixed."""
    if not roles.sensor:
        yield "", np.arange(len(rows))
        return
    columns = [_names(table.columns[n][rows]) for n in roles.sensor]
    names = np.array(["-".join(parts) for parts in zip(*columns, strict=True)], object)
    for name in sorted(set(names)):
        yield name, np.flatnonzero(names == name)


def _together(table: Table, channels: tuple[str, ...], rows: NDArray[np.int64]) -> list[tuple[str, ...]]:
    """Channels that have their values in the same rows; a slower sensor leaves cells empty."""
    groups: dict[bytes, list[str]] = {}
    for name in channels:
        column = table.columns[name][rows]
        missing = np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(rows), bool)
        sparse = missing.mean() > _SPARSE if len(rows) else False
        groups.setdefault(np.packbits(missing).tobytes() if sparse and not missing.all() else b"", []).append(name)
    return [tuple(group) for group in groups.values()]


def _signal(
    table: Table, roles: Roles, rows: NDArray[np.int64], times: NDArray[np.float64] | None, channels: tuple[str, ...]
) -> tuple[Signal, list[str]]:
    notes = []
    values = np.column_stack([table.columns[n][rows] for n in channels])
    if values.dtype.kind == "f" and times is not None:
        there = np.isfinite(values).any(1)
        if np.mean(~there) > _SPARSE:
            values, times, rows = values[there], times[there], rows[there]
    if times is not None:
        order, times, note = in_order(times)
        values, rows = values[order], rows[order]
        times = spread_stamps(times)
        notes += [note] if note else []
    labels = _names(table.columns[roles.label])[rows] if roles.label else None
    units = tuple(table.dialect.units[table.dialect.names.index(n)] for n in channels)
    return (
        Signal(
            samples=compact(values),
            channels=channels,
            units=units,
            rate=table.dialect.rate if times is None else None,
            times=times,
            labels=labels,
        ),
        notes,
    )


def compact(values: NDArray) -> NDArray:
    """Whole numbers as int16, or int64 where that does not hold them; others as float64, infinities as missing."""
    if values.dtype.kind == "f":
        return np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    if values.size and values.min() >= -32768 and values.max() <= 32767:
        return values.astype(np.int16)
    return values.astype(np.int64)
