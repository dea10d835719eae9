"""Where samples come from: a dataset, a recorded stream, any file that the importer reads, stdin, a function."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain
from pathlib import Path
from traceback import extract_tb
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets import load
from ditmos.datasets.importers.dialect import Dialect, is_comment, parse_number, sniff, split_line
from ditmos.datasets.importers.find import readers
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.timebase import rate_of
from ditmos.errors import DitmosError
from ditmos.link.tape import Tape
from ditmos.model.signal import Signal

_ROWS = 64  # in a block, of files
_HEAD = 400  # lines of stdin in which the first row of numbers must come


@dataclass(frozen=True)
class Source:
    """Blocks of samples (rows, channels) of one type.

    window: rows of a window where the source has windows, which are then streamed whole unless a hop is asked for.
    fs: rows per second, where known. labels: of whole windows, where known. scale: real units per unit of a raw sample,
    one or one a channel, where known. channels, units: one a channel, where known. live: rows may be made
    as time passes. notes: what was guessed or left out.
    """

    blocks: Iterable[NDArray]
    dtype: np.dtype
    window: int | None = None
    fs: float | None = None
    labels: NDArray[np.int64] | None = None
    scale: float | tuple[float, ...] | None = None
    channels: tuple[str, ...] | None = None
    units: tuple[str, ...] | None = None
    live: bool = False
    notes: tuple[str, ...] = field(default=())
    class_names: tuple[str, ...] = field(default=())

    @property
    def signal(self) -> Signal:
        """What is known of the samples, for `ditmos.model.signal.fit`."""
        channels = self.channels or ()
        scale = self.scale if self.scale is not None else ()
        scales = (scale,) * len(channels) if isinstance(scale, float) else scale
        return Signal(self.class_names, channels, self.units or (), scales, self.fs or 0.0)


def open_source(text: str, count: int | None = None) -> Source:
    """``FILE.npz`` (a dataset, or what ``ditmos stream --record`` wrote), any other file that ``ditmos data import``
    reads, ``-`` for lines of numbers on stdin, or ``module:function``, which returns an iterable of blocks. ``count``:
    of windows, or of rows, at most.

    Whole numbers are raw samples (int16), others are real units. Of a file all rows decide; of a function and of stdin
    the first: a fraction after whole numbers is refused.

    Raises:
        DitmosError: no such source, not what it is said to be, or values that are missing, not finite, or do not fit.
    """
    if text == "-":
        return _lines(sys.stdin, "stdin", count)
    path = Path(text)
    if path.suffix.lower() == ".npz" and path.is_file():
        if Tape.is_tape(path):
            tape = Tape.load(path)
            return Source([tape.samples], tape.samples.dtype, fs=tape.rate)
        return _dataset(path, count)
    known = readers()
    if path.suffix.lower() in known and (path.exists() or ":" not in text):
        return _file(path, count)
    module, colon, name = text.partition(":")
    if colon and module and name.isidentifier():
        return _function(module, name, text, count)
    raise DitmosError(f"source is {text!r}, expected a file ({', '.join(sorted(known))}), -, or module:function")


def _dataset(path: Path, count: int | None) -> Source:
    dataset = load(path)
    x = dataset.x[:count]
    raw = x.dtype == np.int16
    x = x if raw else dataset.values(slice(count))
    scale = dataset.scale if raw else None
    units = dataset.channel_units if dataset.units else None
    labels, names = dataset.y[:count], dataset.class_names
    return Source(x, x.dtype, dataset.window, dataset.fs, labels, scale, dataset.channels, units, class_names=names)


def _file(path: Path, count: int | None) -> Source:
    if not path.is_file():
        raise DitmosError(f"{path}: no such file")
    recordings = readers()[path.suffix.lower()](path, Options())
    if len(recordings) != 1 or len(recordings[0].signals) != 1:
        held = f"{len(recordings)} recordings" if len(recordings) != 1 else f"{len(recordings[0].signals)} signals"
        raise DitmosError(f"{path}: it holds {held}; put them on one clock first: ditmos data import")
    (signal,) = recordings[0].signals
    samples = signal.samples[:count]
    bad = np.flatnonzero(~np.isfinite(samples).all(1))
    if bad.size:
        raise DitmosError(
            f"{path}: {bad.size} of {len(samples)} rows are not finite, the first is row {bad[0] + 1}; leave them out, "
            "or fill them in"
        )
    samples = _typed(samples, str(path))
    return Source(
        (samples[i : i + _ROWS] for i in range(0, len(samples), _ROWS)),
        samples.dtype,
        fs=rate_of(signal),
        scale=signal.scale if samples.dtype == np.int16 else None,
        channels=signal.channels if any(not name.isdigit() for name in signal.channels) else None,
        units=signal.units if all(signal.units) else None,
        notes=recordings[0].notes,
    )


def _typed(samples: NDArray, name: str) -> NDArray:
    """Whole numbers as int16, others as float32. Raises DitmosError where they do not fit."""
    if samples.dtype.kind in "iub":
        if samples.size and (samples.min() < -32768 or samples.max() > 32767):
            raise DitmosError(
                f"{name}: whole numbers are raw samples, and some exceed 16 bits; write real units as 1.0"
            )
        return samples if samples.dtype == np.int8 else samples.astype(np.int16)
    if samples.dtype.kind != "f":
        raise DitmosError(f"{name}: samples are {samples.dtype}, expected numbers")
    with np.errstate(over="ignore"):
        small = samples.astype(np.float32)
    if not np.isfinite(small).all():
        raise DitmosError(f"{name}: a sample is not finite, or beyond float32")
    return small


def _like_the_first(blocks: Iterator[NDArray], name: str) -> tuple[Iterator[NDArray], NDArray]:
    """The blocks, all of the first one's type and width, and the first. Raises DitmosError for none, and, as they come,
    for one that is unlike."""
    first = next(blocks, None)
    if first is None:
        raise DitmosError(f"{name}: it is empty")

    def checked() -> Iterator[NDArray]:
        row = 1
        for block in chain([first], blocks):
            if block.shape[1] != first.shape[1]:
                raise DitmosError(f"{name}: row {row} has {block.shape[1]} values, expected {first.shape[1]}")
            if block.dtype != first.dtype and first.dtype.kind != "f":
                raise DitmosError(
                    f"{name}: row {row} has a fraction, row 1 had whole numbers, which are raw samples; write 1 as 1.0"
                )
            yield block.astype(first.dtype)
            row += len(block)

    return checked(), first


def _lines(file: TextIO, name: str, count: int | None) -> Source:
    """Rows of text as they come, in the form of the first one."""
    lines = _decoded(file, name)
    head: list[str] = []
    dialect: Dialect | None = None
    for line in lines:
        head.append(line.lstrip("\ufeff"))
        try:
            dialect = sniff(head, name)
            break
        except DitmosError:
            if len(head) >= _HEAD:
                raise
    if dialect is None:
        raise DitmosError(f"{name}: no row of numbers")
    form = dialect

    def rows() -> Iterator[NDArray]:
        number = 0
        for line in chain(head[form.first :], lines):
            if not line.strip() or is_comment(line):
                continue
            number += 1
            if count is not None and number > count:
                return
            text = line.strip().rstrip(";") if form.row_end else line.strip()
            values = [parse_number(value, form) for value in split_line(text, form.separator)[: form.width]]
            if len(values) != form.width or None in values:
                raise DitmosError(f"{name}: row {number}: {line.strip()[:40]!r} is no row of {form.width} numbers")
            yield _typed(np.array([values]), f"{name}: row {number}")

    blocks, first = _like_the_first(rows(), name)
    return Source(blocks, first.dtype, channels=form.names if form.named else None, live=True)


def _decoded(file: TextIO, name: str) -> Iterator[str]:
    try:
        yield from file
    except UnicodeDecodeError as error:
        raise DitmosError(f"{name}: not {error.encoding} text") from None


def _function(module: str, name: str, text: str, count: int | None) -> Source:
    sys.path.insert(0, "")
    try:
        made = iter(getattr(import_module(module), name)())
    except Exception as error:  # whatever the user's module raises
        raise DitmosError(f"source {text}: {_where(error)}") from None
    finally:
        sys.path.pop(0)
    blocks, first = _like_the_first(_arrays(made, f"source {text}", count), f"source {text}")
    return Source(blocks, first.dtype, live=True)


def _arrays(made: Iterator[object], name: str, count: int | None) -> Iterator[NDArray]:
    """What a function yields as blocks (rows, channels), ``count`` rows at most."""
    left, number = count, 0
    while left is None or left > 0:
        number += 1
        try:
            block = next(made)
        except StopIteration:
            return
        except DitmosError:
            raise
        except Exception as error:  # whatever the user's function raises
            raise DitmosError(f"{name}: {_where(error)}") from None
        try:
            array = np.atleast_2d(np.asarray(block))[:left]
        except ValueError:
            raise DitmosError(f"{name}: block {number} has rows of unlike length") from None
        if array.ndim != 2:
            raise DitmosError(f"{name}: block {number} has shape {array.shape}, expected (rows, channels)")
        left = None if left is None else left - len(array)
        yield _typed(array, f"{name}: block {number}")


def _where(error: Exception) -> str:
    """An error in the user's code in one line, with the place."""
    place = ""
    if error.__traceback__ and (frames := extract_tb(error.__traceback__)) and "ditmos" not in frames[-1].filename:
        place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
    return f"{type(error).__name__}: {' '.join(str(error).split())}{place}"
