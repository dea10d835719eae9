"""Time stamps to seconds: numbers in ns to days, dates, times of day; put in order."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.importers.needs import need
from ditmos.errors import DitmosError

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0, "days": 86400.0}
_USUAL = ("s", "ms", "us", "ns")  # others are known by name, or as unix time is
_NAMED = re.compile(
    r"(?:^|[\s_\[(.])(s|sec|secs|seconds?|ms|msec|millis\w*|us|µs|usec|micros\w*|ns|nanos\w*|mins?|minutes?|h|hrs?"
    r"|hours?)(?:$|[\s_\])])",
    re.I,
)
_PLAUSIBLE = (2.0, 2000.0)  # Hz: rates that a sensor is likely to have
_POSSIBLE = 0.2  # Hz: slower than likely, not than possible
_EPOCHS = {25569: range(20_000, 80_000), 719529: range(700_000, 800_000)}  # 1970 in days of Excel and of MATLAB
_OF_DAY = re.compile(r"\d\d?:\d\d(:\d\d(\.\d+)?)?(?P<half> ?[ap]m)?", re.I)
_OF_HOUR = re.compile(r"[0-5]?\d:[0-5]\d\.\d+")  # as a spreadsheet shows times
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_COMPACT = r"((?:19|20)\d\d[01]\d[0-3]\d)[T _]?([0-2]\d)([0-5]\d)([0-5]\d)?\.?(\d+)?"
_WRITTEN = re.compile(
    rf"\d{{1,4}}[-/.:]\d\d?([-/.:]\d|$)|\d{{8}}[T _]\d{{4}}|\d\d?[- ]{_MONTH}|(?:[a-z]{{3}},? )?{_MONTH} \d", re.I
)
_RUN = 10  # rows in common that make two stretches of time overlap, not just swapped rows


def looks_like_time(text: str) -> bool:
    """A date or a time of day, in one of the forms that `to_seconds` reads."""
    return bool(_WRITTEN.match(text))


def says_unit(name: str) -> bool:
    """Whether a column's name ends in a unit of time, as start_ms does."""
    return bool(_NAMED.search(name))


def to_seconds(column: NDArray, name: str, unit: str = "", given: str | None = None) -> tuple[NDArray[np.float64], str]:
    """(rows,) seconds, NaN where missing, and how the stamps are written.

    unit: what the file's header says. given: what the user says, which is not doubted.

    Raises:
        DitmosError: no time stamps.
    """
    if given is not None and given not in UNITS:
        raise DitmosError(f"time unit is {given!r}, expected one of {', '.join(UNITS)}")
    if not (column != "" if column.dtype == object else np.isfinite(column)).any():
        raise DitmosError(f"column '{name}': no time stamp in {len(column)} rows")
    if given is None:
        column = _digits(column)
    if column.dtype == object:
        return _dates(column, name)
    if column.dtype.kind == "i":  # nanoseconds of today do not fit a float64
        first = int(column[0])
        values = (column - first).astype(np.float64)
    else:
        first = 0
        values = column.astype(np.float64)
    values, wrapped = _unwrapped(values + first)
    values -= first
    chosen, sure = (given, True) if given else _unit(values, first, f"{name} {unit}")
    form = (chosen if sure else f"{chosen} (a guess: --time-unit)") + wrapped
    if chosen == "days":
        return (values + (first - _epoch(first + float(np.nanmin(values))))) * UNITS[chosen], form
    return first * UNITS[chosen] + values * UNITS[chosen], form


def _unwrapped(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
    """A counter of 16 or 32 bits that began anew goes on instead."""
    steps = np.diff(values)
    back = steps < 0
    for bits in (16, 32):
        size = 2.0**bits
        if back.any() and values.min() >= 0 and size / 2 < values.max() < size and (steps[back] < -0.9 * size).all():
            return values + size * np.concatenate([[0], np.cumsum(back)]), f", a counter of {bits} bits"
    return values, ""


def _digits(column: NDArray) -> NDArray:
    """Numbers whose digits are a date and a time (20240301100000.02, 20240301100000020) as text; others as they are."""
    if column.dtype == object or not 1.9e13 < np.nanmin(column) <= np.nanmax(column) < 2.1e16:
        return column
    text = np.array(["" if np.isnan(v) else f"{v:.3f}" if column.dtype.kind == "f" else str(v) for v in column], object)
    return text if all(re.fullmatch(_COMPACT, item) for item in text if item) else column


def _apart(match: re.Match[str]) -> str:
    date, hour, minute, second, rest = match.groups()
    return f"{date}T{hour}:{minute}:{second or '00'}" + (f".{rest}" if rest else "")


def _unit(values: NDArray[np.float64], first: int, text: str) -> tuple[str, bool]:
    """By the name, by the size of unix time or days, else by the rate that comes out; and whether that is sure."""
    words = _NAMED.findall(text)
    if words:
        word = words[-1].lower()
        if word.startswith(("min", "micro")):
            return ("min" if word[2] == "n" else "us"), True
        return {"s": "s", "m": "ms", "u": "us", "µ": "us", "n": "ns", "h": "h"}[word[0]], True
    start = first + float(np.nanmin(values))  # the earliest: unix time, if it is large
    for unit, low in (("ns", 1e17), ("us", 1e14), ("ms", 1e11), ("s", 5e8)):
        if low <= start < 1e2 * low:
            return unit, True
    steps = np.diff(values[np.isfinite(values)])
    steps = steps[steps > 0]
    if not steps.size:
        return "s", True
    rates = {unit: 1 / (float(np.median(steps)) * size) for unit, size in UNITS.items()}
    if _epoch(start) and rates["s"] > _PLAUSIBLE[1] and rates["days"] <= _PLAUSIBLE[1]:
        return "days", True
    possible = [unit for unit in _USUAL if _POSSIBLE <= rates[unit] <= _PLAUSIBLE[1]]
    likely = [unit for unit in possible if rates[unit] >= _PLAUSIBLE[0]]
    return next(iter(likely), "s"), len(possible) == 1


def _epoch(days: float) -> int:
    """What that program counts for 1970-01-01, if the number may be a day of it; else 0."""
    return next((epoch for epoch, known in _EPOCHS.items() if known.start <= days < known.stop), 0)


def _dates(column: NDArray, name: str) -> tuple[NDArray[np.float64], str]:
    pandas = need("pandas", "time stamps")
    text = pandas.Series(column).str.replace(r"(?<=\d:\d\d)(?:,|(?<=:\d\d:\d\d):)(?=\d)", ".", regex=True)
    text = text.str.replace(rf"^{_COMPACT}", _apart, regex=True)
    filled = text[text != ""]
    if len(filled) and filled.str.fullmatch(_OF_HOUR).all():
        text = "00:" + text.where(text != "", "x")
        values = pandas.to_timedelta(text, errors="coerce").dt.total_seconds().to_numpy(np.float64).copy()
        hours = np.cumsum(np.diff(np.nan_to_num(values), prepend=values[:1]) < -1800)
        return values + 3600.0 * hours, "minutes and seconds"
    if len(filled) and filled.str.fullmatch(_OF_DAY).all():
        half = text.str.lower().str.extract(r"([ap])m$", expand=False)
        clock = text.str.replace(r"(?i) ?[ap]m$", "", regex=True)
        spans = pandas.to_timedelta(clock.where(clock.str.count(":") > 1, clock + ":00"), errors="coerce")
        values = spans.dt.total_seconds().to_numpy(np.float64).copy()
        values = np.where(half.isna(), values, values % 43200 + 43200.0 * (half == "p"))
        days = np.cumsum(np.diff(np.nan_to_num(values), prepend=values[:1]) < -43200)
        return values + 86400.0 * days, "time of day"
    try:
        stamps, form = pandas.to_datetime(text, format="ISO8601", utc=True), "ISO 8601"
    except ValueError:
        stamps, form = _day_or_month_first(text, filled, name)
    start = stamps.dropna().iloc[0]
    # the difference first: nanoseconds since 1970 have more digits than float64
    return start.timestamp() + (stamps - start).dt.total_seconds().to_numpy(np.float64), form


def _day_or_month_first(text: Any, filled: Any, name: str) -> tuple[Any, str]:
    """Dates that begin with a day or a month: by a day beyond 12 or a point, else what makes the shorter recording.
    Four digits are a year."""
    pandas = need("pandas", "time stamps")
    first = filled.str.extract(r"^(\d+)[./-]", expand=False)
    forms = {True: "dates, day first", False: "dates, month first"}
    if first.str.len().eq(4).all():
        forms = {False: "dates, year first"}
    elif first.astype(float).gt(12).any() or "." in filled.iloc[0][:3]:
        forms.pop(False)
    found = {}
    for day_first in sorted(forms):
        try:
            found[day_first] = pandas.to_datetime(text, format="mixed", dayfirst=day_first, utc=True)
        except ValueError:
            continue
    if not found:
        raise DitmosError(f"column '{name}': {filled.iloc[0]!r} is no time") from None
    best = min(found, key=lambda day_first: found[day_first].max() - found[day_first].min())
    return found[best], forms[best]


def in_order(times: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64], str | None]:
    """Indices that put the rows in order, their times, and what was wrong.

    Rows without a time are left out. Where time begins anew (a logger that was started again, a counter that wrapped)
    the rows stay in order, and what follows is put behind what was before, apart by a second.
    """
    index = np.flatnonzero(np.isfinite(times))
    missing = f"{len(times) - len(index)} rows have no time, and are left out" if len(index) < len(times) else None
    times = times[index]
    back = np.flatnonzero(np.diff(times) < 0) + 1
    if not back.size:
        return index, times, missing
    anew = [run for run in np.split(np.arange(len(times)), back)[1:] if _overlaps(times, run)]
    if anew:
        shifted = times.copy()
        for run in anew:
            shifted[run[0] :] += shifted[run[0] - 1] + 1.0 - shifted[run[0]]
        return index, shifted, f"time begins anew {len(anew)} times: what follows is put behind"
    order = np.argsort(times, kind="stable")
    return index[order], times[order], f"{len(back)} rows are out of order in time, and were sorted"


def _overlaps(times: NDArray[np.float64], run: NDArray[np.int64]) -> bool:
    """Many rows before ``run`` lie between its times, and many of its own between theirs: sorting would mix two
    stretches, not mend swapped rows."""
    before, own = times[: run[0]], times[run]
    theirs = np.count_nonzero((before >= own[0]) & (before <= own[-1]))
    return bool(min(theirs, np.count_nonzero(own <= before.max())) >= _RUN)
