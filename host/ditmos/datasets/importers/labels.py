"""Labels by time from a CSV file, and classes under other names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.importers.recording import Recording, Span, name_of
from ditmos.datasets.importers.stamps import says_unit, to_seconds
from ditmos.datasets.importers.table import Table, read_table
from ditmos.errors import DitmosError

_START, _STOP = ("start", "begin", "from", "onset", "time"), ("stop", "end", "to", "until", "offset")
_LASTS = ("duration", "length")
_LABEL, _SUBJECT = (
    ("label", "class", "activity", "event", "trial", "state", "annotation", "description"),
    ("subject", "user", "participant", "person"),
)
_FILE = ("file", "recording", "path", "name")
_FAR = 20.0  # times as long as the recording: labels in another unit
_UNIX = 1e8  # seconds: later than this is unix time, earlier is since the start of the recording


@dataclass(frozen=True)
class TimedLabels:
    """Rows of a file with the columns start, stop and label, and subject or file where it has them, the latter with
    slashes."""

    spans: tuple[Span, ...]
    subjects: tuple[str, ...] | None
    files: tuple[str, ...] | None
    path: str
    notes: tuple[str, ...] = ()

    def give(self, recording: Recording) -> Recording:
        """The recording with the spans that are meant for it; times since its start become times on its clock."""
        path = PurePath(recording.path)
        names = tuple(f"/{one.as_posix()}" for one in (path, path.with_suffix("")))
        people = (recording.subject or "", path.name, path.stem)
        chosen = [span for i, span in enumerate(self.spans) if self._is_for(i, names, people)]
        if not chosen:
            return recording
        starts = [s.start if s.times is None or not len(s.times) else float(s.times[0]) for s in recording.signals]
        begin = max(starts, default=0.0)
        if max(span.start for span in chosen) < _UNIX < begin:
            chosen = [Span(span.start + begin, span.stop + begin, span.label) for span in chosen]
        return replace(recording, spans=(*recording.spans, *chosen))

    def _is_for(self, row: int, names: tuple[str, ...], people: tuple[str, ...]) -> bool:
        """names: the recording's path behind a slash, with and without suffix. people: its subject, and what its file
        may be called after."""
        if self.files is not None and self.files[row]:
            return any(name.endswith(f"/{self.files[row]}") for name in names)
        if self.subjects is not None and (subject := self.subjects[row]):
            return subject in people or bool(people[0] and _number(subject) == _number(people[0]))
        return True

    def check_times(self, recordings: Sequence[Recording]) -> None:
        """Raises DitmosError where no label lies in a recording that has some, or where all go far beyond its end."""
        spans = [(r, s) for r in recordings for s in r.spans if s.stop > s.start]
        clocks = {id(r): _clock(r) for r, _ in spans}
        inside = [s for r, s in spans if s.start < clocks[id(r)][1] and s.stop > clocks[id(r)][0]]
        known = [(clocks[id(r)], s) for r, s in spans if np.isfinite([*clocks[id(r)], s.stop]).all()]
        if not known:
            return
        (begin, end), last = max(known, key=lambda pair: pair[1].stop)
        if not inside:
            raise DitmosError(
                f"{self.path}: no label lies in a recording: {last.label} ends at {last.stop:.10g} s, "
                f"{recordings[0].path} goes from {begin:.10g} to {end:.10g} s; compare clocks, time zones and units"
            )
        if last.stop - begin > _FAR * (end - begin):
            raise DitmosError(
                f"{self.path}: labels go to {last.stop - begin:.6g} s, the recording only to {end - begin:.6g} s; "
                "if they are in ms, call the columns start_ms and stop_ms"
            )


@cache
def _number(subject: str) -> str:
    """The person's number where that is all: 1 is S01, and subject_01."""
    digits = re.findall(r"\d+", subject)
    return digits[0].lstrip("0") if len(digits) == 1 else subject


def _clock(recording: Recording) -> tuple[float, float]:
    """Seconds of the first row and after the last, infinite where a signal does not say its rate."""
    begins, ends = [], []
    for signal in recording.signals:
        if signal.times is not None and len(signal.times):
            begins.append(float(signal.times[0]))
            ends.append(float(signal.times[-1]))
        else:
            begins.append(signal.start)
            ends.append(signal.start + len(signal.samples) / signal.rate if signal.rate else np.inf)
    return min(begins, default=0.0), max(ends, default=np.inf)


def read_labels(path: Path) -> TimedLabels:
    """Read a CSV with the columns start, stop and label; subject or file say which recording a row is for.

    Times are unix seconds (or ms), dates, or seconds since the start of the recording. Without a column stop or
    duration, a label lasts until the next one. Three columns without names are start, stop, label.

    Raises:
        DitmosError: no such file, or no such columns.
    """
    table = read_table(path)
    start, label = _find(table, _START), _find(table, _LABEL)
    stop, lasts = _find(table, _STOP), _find(table, _LASTS)
    if not table.dialect.named and len(table.columns) == 3:  # a label track of Audacity has no names
        start, stop, label = table.columns
    if start is None or label is None:
        raise DitmosError(
            f"{path}: columns are {', '.join(table.columns)}, expected start, stop, label [, subject or file]"
        )
    subjects, files = (_text(table, name) if name else None for name in (_find(table, _SUBJECT), _find(table, _FILE)))
    begins = _times(table, start)
    nobody = [""] * len(table)
    owners = [*zip(subjects or nobody, files or nobody, strict=True)]
    ends = _times(table, stop) if stop else _until_next(begins, owners)
    if lasts and not stop:
        ends = begins + _times(table, lasts)
    wrong = np.flatnonzero(~(ends >= begins))
    if wrong.size:
        raise DitmosError(f"{path}: line {table.lines[wrong[0]]}: a label ends before it begins")
    names = _text(table, label)
    spans = tuple(Span(float(a), float(b), n) for a, b, n in zip(begins, ends, names, strict=True))
    return TimedLabels(
        spans,
        None if subjects is None else tuple(subjects),
        None if files is None else tuple(map(_with_slashes, files)),
        str(path),
        _said(spans, owners),
    )


def _said(spans: Sequence[Span], owners: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """What is strange about them: moments, and labels that lie over others."""
    notes = []
    if moments := sum(span.stop == span.start for span in spans):
        notes.append(f"{moments} labels have no length, and label nothing")
    order = sorted((owner, span.start, span.stop, span.label) for owner, span in zip(owners, spans, strict=True))
    over = [(one, other) for one, other in pairwise(order) if one[0] == other[0] and other[1] < one[2] > other[1]]
    over = [(one, other) for one, other in over if one[3] != other[3] and other[2] > other[1]]
    if over:
        one, other = over[0]
        notes.append(f"{len(over)} labels begin before another ends, the first is {other[3]} at {other[1]:g} s, in "
                     f"{one[3]}: what stands below in the file counts there")  # fmt: skip
    return tuple(notes)


def _find(table: Table, names: tuple[str, ...]) -> str | None:
    lower = {name.lower().split("_")[0].split(" ")[0]: name for name in reversed(table.columns)}
    return next((lower[name] for name in names if name in lower), None)


def _times(table: Table, name: str) -> NDArray[np.float64]:
    column = table.columns[name]
    unit = table.dialect.units[table.dialect.names.index(name)]
    if column.dtype == object:
        return to_seconds(column, name)[0]
    large = np.nanmax(np.abs(column.astype(np.float64)), initial=0) > 1e11
    return to_seconds(column, name, unit, None if large or unit or says_unit(name) else "s")[0]


def _text(table: Table, name: str) -> list[str]:
    column = table.columns[name]
    return [str(v) if column.dtype == object else name_of(v) for v in column]


def _with_slashes(path: str) -> str:
    return PurePath(path.replace("\\", "/")).as_posix() if path else ""


def _until_next(begins: NDArray[np.float64], owners: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    ends = np.full(len(begins), np.inf)
    rows: dict[tuple[str, str], list[int]] = {}
    for i, owner in enumerate(owners):
        rows.setdefault(owner, []).append(i)
    for own in rows.values():
        times = np.unique(begins[own][np.isfinite(begins[own])])
        ends[own] = np.append(times, np.inf)[np.searchsorted(times, begins[own], side="right")]
    return ends


def row_labels(
    recording: Recording, rows: int, start: float, rate: float, own: NDArray | None, unlabelled: str | None
) -> NDArray:
    """(rows,) names, "" for none: of spans first, then of each row in the file, then of the whole recording."""
    labels = np.full(rows, recording.label or "", object)
    if own is not None:
        labels = np.where(own == "", labels, own)
    if recording.spans:
        times = start + np.arange(rows) / rate
        for span in recording.spans:
            labels[(times >= span.start) & (times < span.stop)] = span.label
    if unlabelled:
        labels[labels == ""] = unlabelled
    return labels


def parse_rename(items: Sequence[str]) -> Mapping[str, str]:
    """``jog=run`` and the like, several apart by commas; ``jog=`` leaves the class out. Raises DitmosError."""
    result = {}
    for item in (part for text in items for part in text.split(",") if part.strip()):
        old, equals, new = item.partition("=")
        if not equals or not old.strip():
            raise DitmosError(f"rename is {item!r}, expected OLD=NEW, or OLD= to leave the class out")
        result[old.strip()] = new.strip()
    return result
