"""What the columns of a table are: time, label, person, take, sensor, and the channels."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.stamps import UNITS, looks_like_time
from ditmos.datasets.importers.table import Table
from ditmos.errors import DitmosError

_TIME = re.compile(
    r"t([\s_]?[mun]?s)?|"
    r"(.*[\s_])?(time|time[\s_]?stamp|date[\s_]?time|epoch|millis|micros|zeit|seconds|elapsed|uptime)([\s_(\[].*)?",
    re.I,
)
_DATE = re.compile(r"date|datum|day", re.I)
_COUNTER = re.compile(
    r"(sample|row|line|seq\w*|packet)?[\s_]*(no|nr|number|index|counter|count|id|#)?\.?|unnamed.*|id", re.I
)
_ROLES = {
    "label": re.compile(
        r"labels?|activit(y|ies)([\s_]?(id|name|label|code))?|class([\s_]?(name|id|label))?|target|gesture|annotation|"
        r"ground[\s_]?truth|gt|behaviou?r|posture|aktivit(ä|ae)t|klasse",
        re.I,
    ),
    "subject": re.compile(r"(subject|user|participant|person|volunteer|proband)([\s_]?(id|no|nr|name))?", re.I),
    "take": re.compile(r"(take|trial|repetition|session|recording)([\s_]?(id|no|nr))?", re.I),
    "sensor": re.compile(r"sensor([\s_]?(type|id|name))?", re.I),
}
_YES_OR_NO = {"True", "False", "TRUE", "FALSE", "true", "false", ""}  # valid or not rather than a class
_FILLED = 0.1  # of the rows at least have a label, else it is a remark
_FEW = 100  # names of classes in one file


@dataclass(frozen=True)
class Roles:
    """Names of columns; None or empty where there is none. beside: further time columns, each with the channels that
    stand behind it and are stamped by it. left_out: column to why. doubtful: channels that may be labels."""

    channels: tuple[str, ...]
    time: str | None = None
    date: str | None = None
    label: str | None = None
    subject: str | None = None
    take: str | None = None
    sensor: tuple[str, ...] = ()
    beside: tuple[tuple[str, tuple[str, ...]], ...] = ()
    left_out: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()

    def describe(self) -> str:
        said = {"time": self.time, "label": self.label, "subject": self.subject, "take": self.take}
        text = ", ".join(f"{role} '{name}'" for role, name in said.items() if name)
        if self.sensor:
            text += f", sensor '{', '.join(self.sensor)}'"
        for time, channels in self.beside:
            text += f", time of {', '.join(channels)} '{time}'"
        text = f"channels {', '.join(self.channels)}" + (f"; {text.lstrip(', ')}" if text else "")
        if self.doubtful:
            text += f"; changes seldom, as a label does: {', '.join(self.doubtful)} (--label-column, --columns)"
        return text + (f"; left out: {', '.join(self.left_out)}" if self.left_out else "")


def find_column(table: Table, name: str, path: str) -> str:
    """The column of that name, in any case, or of that number, from 1. Raises DitmosError for none."""
    names = list(table.columns)
    name = unicodedata.normalize("NFC", name)
    for match in (lambda n: n == name, lambda n: n.lower() == name.lower()):
        found = [n for n in names if match(n)]
        if found:
            return found[0]
    if name.isdigit() and 1 <= int(name) <= len(names):
        return names[int(name) - 1]
    raise DitmosError(f"{path}: no column '{name}', expected one of {', '.join(names)}")


def assign(table: Table, options: Options, path: str) -> Roles:
    """Roles of the table's columns: as the options say, else by their names and what is in them.

    Raises:
        DitmosError: a column that the options name is not there, or none is left for the channels.
    """
    said = {
        role: find_column(table, name, path)
        for role, name in (
            ("time", options.time_column if options.time_column != "none" else None),
            ("label", options.label_column),
            ("subject", options.subject_column),
            ("take", options.take_column),
        )
        if name is not None
    }
    sensor = tuple(find_column(table, name.strip(), path) for name in (options.sensor_column or "").split(",") if name)
    channels = tuple(find_column(table, name, path) for name in options.columns)
    free = [n for n in table.columns if n not in said.values() and n not in sensor and n not in channels]
    roles = _by_name(table, free, said, sensor)
    taken = {v for v in roles.values() if isinstance(v, str)} | set(roles["sensor"])
    if "time" not in said and options.time_column != "none":
        roles |= _time(table, [n for n in free if n not in taken])
    taken |= {v for v in (roles.get("time"), roles.get("date")) if v}
    left_out = []
    guessed = not channels
    if guessed:
        rest = [n for n in free if n not in taken]
        for name in rest:
            why = _no_channel(table, name, alone=len(rest) == 1)
            if why:
                left_out.append(f"'{name}' ({why})")
            else:
                channels += (name,)
    for name in channels:
        if table.columns[name].dtype == object:
            raise DitmosError(f"{path}: column '{name}' is text, expected numbers")
    if not channels:
        raise DitmosError(f"{path}: no column of numbers is left for the channels; name them with --columns")
    beside: tuple[tuple[str, tuple[str, ...]], ...] = ()
    if guessed and options.time_column is None and not roles["sensor"] and "time" in roles:
        beside = _beside(table, roles["time"], channels)
        left_out = [text for text in left_out if not any(text.startswith(f"'{time}' (") for time, _ in beside)]
    doubtful = tuple(n for n in channels if guessed and _seldom(table.columns[n]))
    return Roles(channels, left_out=tuple(left_out), doubtful=doubtful, beside=beside, **roles)


def _by_name(table: Table, free: list[str], said: dict[str, str], sensor: tuple[str, ...]) -> dict:
    roles: dict = dict(said)
    for role in ("label", "subject", "take"):
        if role not in roles:
            named = [n for n in free if _ROLES[role].fullmatch(n)]
            roles |= {role: named[0]} if named else {}
    if "label" not in roles:
        texts = [n for n in free if _is_text(table.columns[n]) and n not in roles.values() and not _DATE.fullmatch(n)]
        least = 2 if table.dialect.named else 1  # one value is the name of a device rather than a label
        texts = [n for n in texts if least <= len(set(table.columns[n])) <= _FEW and not _ROLES["sensor"].fullmatch(n)]
        texts = [n for n in texts if not _looks_like_time(table.columns[n])]
        texts = [n for n in texts if not {*table.columns[n]} <= _YES_OR_NO]
        texts = [n for n in texts if np.mean(table.columns[n] != "") >= _FILLED]
        if len(texts) == 1:
            roles["label"] = texts[0]
    if not sensor:
        sensor = tuple(n for n in free if _ROLES["sensor"].fullmatch(n) and len(set(table.columns[n].tolist())) > 1)
    return roles | {"sensor": sensor}


def _is_text(column: NDArray) -> bool:
    return column.dtype == object


def _looks_like_time(column: NDArray) -> bool:
    return looks_like_time(next((text for text in column if text), ""))


def _time(table: Table, free: list[str]) -> dict[str, str]:
    """The column of time stamps, and that of dates beside it."""
    named = [n for n in free if _TIME.fullmatch(n)]
    found = [n for n in named if _is_text(table.columns[n]) and _looks_like_time(table.columns[n])]
    found += [n for n in named if not _is_text(table.columns[n]) and _rises(table.columns[n], 0.8)]
    units = dict(zip(table.dialect.names, table.dialect.units, strict=True))
    if not found:
        numbers = [n for n in free if not _is_text(table.columns[n]) and units[n].lower() in UNITS]
        found = [n for n in numbers if _rises(table.columns[n], 1.0) and _even(table.columns[n])]
    if not found:
        found = [n for n in free if _is_text(table.columns[n]) and _looks_like_time(table.columns[n])]
    if not found and not table.dialect.named and len(free) > 1:
        numbers = [n for n in free if not _is_text(table.columns[n]) and not _counts(table.columns[n])]
        found = [n for n in numbers if _is_clock(table.columns[n])]
        found += [n for n in numbers[:1] if _rises(table.columns[n], 1.0) and _even(table.columns[n])]
    if not found:
        return {}
    of_day = _is_text(table.columns[found[0]]) and re.match(r"\d\d?:", str(table.columns[found[0]][0]))
    dates = [n for n in free if n != found[0] and _is_text(table.columns[n]) and _looks_like_time(table.columns[n])]
    if of_day and dates:
        return {"time": found[0], "date": dates[0]}
    return {"time": found[0]}


def _beside(table: Table, time: str, channels: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Two sensors side by side, each behind its own time: the time columns after the first, and their channels.

    A time that shares no stretch with the first is another clock, which cannot be joined with it.
    """

    def span(name: str) -> tuple[float, float]:
        column = table.columns[name].astype(np.float64)
        return float(np.nanmin(column)), float(np.nanmax(column))

    def is_time(name: str) -> bool:
        column = table.columns[name]
        return (
            not _is_text(column) and bool(_TIME.fullmatch(name)) and np.isfinite(column).any() and _rises(column, 0.8)
        )

    if not is_time(time):
        return ()
    low, high = span(time)
    blocks: list[tuple[str, list[str]]] = []
    for name in list(table.columns)[list(table.columns).index(time) :]:
        if is_time(name) and span(name)[0] < high and low < span(name)[1]:
            blocks.append((name, []))
        elif name in channels and blocks:
            blocks[-1][1].append(name)
    if len(blocks) < 2 or not all(own for _, own in blocks):
        return ()
    return tuple((name, tuple(own)) for name, own in blocks[1:])


def _rises(column: NDArray, share: float) -> bool:
    """That share of the steps is not backward, and some go forward."""
    values = column.astype(np.float64)
    steps = np.diff(values[np.isfinite(values)])
    return bool(steps.size and np.mean(steps >= 0) >= share and (steps > 0).any())


def _is_clock(column: NDArray) -> bool:
    """Numbers of billions that rise: seconds, or parts of them, since 1970 or since a phone was started."""
    return not _is_text(column) and bool(np.nanmin(column.astype(float), initial=np.inf) >= 1e9) and _rises(column, 0.9)


def _even(column: NDArray) -> bool:
    """Steps of nearly one length, as time has them; whole steps of one are a counter."""
    steps = np.diff(column.astype(np.float64))
    middle = np.median(steps)
    return bool(middle > 0 and np.mean(np.abs(steps - middle) <= 0.5 * middle) > 0.9 and not _counts(column))


def _counts(column: NDArray) -> bool:
    """Each row's number is one more than that of the row before, but for where some are lost or it begins anew."""
    return column.dtype.kind == "i" and len(column) >= 10 and bool(np.mean(np.diff(column) == 1) > 0.9)


def _seldom(column: NDArray) -> bool:
    """Whole numbers that change now and then, as a label or the number of a person does."""
    changes = np.count_nonzero(np.diff(column)) if column.dtype.kind == "i" else 0
    return bool(0 < changes <= len(column) / 50)


def _differs(column: NDArray) -> bool:
    """Whole numbers, none of them twice."""
    return column.dtype.kind == "i" and len(np.unique(column)) == len(column)


def _no_channel(table: Table, name: str, alone: bool) -> str | None:
    """Why a column is no channel."""
    column = table.columns[name]
    if _is_text(column):
        return "text"
    numbered = _counts(column) or (_COUNTER.fullmatch(name) and _differs(column) and table.dialect.named)
    if not alone and numbered:
        return "counts the rows"
    named = re.sub(r"\.\d+$", "", name)  # columns of one name are numbered
    if not alone and (_is_clock(column) or (_TIME.fullmatch(named) and _rises(column, 0.8))):
        return "another time"
    if not alone and not table.dialect.named and _seldom(column):
        return "changes seldom: a label, or a person?"
    if _ROLES["sensor"].fullmatch(name):
        return "names the sensor"
    if column.dtype.kind == "f" and np.isnan(column).all():
        return "empty"
    return None
