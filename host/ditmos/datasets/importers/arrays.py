"""Recordings from arrays in files: .npy, .npz, MATLAB's .mat, and datasets and takes of this project."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.dataset import UNREADABLE, Dataset, load
from ditmos.datasets.importers.delimited import compact
from ditmos.datasets.importers.needs import need
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording, Signal
from ditmos.datasets.takes import Take, is_take, load_take
from ditmos.errors import DitmosError

SUFFIXES = (".npy", ".npz", ".mat")
_RATES = ("fs", "rate", "sampling_rate", "sample_rate", "srate", "frequency")
_LABELS = ("y", "label", "labels", "target", "targets", "class")
_SUBJECTS = ("subject", "subjects", "person", "user")


def read(path: Path, options: Options) -> list[Recording]:
    """One recording of a table (rows, channels); one of each window of an array (windows, rows, channels).

    ``options.key`` names the variable; without it, it is the only one of that form, or the largest.

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
    name = _choose(content, options.key, path)
    data = content[name]
    rate = _number(content, _RATES)
    notes = [f"variable {name}, {' x '.join(map(str, data.shape))}"]
    if data.ndim == 3:
        labels, subjects = _each(content, _LABELS, len(data)), _each(content, _SUBJECTS, len(data))
        return [
            _recording(f"{path}[{i}]", window, rate, notes, labels[i], subjects[i]) for i, window in enumerate(data)
        ]
    if data.ndim == 1:
        data = data[:, None]
    if data.shape[0] < data.shape[1] and data.shape[1] > 64:
        data = data.T
        notes.append("channels are its rows: it was turned")
    labels = _each(content, _LABELS, len(data))
    rows = np.array([label or "" for label in labels], object) if any(labels) else None
    return [_recording(str(path), data, rate, notes, rows=rows)]


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
        return {k: np.asarray(v) for k, v in matlab.loadmat(path).items() if not k.startswith("__")}
    except matlab.matlab.MatReadError as error:
        raise ValueError(str(error)) from None


def _choose(content: Mapping[str, NDArray], key: str | None, path: Path) -> str:
    if key is not None:
        if key not in content:
            raise DitmosError(f"{path}: no variable '{key}', expected one of {', '.join(content)}")
        if content[key].dtype.kind not in "iuf" or not 1 <= content[key].ndim <= 3:
            raise DitmosError(
                f"{path}: {key} is {content[key].dtype} {content[key].shape}, expected a table of numbers"
            )
        return key
    fit = {n: v for n, v in content.items() if v.dtype.kind in "iuf" and 1 <= v.ndim <= 3 and v.size > 1}
    fit = {n: v for n, v in fit.items() if n.lower() not in (*_LABELS, *_SUBJECTS, *_RATES)}
    if not fit:
        raise DitmosError(f"{path}: no table of numbers among {', '.join(content) or 'nothing'}")
    largest = max(fit, key=lambda n: fit[n].size)
    if sum(v.size > fit[largest].size / 4 for v in fit.values()) > 1:
        raise DitmosError(f"{path}: more than one table: {', '.join(fit)}; choose one with --key")
    return largest


def _number(content: Mapping[str, NDArray], names: tuple[str, ...]) -> float | None:
    for name, value in content.items():
        if name.lower() in names and value.size == 1 and value.dtype.kind in "iuf" and float(value.reshape(())) > 0:
            return float(value.reshape(()))
    return None


def _each(content: Mapping[str, NDArray], names: tuple[str, ...], count: int) -> list[str | None]:
    """Names of a variable that has one for each window or row, else None."""
    for name, value in content.items():
        flat = np.squeeze(value)
        if name.lower() in names and flat.shape == (count,):
            return [str(item) if flat.dtype.kind in "US" else f"{item:g}" for item in flat]
    return [None] * count


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
            notes=(f"a dataset of {len(dataset)} windows",),
        )
        for i, window in enumerate(x)
    ]
