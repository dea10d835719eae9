"""Where samples come from: a dataset, a recorded stream, text of numbers, a function, a sensor on the host's side."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets import load
from ditmos.errors import DitmosError
from ditmos.link.tape import Tape

_LINES = 64  # of text in a block, when they come from a file


@dataclass(frozen=True)
class Source:
    """Blocks of samples (rows, channels) of one type.

    window: rows of a window where the source has windows, which are then streamed whole unless a hop is asked for.
    fs: rows per second, where known. labels: of whole windows, where known. scale: real units per unit of a raw sample,
    where known.
    """

    blocks: Iterable[NDArray]
    dtype: np.dtype
    window: int | None = None
    fs: float | None = None
    labels: NDArray[np.int64] | None = None
    scale: float | None = None


def open_source(text: str, count: int | None = None) -> Source:
    """``FILE.npz`` (a dataset, or what ``ditmos stream --record`` wrote), ``FILE.csv``, ``-`` for the same on stdin, or
    ``module:function``, which returns an iterable of blocks. ``count``: of windows, or of rows of text, at most.

    Lines of text are one row each, values apart by commas, semicolons or blanks; a line of names may come first. Whole
    numbers are raw samples (int16), others are real units.

    Raises:
        DitmosError: no such source, or not what it is said to be.
    """
    if text == "-":
        return _text(sys.stdin, "stdin", count, 1)
    path = Path(text)
    if path.suffix == ".npz":
        if Tape.is_tape(path):
            tape = Tape.load(path)
            return Source([tape.samples], tape.samples.dtype, fs=tape.rate)
        dataset = load(path)
        x = dataset.x[:count]
        raw = x.dtype == np.int16
        x = x if raw else x * np.float32(dataset.scale)
        return Source(x, x.dtype, dataset.window, dataset.fs, dataset.y[:count], dataset.scale if raw else None)
    if path.suffix in (".csv", ".txt"):
        try:
            return _text(path.open(), text, count, _LINES)
        except OSError as error:
            raise DitmosError(f"{text}: cannot be read ({error.strerror})") from None
    module, colon, name = text.partition(":")
    if colon and module and name.isidentifier():
        return _function(module, name, text)
    raise DitmosError(f"source is {text!r}, expected FILE.npz, FILE.csv, -, or module:function")


def _numbers(line: str) -> list[float]:
    return [float(value) for value in line.replace(",", " ").replace(";", " ").split()]


def _text(file: TextIO, name: str, count: int | None, lines: int) -> Source:
    """Looks at the first row of numbers to know the type."""
    rows = (line for line in file if line.strip())
    first = next(rows, "")
    try:
        head = _numbers(first)
    except ValueError:  # a line of names
        first = next(rows, "")
        try:
            head = _numbers(first)
        except ValueError:
            raise DitmosError(f"{name}: {first.strip()[:40]!r} is no row of numbers") from None
    if not head:
        raise DitmosError(f"{name}: no row of numbers")
    whole = not any(c in first for c in ".eE")
    dtype = np.dtype(np.int16 if whole else np.float32)

    def blocks() -> Iterator[NDArray]:
        number = 0
        left = islice(chain([first], rows), count)
        while block := list(islice(left, lines)):
            table = []
            for line in block:
                number += 1
                try:
                    table.append(_numbers(line))
                except ValueError:
                    raise DitmosError(f"{name}: row {number}: {line.strip()[:40]!r} is no row of numbers") from None
                if len(table[-1]) != len(head):
                    raise DitmosError(f"{name}: row {number} has {len(table[-1])} values, expected {len(head)}")
            values = np.array(table)
            if whole and not (np.abs(values) <= 32767).all():
                raise DitmosError(f"{name}: rows {number - len(block) + 1} to {number}: raw samples exceed 16 bits")
            yield values.astype(dtype)

    return Source(blocks(), dtype)


def _function(module: str, name: str, text: str) -> Source:
    sys.path.insert(0, "")
    try:
        made = iter(getattr(import_module(module), name)())
        first = np.atleast_2d(np.asarray(next(made)))
    except (ImportError, AttributeError) as error:
        raise DitmosError(f"source {text}: {error}") from None
    except StopIteration:
        raise DitmosError(f"source {text}: it is empty") from None
    finally:
        sys.path.pop(0)
    dtype = first.dtype if first.dtype in (np.int8, np.int16) else np.dtype(np.float32)
    return Source((np.atleast_2d(np.asarray(block)).astype(dtype) for block in chain([first], made)), dtype)
