"""Time stamps to seconds: numbers in s, ms, us or ns, dates, times of day; put in order."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.importers.needs import need
from ditmos.errors import DitmosError

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_NAMED = re.compile(
    r"(?:^|[\s_\[(.])(s|sec|secs|seconds?|ms|msec|millis\w*|us|µs|usec|micros\w*|ns|nanos\w*)(?:$|[\s_\])])", re.I
)
_PLAUSIBLE = (2.0, 2000.0)  # Hz: rates that a sensor is likely to have
_OF_DAY = re.compile(r"\d\d?:\d\d(:\d\d(\.\d+)?)?")
_RUN = 10  # rows in common that make two stretches of time overlap, not just swapped rows


def to_seconds(column: NDArray, name: str, unit: str = "", given: str | None = None) -> tuple[NDArray[np.float64], str]:
    """(rows,) seconds, NaN where missing, and how the stamps are written.

    unit: what the file's header says. given: what the user says, which is not doubted.

    Raises:
        DitmosError: no time stamps.
    """
    if given is not None and given not in UNITS:
        raise DitmosError(f"time unit is {given!r}, expected one of {', '.join(UNITS)}")
    if column.dtype == object:
        return _dates(column, name)
    if column.dtype.kind == "i":  # nanoseconds of today do not fit a float64
        first = int(column[0])
        values = (column - first).astype(np.float64)
    else:
        first = 0
        values = column.astype(np.float64)
    chosen = given or _unit(values, first, f"{name} {unit}")
    return first * UNITS[chosen] + values * UNITS[chosen], chosen


def _unit(values: NDArray[np.float64], first: int, text: str) -> str:
    """By the name, by the size of unix time, else by the rate that comes out."""
    words = _NAMED.findall(text)
    if words:
        word = words[-1].lower()
        return {"s": "s", "m": "ms", "u": "us", "µ": "us", "n": "ns"}[word[0]] if not word.startswith("micro") else "us"
    size = abs(first + float(np.nanmin(values)))  # of the earliest: unix time, if it is large
    for unit, low in (("ns", 1e17), ("us", 1e14), ("ms", 1e11), ("s", 5e8)):
        if size >= low:
            return unit
    steps = np.diff(values[np.isfinite(values)])
    steps = steps[steps > 0]
    if not steps.size:
        return "s"
    step = float(np.median(steps))
    rates = {unit: 1 / (step * size) for unit, size in UNITS.items()}
    return next((unit for unit, rate in rates.items() if _PLAUSIBLE[0] <= rate <= _PLAUSIBLE[1]), "s")


def _dates(column: NDArray, name: str) -> tuple[NDArray[np.float64], str]:
    pandas = need("pandas", "time stamps")
    text = pandas.Series(column).str.replace(r"(?<=:\d\d),(?=\d)", ".", regex=True)
    filled = text[text != ""]
    if len(filled) and filled.str.fullmatch(_OF_DAY).all():
        spans = pandas.to_timedelta(text.where(text.str.count(":") > 1, text + ":00"), errors="coerce")
        values = spans.dt.total_seconds().to_numpy(np.float64).copy()
        days = np.cumsum(np.diff(np.nan_to_num(values), prepend=values[:1]) < -43200)
        return values + 86400.0 * days, "time of day"
    try:
        stamps, form = pandas.to_datetime(text, format="ISO8601", utc=True), "ISO 8601"
    except ValueError:
        day_first = (
            bool(filled.str.extract(r"^(\d+)[./-]", expand=False).astype(float).gt(12).any())
            or "." in filled.iloc[0][:3]
        )
        form = "dates, day first" if day_first else "dates, month first"
        try:
            stamps = pandas.to_datetime(text, format="mixed", dayfirst=day_first, utc=True)
        except ValueError:
            raise DitmosError(f"column '{name}': {filled.iloc[0]!r} is no time") from None
    start = stamps.dropna().iloc[0]
    # the difference first: nanoseconds since 1970 have more digits than float64
    return start.timestamp() + (stamps - start).dt.total_seconds().to_numpy(np.float64), form


def in_order(times: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64], str | None]:
    """Indices that put the rows in order, their times, and what was wrong.

    Rows without a time are left out. Where time begins anew (a logger that was started again, a counter that wrapped)
    the rows stay in order, and what follows is put behind what was before, apart by a second.
    """
    index = np.flatnonzero(np.isfinite(times))
    times = times[index]
    missing = f"{len(index)} of the rows have a time" if len(index) < index.max(initial=-1) + 1 else None
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
