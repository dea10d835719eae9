"""How a text of numbers is written: its separator, decimal mark, header lines and names, guessed from the lines."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from ditmos.errors import DitmosError
from ditmos.model.conversion import is_unit, plain

COMMENT = ("#", "%", "//")
_SAMPLE = 60  # lines that are looked at
_GROUPED = 0.05  # of the values have a mark between thousands: fewer must have a decimal mark, too
_HEAD = 400  # lines in which the first row must lie
_TIME = re.compile(r"(\d{4}[-/.]\d\d?[-/.]\d\d?)?[T ]?(\d\d?:\d\d(:\d\d)?([.,]\d+)?)?\s?(Z|[+-]\d\d:?\d\d)?")
GROUPS = (",", ".", " ", "\u00a0", "\u202f", "\u2009", "'", "\u2019")  # marks between thousands
MISSING = {"", "nan", "na", "n/a", "#n/a", "#nv", "null", "-", "--", "-nan"}  # whatever the column is of
# Among numbers, these too: among names they are names.
_NO_NUMBER = {"inf", "-inf", "+inf", "infinity", "-infinity", "none", "nil", "?", ".", "...", "n.a.", "n.v.", "k.a."}
_NO_NUMBER |= {"missing", "undefined", "\\n", "-1.#ind", "1.#ind", "1.#qnan", "-1.#qnan", "1.#inf", "-1.#inf"}
_NO_NUMBER |= {"nan(ind)", "-nan(ind)", "<na>", "\u2013", "\u2014"}
_SPREADSHEET = re.compile(r"#[A-ZÄÖÜ][A-ZÄÖÜ/0-9]*[!?]")  # what a cell says that could not be computed
_NO_COMMENT = re.compile(rf"(?:#N/A|#NV|{_SPREADSHEET.pattern})\s*(?:[\",;\t|]|$)")
_NO_NAMES = {"s", "ms", "us", "µs", "ns", "ut", "a.u.", "counts", "lsb", "cal", "raw", "m/(s^2)"}  # but units
_TYPES = {"int", "integer", "long", "float", "double", "real", "number", "numeric", "string", "text", "bool", "time"}
_UNITS = re.compile(r"^(?P<name>.*?)\s*(?:\[(?P<square>[^\]]*)\]|\((?P<round>[^)]*)\))\s*$")
_RATE = re.compile(
    r"(?:\bsampl\w*[\s_-]*(?:rate|freq\w*)|\bfrequency|\bfreq|\bfs|^\W*rate)\b[^\d\n]{0,20}?(\d+(?:[.,]\d+)?)\s*(k?hz)?",
    re.I,
)


@dataclass(frozen=True)
class Dialect:
    """separator: " " stands for blanks of any number. first: index of the first row of values among the lines.
    names: one a column, the column's number where the file has none. units: one a column, "" where unknown.
    row_end: a semicolon ends each row. rate: rows per second, where a header line says so."""

    separator: str
    decimal: str
    thousands: str | None
    first: int
    names: tuple[str, ...]
    units: tuple[str, ...]
    named: bool
    row_end: bool = False
    rate: float | None = None

    @property
    def width(self) -> int:
        return len(self.names)

    def describe(self) -> str:
        blank = {"\t": "tabs", " ": "blanks"}.get(self.separator, f"'{self.separator}'")
        mark = "decimal comma" if self.decimal == "," else "decimal point"
        lines = f", {self.first} header line{'s' * (self.first != 1)}" if self.first else ""
        return f"{self.width} columns apart by {blank}, {mark}{lines}"


def split_line(line: str, separator: str) -> list[str]:
    """Values of a line, without blanks and quotes around them."""
    if separator == " ":
        return [field.strip('"') for field in line.split()]
    if '"' not in line:
        return [field.strip() for field in line.split(separator)]
    return [field.strip() for field in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]


@cache
def _number(decimal: str, thousands: str | None) -> re.Pattern[str]:
    d = re.escape(decimal)
    whole = r"\d+" if thousands is None else rf"(?:\d+|[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})+)"
    return re.compile(rf"[+-]?(?:{whole}(?:{d}\d*)?|{d}\d+)(?:[eE][+-]?\d+)?")


def is_missing(field: str) -> bool:
    """Where a number is expected, this says that there is none."""
    lower = field.lower()
    return lower in MISSING or lower in _NO_NUMBER or bool(_SPREADSHEET.fullmatch(field))


def is_value(field: str, decimal: str = ".", thousands: str | None = None) -> bool:
    """A number, a time or nothing."""
    return is_missing(field) or bool(_number(decimal, thousands).fullmatch(field) or _TIME.fullmatch(field))


def grouping(fields: Iterable[str], decimal: str) -> str | None:
    """The mark between thousands that makes numbers of all ``fields``, which are none without. None where there is no
    such mark, or where it may as well be a decimal mark: 1.234 alone is not known to be a thousand."""
    fields = [*fields]
    for mark in GROUPS:
        numbers = mark != decimal and all(_number(decimal, mark).fullmatch(field) for field in fields)
        if numbers and (mark not in ",. " or any(decimal in f or f.count(mark) > 1 for f in fields)):
            return mark
    return None


def parse_number(field: str, dialect: Dialect) -> int | float | None:
    """The number that a field is written for, whole where it has neither fraction nor exponent; None for no number."""
    if not _number(dialect.decimal, dialect.thousands).fullmatch(field):
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}.get(field.lower())
    plain = field.replace(dialect.thousands, "") if dialect.thousands else field
    plain = plain.replace(dialect.decimal, ".")
    return float(plain) if len(plain) > 18 or any(c in plain for c in ".eE") else int(plain)


def is_comment(line: str) -> bool:
    text = line.lstrip().lstrip('"')
    return text.startswith(COMMENT) and not _NO_COMMENT.match(text)


def sniff(lines: Sequence[str], name: str, separator: str | None = None, decimal: str | None = None) -> Dialect:
    """The dialect of a text, from its first lines.

    separator, decimal: not guessed where given.

    Raises:
        DitmosError: no row of numbers in them.
    """
    head = lines[:_HEAD]
    filled = [line for line in head if line.strip() and not is_comment(line)]
    if not filled:
        raise DitmosError(f"{name}: no row of numbers")
    tail = filled[-min(_SAMPLE, max(5, len(filled) // 2)) :]
    row_end = sum(line.rstrip().endswith(";") for line in tail) > len(tail) / 2
    plain = [line.rstrip().rstrip(";") for line in tail] if row_end else tail
    best: tuple[float, int] = (0.0, 0)
    chosen: tuple[str, str, str | None] | None = None
    text = "\n".join(plain)
    for mark, point, group in _candidates(text, separator, decimal):
        rows = [split_line(line, mark) for line in (plain if mark != ";" else tail)]
        count, lots = Counter(map(len, rows)).most_common(1)[0]
        values = [sum(is_value(f, point, group) and f != "" for f in row) for row in rows if len(row) == count]
        # Empty fields say nothing for a separator: three blanks are no four columns.
        score = lots / len(rows) * sum(values) / (lots * count)
        if (round(score, 3), count) > best:
            best, chosen = (round(score, 3), count), (mark, point, group)
    if chosen is None:
        raise DitmosError(f"{name}: {filled[-1].strip()[:40]!r} is no row of numbers")
    mark, point, group = chosen
    if mark == ";":
        row_end = False
    if group:
        fields = [f for line in (plain if mark != ";" else tail) for f in split_line(line, mark)]
        only = [f for f in fields if is_value(f, point, group) and not is_value(f, point)]
        if len(only) < _GROUPED * len(fields) and grouping(only, point) != group:
            group = None
    return _header(head, name, mark, point, group, row_end)


def _candidates(text: str, separator: str | None, decimal: str | None) -> list[tuple[str, str, str | None]]:
    """(separator, decimal mark, thousands mark) that the text may have, the likelier first: equal scores keep it.

    A comma between commas is a decimal comma only in quotes.
    """
    marks = (separator,) if separator else [mark for mark in (";", "\t", "|", ",", " ") if mark in text] or [","]
    points = (decimal,) if decimal else (".", ",") if "," in text else (".",)
    plain = [(mark, point, None) for mark in marks for point in points if mark != point]
    quoted = [(mark, point, None) for mark in marks for point in points if mark == point and '"' in text]
    groups = [group for group in GROUPS if re.search(rf"\d{re.escape(group)}\d{{3}}(?!\d)", text)]
    grouped = [(mark, point, group) for mark, point, _ in plain for group in groups if group not in (mark, point)]
    return [*plain, *quoted, *grouped]


def _header(head: Sequence[str], name: str, mark: str, point: str, group: str | None, row_end: bool) -> Dialect:
    """Where the rows begin, and what the lines before say."""

    def fields(line: str) -> list[str]:
        return split_line(line.rstrip().rstrip(";") if row_end else line, mark)

    rows = [(i, fields(line)) for i, line in enumerate(head) if line.strip() and not is_comment(line)]
    width = Counter(len(row) for _, row in rows[-_SAMPLE:]).most_common(1)[0][0]
    sample = [row for _, row in rows[-_SAMPLE:] if len(row) == width]
    numeric = [j for j in range(width) if _is_numeric([row[j] for row in sample], point, group)]

    def is_row(row: list[str]) -> bool:
        return (
            len(row) == width and all(is_value(row[j], point, group) for j in numeric) and any(row[j] for j in numeric)
        )

    begins = next(
        (n for n, (_, row) in enumerate(rows) if is_row(row) and all(is_row(r) for _, r in rows[n + 1 : n + 3])),
        next((n for n, (_, row) in enumerate(rows) if is_row(row)), None),
    )
    if begins is None or not numeric:
        raise DitmosError(f"{name}: no row of numbers")
    first = rows[begins][0]
    if _are_places(rows[begins][1]) and begins + 1 < len(rows):
        first = rows[begins + 1][0]
    before = [line for line in head[:first] if line.strip()]
    whole = [row for _, row in rows if len(row) == width]
    whole += [row for line in before[-3:] if len(row := fields(line.strip().lstrip("#%/ \t"))) == width]
    while width > 1 and all(row[width - 1] == "" for row in whole):  # each row ends in a separator
        width -= 1
    names, units = _names(before, fields, width, point)
    rates = [m for line in head[:first] if (m := _RATE.search(line)) and fields(line) != list(names or ())]
    rate = None
    if rates:
        rate = float(rates[-1][1].replace(",", ".")) * (1000 if (rates[-1][2] or "").lower() == "khz" else 1)
    return Dialect(
        separator=mark,
        decimal=point,
        thousands=group,
        first=first,
        names=names or tuple(str(i + 1) for i in range(width)),
        units=units,
        named=names is not None,
        row_end=row_end,
        rate=rate if rate and rate > 0 else None,
    )


def _are_places(row: list[str]) -> bool:
    """0, 1, 2 and so on, as pandas names columns without names, behind nothing where it also writes its index."""
    own = row[1:] if row and row[0] == "" else row
    return len(own) > 2 and own == [str(i) for i in range(len(own))]


def _is_numeric(fields: Sequence[str], point: str, group: str | None) -> bool:
    """A column of numbers: half of what is not missing."""
    there = [field for field in fields if not is_missing(field)]
    return bool(there) and sum(is_value(field, point, group) for field in there) >= len(there) / 2


def _names(
    before: list[str], fields: Callable[[str], list[str]], width: int, point: str
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Names and units of the columns: the last line of words before the rows, one more where units stand below."""
    found = []
    for line in reversed(before[-3:]):
        row = fields(line.strip().lstrip("#%/ \t"))
        while len(row) > width and row[-1] == "":
            row.pop()
        words = sum(bool(f) and not is_value(f, point) for f in row)
        if len(row) != width or words < max(1, width / 2):
            break
        found.append([f.strip() for f in row])
    if not found:
        return None, ("",) * width
    if len(found) > 1 and all(f.lower() in _TYPES for f in found[0]):
        found.pop(0)
    names = found[-1] if len(found) > 1 and _are_units(found[0]) else found[0]
    below = found[0] if names is not found[0] else None
    split = [_UNITS.match(text) for text in names]
    bare = [m["name"] if m and m["name"] else text for m, text in zip(split, names, strict=True)]
    units = [(m["square"] or m["round"] or "").strip() if m and m["name"] else "" for m in split]
    if below:
        units = [text.strip("[]() ") for text in below]
    if len(set(bare)) < width:  # two columns of one name: the names as they are, numbered where that is not enough
        bare = [f"{text}.{i + 1}" if bare.count(text) > 1 or not text else text for i, text in enumerate(bare)]
    return tuple(text or str(i + 1) for i, text in enumerate(bare)), tuple(plain(u) for u in units)


def _are_units(row: list[str]) -> bool:
    """Units below the names: most of the words are, or stand in brackets, or the first one is that of a time."""
    words = [f for f in row if f]
    known = sum(f != f.strip("[]") or is_unit(f) or f.strip("[]() ").lower() in _NO_NAMES for f in words)
    return bool(words) and (known > len(words) / 2 or words[0].strip("[]() ").lower() in ("s", "ms", "us", "µs", "ns"))
