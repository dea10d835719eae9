"""Recordings from arrays in files: .npy, .npz, MATLAB's .mat, and datasets and takes of this project."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.dataset import SPLIT_NAMES, UNREADABLE, Dataset, load, one_or_each
from ditmos.datasets.importers.delimited import compact
from ditmos.datasets.importers.needs import need
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.pattern import SPLITS
from ditmos.datasets.importers.recording import Recording, Signal, name_of
from ditmos.datasets.importers.stamps import in_order, to_seconds
from ditmos.datasets.importers.timebase import spread_stamps
from ditmos.datasets.takes import Take, is_take, load_take
from ditmos.errors import DitmosError
from ditmos.model.conversion import plain

SUFFIXES = (".npy", ".npz", ".mat")
_RATES = ("fs", "rate", "sampling_rate", "sample_rate", "samplingrate", "samplerate", "srate", "fsample", "frequency")
_LABELS = ("y", "label", "labels", "target", "targets", "class")
_SUBJECTS = ("subject", "subjects", "person", "user")
_TIMES = ("t", "time", "times", "timestamp", "timestamps")
_NAMES = ("classes", "class_names", "label_names", "target_names", "categories")
_PARTS = "|".join(SPLITS)
_PART = re.compile(rf"(?:(?P<first>{_PARTS})[_-])?(?P<name>.+?)(?:[_-]?(?P<last>{_PARTS}))?", re.I)
_FEW = 16  # rows: a window has more, and a sensor fewer channels


def read(path: Path, options: Options) -> list[Recording]:
    """One recording of a table (rows, channels); one of each window of an array (windows, rows, channels), and of each
    table of a cell array.

    ``options.key`` names the variable; without it, it is the only one of that form, or the largest. Variables whose
    names differ in train and test, as x_train and x_test, are the parts of a split.

    Raises:
        DitmosError: not a readable file, or no such variable.
    """
    content = read_arrays(path)
    if is_take(list(content)):
        return [_take(load_take(path), path)]
    if {"tape", "samples", "times"} <= content.keys():
        return [_tape(content, path)]
    if {"x", "y", "class_names", "fs"} <= content.keys() and options.key is None:
        return _windows_of(load(path), str(path))
    parts = {} if options.key else _parts(content)
    if not parts:
        return _recordings(content, options.key, str(path), path)
    return [
        replace(recording, split=part)
        for part, own in parts.items()
        for recording in _recordings(own, None, f"{path}:{part}", path)
    ]


def _parts(content: Mapping[str, NDArray]) -> dict[str, dict[str, NDArray]]:
    """The variables of each part of a split, and those of all; empty where no names say so of two parts."""
    parts: dict[str, dict[str, NDArray]] = {}
    shared = {}
    for name, value in content.items():
        match = _PART.fullmatch(name)
        part = match and (match["first"] or match["last"])
        if match and part:
            parts.setdefault(SPLITS[part.lower()], {})[match["name"]] = value
        else:
            shared[name] = value
    for part in [part for part, own in parts.items() if all(value.size == 1 for value in own.values())]:
        shared = {**parts.pop(part), **shared}  # single numbers are none: an interval, a contest
    whole = len(parts) > 1 and all(any(_is_table(v) and v.ndim > 1 for v in own.values()) for own in parts.values())
    return {part: {**shared, **own} for part, own in parts.items()} if whole else {}


def _recordings(content: Mapping[str, NDArray], key: str | None, called: str, path: Path) -> list[Recording]:
    name = _choose(content, key, path)
    data = content[name]
    rate = _number(content, _RATES)
    notes = [f"variable {name}, {' x '.join(map(str, data.shape))}"]
    if data.ndim == 3:
        rows, width = data.shape[1:]
        if rows < width and (width > 64 or rows <= _FEW):
            data = data.transpose(0, 2, 1)
            notes.append("channels stand before the rows of a window: they were turned")
    if data.dtype == object or data.ndim == 3:
        several = [_upright(table)[0] for table in data.reshape(-1)] if data.dtype == object else data
        labels, subjects = _labels(content, len(several), path), _each(content, _SUBJECTS, len(several))
        return [
            _described(_recording(f"{called}[{i}]", one, rate, notes, labels[i], subjects[i]), content)
            for i, one in enumerate(several)
        ]
    data, turned = _upright(data)
    notes += turned
    labels = _labels(content, len(data), path)
    by_row = np.array([label or "" for label in labels], object) if any(labels) else None
    recording = _described(_recording(called, data, rate, notes, rows=by_row), content)
    return [recording if rate else _stamped(recording, content)]


def _described(recording: Recording, content: Mapping[str, NDArray]) -> Recording:
    """With the names, units and scale of its channels, where variables have them."""
    (signal,) = recording.signals
    width = len(signal.channels)
    for name, value in content.items():
        texts = [_text(item).strip() for item in value.reshape(-1)] if value.dtype.kind in "US" else []
        if _short(name) in ("channels", "channel_names") and len(texts) == len(set(texts)) == width and all(texts):
            signal = replace(signal, channels=tuple(texts))
        elif _short(name) == "units" and len(texts) in (1, width):
            signal = replace(signal, units=tuple(map(plain, texts if len(texts) == width else texts * width)))
        elif _short(name) == "scale" and value.dtype.kind in "iuf" and value.size in (1, width):
            scale = value.astype(np.float64).reshape(-1)
            if not (np.isfinite(scale).all() and scale.all()):
                raise DitmosError(f"{recording.path}: scale is {scale[0]:g}, expected real units per number")
            if signal.samples.dtype == np.int16:
                signal = replace(signal, scale=one_or_each(np.broadcast_to(scale, width).tolist()))
            else:
                signal = replace(signal, samples=signal.samples * scale)
    return replace(recording, signals=(signal,))


def _stamped(recording: Recording, content: Mapping[str, NDArray]) -> Recording:
    """With the time stamps of its rows, where a variable has them."""
    (signal,) = recording.signals
    found = [(n, v) for n, v in content.items() if _short(n) in _TIMES and v.size == len(signal.samples)]
    if not found or found[0][1].dtype.kind not in "iuf":
        return recording
    times, form = to_seconds(found[0][1].reshape(-1), found[0][0])
    order, times, note = in_order(times)
    labels = None if signal.labels is None else signal.labels[order]
    signal = replace(signal, samples=signal.samples[order], times=spread_stamps(times), labels=labels)
    notes = (*recording.notes, f"time stamps in {form}", *([note] if note else []))
    return replace(recording, signals=(signal,), notes=notes)


def _upright(data: NDArray) -> tuple[NDArray, list[str]]:
    """(rows, channels), and what was done."""
    if data.ndim == 1:
        return data[:, None], []
    if data.shape[0] < data.shape[1] and data.shape[1] > 64:
        return data.T, ["channels are its rows: it was turned"]
    return data, []


def read_arrays(path: Path) -> dict[str, NDArray]:
    """Arrays of a file by name. Raises DitmosError."""
    try:
        if path.suffix.lower() == ".npy":
            return {"array": np.load(path, allow_pickle=False)}
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        return _matlab(path)
    except NotImplementedError:
        raise DitmosError(f"{path}: MATLAB 7.3; save it there with -v7") from None
    except UNREADABLE as error:
        raise DitmosError(f"{path}: not readable ({error})") from None


def _matlab(path: Path) -> dict[str, NDArray]:
    matlab = need("scipy.io", "MATLAB files")
    try:
        found = {k: np.asarray(v) for k, v in matlab.loadmat(path).items() if not k.startswith("__")}
    except matlab.matlab.MatReadError as error:
        raise ValueError(str(error)) from None
    return dict(pair for name, value in found.items() for pair in _fields(name, value))


def _fields(name: str, value: NDArray) -> Iterator[tuple[str, NDArray]]:
    """A variable, or those of a structure as ``data.acc``; a cell array of texts as texts."""
    while value.dtype == object and value.size == 1:
        value = np.asarray(value.reshape(())[()])
    if value.dtype.names and value.size == 1:
        for field in value.dtype.names:
            yield from _fields(f"{name}.{field}", np.asarray(value.reshape(())[()][field]))
    elif value.dtype == object and value.size and all(np.asarray(v).dtype.kind == "U" for v in value.reshape(-1)):
        yield name, np.array(["".join(np.asarray(v).reshape(-1)) for v in value.reshape(-1)])
    else:
        yield name, value


def _short(name: str) -> str:
    """As a structure calls it."""
    return name.rpartition(".")[2].lower()


def _is_table(value: NDArray) -> bool:
    """Numbers, or a cell array of such."""
    if value.dtype == object:
        cells = [np.asarray(cell) for cell in value.reshape(-1)]
        return bool(cells) and all(c.dtype.kind in "iuf" and 1 <= c.ndim <= 2 and c.size > 1 for c in cells)
    return value.dtype.kind in "iuf" and 1 <= value.ndim <= 3 and value.size > 1


def _choose(content: Mapping[str, NDArray], key: str | None, path: Path) -> str:
    if key is not None:
        if key not in content:
            raise DitmosError(f"{path}: no variable '{key}', expected one of {', '.join(content)}")
        if not _is_table(content[key]):
            raise DitmosError(
                f"{path}: {key} is {content[key].dtype} {content[key].shape}, expected a table of numbers"
            )
        return key
    fit = {n: _values(v) for n, v in content.items() if _is_table(v)}
    fit = {n: count for n, count in fit.items() if _short(n) not in (*_LABELS, *_SUBJECTS, *_RATES, *_TIMES)}
    if not fit:
        raise DitmosError(f"{path}: no table of numbers among {', '.join(content) or 'nothing'}")
    largest = max(fit, key=fit.__getitem__)
    if sum(count > fit[largest] / 4 for count in fit.values()) > 1:
        raise DitmosError(f"{path}: more than one table: {', '.join(fit)}; choose one with --key")
    return largest


def _values(table: NDArray) -> int:
    return sum(np.asarray(cell).size for cell in table.reshape(-1)) if table.dtype == object else table.size


def _number(content: Mapping[str, NDArray], names: tuple[str, ...]) -> float | None:
    for name, value in content.items():
        if _short(name) in names and value.size == 1 and value.dtype.kind in "iuf" and float(value.reshape(())) > 0:
            return float(value.reshape(()))
    return None


def _each(content: Mapping[str, NDArray], names: tuple[str, ...], count: int) -> list[str | None]:
    """Names of a variable that has one for each window or row, else None. A row of zeros with a single one stands for
    its place."""
    for name, value in content.items():
        flat = value.reshape(-1) if value.size == count else np.squeeze(value)
        if _short(name) not in names or flat.ndim == 0 or len(flat) != count:
            continue
        if flat.ndim == 2 and flat.dtype.kind in "iufb" and np.isin(flat, (0, 1)).all() and (flat.sum(1) == 1).all():
            flat = flat.argmax(1)
        if flat.ndim == 1 and flat.dtype.kind in "USiufb":
            return [_text(item) for item in flat]
    return [None] * count


def _text(item: Any) -> str:
    if isinstance(item, bytes):
        return item.decode("utf-8", "replace")
    return str(item) if isinstance(item, str) else name_of(item)


def _labels(content: Mapping[str, NDArray], count: int, path: Path) -> list[str | None]:
    """Labels, by the names of the classes where the file has these and the labels are their numbers: from 1 in a file
    of MATLAB and where the last number says so, else from 0."""
    labels = _each(content, _LABELS, count)
    for name, value in content.items():
        called = np.squeeze(value)
        if _short(name) in _NAMES and called.ndim == 1 and called.dtype.kind in "US":
            from_1 = "0" not in labels and (str(len(called)) in labels or path.suffix.lower() == ".mat")
            numbers = {str(i): _text(item) for i, item in enumerate(called, int(from_1))}
            if {*labels} <= numbers.keys():
                return [numbers[label] for label in labels if label is not None]
    return labels


def _recording(
    path: str,
    data: NDArray,
    rate: float | None,
    notes: list[str],
    label: str | None = None,
    subject: str | None = None,
    rows: NDArray | None = None,
) -> Recording:
    width = data.shape[1]
    names = tuple(str(i + 1) for i in range(width))
    signal = Signal(compact(data), names, ("",) * width, rate=rate, labels=rows)
    return Recording(path, "array", (signal,), label=label, subject=subject, notes=tuple(notes))


def _take(take: Take, path: Path) -> Recording:
    """A take of `ditmos record`, at the rate that the board measured where it is not the sensor's."""
    said = take.signal
    units = (said.units,) * len(said.channels) if isinstance(said.units, str) else said.units
    rate = take.rate if take.slow else said.rate
    signal = Signal(take.samples, said.channels, units, rate=rate, scale=said.scale)
    return Recording(str(path), "take", (signal,), label=take.label, subject=str(take.subject), take=path.stem)


def _tape(content: Mapping[str, NDArray], path: Path) -> Recording:
    """The samples of what ``ditmos stream --record`` wrote."""
    try:
        rate = json.loads(str(content["tape"]))["rate"]
    except (ValueError, LookupError, TypeError):
        raise DitmosError(f"{path}: not a recorded stream") from None
    samples = content["samples"]
    if samples.ndim != 2 or samples.dtype.kind not in "iuf":
        raise DitmosError(f"{path}: samples are {samples.dtype} {samples.shape}, expected a table of numbers")
    known = rate if isinstance(rate, int | float) and rate > 0 else None
    return _recording(str(path), samples, known, [f"a recorded stream of {len(samples)} rows"])


def _windows_of(dataset: Dataset, path: str) -> list[Recording]:
    """A dataset's windows, each a recording of its own; those of one group keep together."""
    scale = dataset.scale if dataset.x.dtype == np.int16 else None
    x = dataset.x if scale is not None else dataset.values()
    units = dataset.channel_units
    return [
        Recording(
            path,
            "dataset",
            (Signal(window, dataset.channels, units, rate=dataset.fs, scale=scale),),
            label=dataset.class_names[dataset.y[i]],
            subject=str(dataset.subject[i]),
            take=f"{path}:{dataset.group[i]}",
            split=None if dataset.split is None else SPLIT_NAMES[dataset.split[i]],
            notes=(f"a dataset of {len(dataset)} windows",),
        )
        for i, window in enumerate(x)
    ]
