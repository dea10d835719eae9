"""Delimited text as a table: every value as it is written, or missing and counted."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.importers.dialect import (
    COMMENT,
    MISSING,
    Dialect,
    grouping,
    is_comment,
    is_missing,
    parse_number,
    sniff,
    split_line,
)
from ditmos.datasets.importers.needs import need
from ditmos.errors import DitmosError
from ditmos.text import read_text

if TYPE_CHECKING:
    import pandas

_MISSING = [*MISSING, *(word.upper() for word in MISSING), *(word.title() for word in MISSING), "NaN"]


@dataclass(frozen=True)
class Table:
    """columns: name to (rows,) numbers (int64 or float64, NaN for missing) or text (object). lines: (rows,) where each
    row stands in the file, from 1. notes: what is not as it should be."""

    columns: dict[str, NDArray]
    dialect: Dialect
    encoding: str
    lines: NDArray[np.int64]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.lines)


def read_table(
    path: Path, *, encoding: str | None = None, separator: str | None = None, decimal: str | None = None
) -> Table:
    """Read the file; what is not given is guessed.

    Raises:
        DitmosError: no such file, not text, no row of numbers.
    """
    text, name = read_text(path, encoding)
    return parse_table(text, str(path), name, separator, decimal)


def parse_table(
    text: str, path: str, encoding: str = "utf-8", separator: str | None = None, decimal: str | None = None
) -> Table:
    """As `read_table`, of text that is at hand."""
    lines = text.split("\n")
    dialect = sniff(lines, path, separator, decimal)
    rows, numbers, notes = _rows(lines, dialect, path)
    frame = _parse(rows, dialect, path)
    columns = {}
    for name, column in zip(dialect.names, frame, strict=True):
        columns[name], note = _column(frame[column], name, numbers, dialect)
        notes += note
    return Table(columns, dialect, encoding, numbers, tuple(notes))


def _names_again(fields: Sequence[str], dialect: Dialect) -> bool:
    """Words in each column, of which one is a column's name."""
    words = all(field and parse_number(field, dialect) is None and not is_missing(field) for field in fields)
    return words and len({*fields}) == len(fields) > 1 and bool({*fields} & {*dialect.names})


def _rows(lines: Sequence[str], dialect: Dialect, path: str) -> tuple[list[str], NDArray[np.int64], list[str]]:
    """Lines with one row each, the numbers of these lines, and what was wrong with them.

    A row that has too few or too many values becomes a row of missing values, so that the next ones keep their place.

    Raises:
        DitmosError: a second table begins.
    """
    body = [(number, line) for number, line in enumerate(lines[dialect.first :], dialect.first + 1) if line.strip()]
    if any(mark in line for mark in COMMENT for _, line in body):
        body = [(number, line) for number, line in body if not is_comment(line)]
    if dialect.row_end:
        body = [(number, row) for number, line in body for row in line.split(";") if row.strip()]
    mark = dialect.separator
    # the line of names may stand again, where a logger began anew
    head = {line.strip() for line in lines[max(0, dialect.first - 3) : dialect.first]} if dialect.named else set()
    kept, numbers, wrong = [], [], []
    again = 0
    for number, line in body:
        quick = mark != " " and '"' not in line
        width = line.count(mark) + 1 if quick else len(split_line(line, mark))
        if line.strip() in head:
            again += 1
            continue
        if width == dialect.width and dialect.named and _names_again(split_line(line, mark), dialect):
            raise DitmosError(
                f"{path}: line {number} names other columns, {line.strip()[:60]}: a second table; give it its own file"
            )
        if quick and width == dialect.width + 1 and line.rstrip(" ").endswith(mark):  # each row ends in a separator
            line = line.rstrip(" ")[:-1]
        elif width > dialect.width and all(not f for f in split_line(line, mark)[dialect.width :]):
            line = mark.join(split_line(line, mark)[: dialect.width])
        elif width != dialect.width:
            wrong.append(number)
            line = (mark * (dialect.width - 1)) if mark != " " else " ".join(["nan"] * dialect.width)
        kept.append(line)
        numbers.append(number)
    notes = []
    if again:
        notes.append(f"the line of names stands {again} more times between the rows")
    if wrong and wrong[-1] == numbers[-1]:  # cut off at the end
        wrong.pop()
        kept.pop()
        numbers.pop()
        notes.append("the last row is cut off, and left out")
    if wrong:
        notes.append(f"{len(wrong)} rows have not {dialect.width} values, the first is line {wrong[0]}")
    return kept, np.array(numbers, np.int64), notes


def _parse(rows: list[str], dialect: Dialect, path: str) -> pandas.DataFrame:
    pandas = need("pandas", "files of text")
    options: dict[str, Any] = {
        "sep": r"\s+" if dialect.separator == " " else dialect.separator,
        "decimal": dialect.decimal,
    }
    try:
        return pandas.read_csv(
            io.StringIO("\n".join(rows) + "\n"),
            header=None,
            names=range(dialect.width),
            usecols=range(dialect.width),
            index_col=False,
            skipinitialspace=True,
            skip_blank_lines=False,
            keep_default_na=False,
            na_values=_MISSING,
            low_memory=False,
            **options,
        )
    except (ValueError, pandas.errors.ParserError) as error:
        raise DitmosError(f"{path}: {str(error).strip().splitlines()[-1]}") from None


def _column(series: pandas.Series, name: str, lines: NDArray[np.int64], dialect: Dialect) -> tuple[NDArray, list[str]]:
    """Numbers where most of the values are, else text."""
    if series.dtype.kind in "if":
        return series.to_numpy(), []
    if series.dtype.kind == "u":
        return series.to_numpy().astype(np.float64), []
    # A column with one word in it comes as text, its numbers as they are written; -1 is the code of nothing.
    codes, found = series.astype(object).factorize()
    words = [str(word).strip() for word in found]
    numbers = [parse_number(word, dialect) for word in words]
    missing = np.array([*map(is_missing, words), True])
    bad = np.array([number is None for number in numbers] + [True]) & ~missing
    notes = []
    strange = [word for word, wrong in zip(words, bad, strict=False) if wrong]
    if strange and dialect.thousands is None and (mark := grouping(strange, dialect.decimal)):
        grouped = replace(dialect, thousands=mark)
        numbers, bad = [parse_number(word, grouped) for word in words], np.zeros_like(bad)
        notes.append(f"column '{name}': thousands are apart by {mark!r}")
    wrong = bad[codes]
    if wrong.sum() >= max(1, (~missing[codes]).sum() / 2):
        return np.array([*words, ""], object)[codes], []
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        notes.append(
            f"column '{name}': {wrong.sum()} values are no numbers, the first is {words[codes[first]]!r} in line "
            f"{lines[first]}"
        )
    return np.array([*(np.nan if n is None else n for n in numbers), np.nan], np.float64)[codes], notes
