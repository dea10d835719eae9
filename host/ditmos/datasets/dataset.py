"""The `Dataset` and its file: an `.npz` that anyone's recordings can be put into (docs/architecture.md)."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos import atomic
from ditmos.errors import DitmosError
from ditmos.model.signal import Signal, each_unit

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLIT_NAMES = ("train", "validation", "test")

_REQUIRED = ("x", "scale", "units", "fs", "y", "subject", "group", "class_names", "channels")
# What numpy, scipy and zipfile raise on damaged files.
UNREADABLE: tuple[type[Exception], ...] = (
    OSError,
    ValueError,
    EOFError,
    LookupError,
    RuntimeError,
    MemoryError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    AttributeError,
    TypeError,
    SyntaxError,
    TokenError,
)


@dataclass(frozen=True)
class Dataset:
    """Windows of one set; see `check` for what is required of them.

    x: (N, time, channels) int16 or float32, in units of ``scale``: ``x * scale`` is in ``units``.
    scale: one for all channels, or one a channel. units: the same, apart by commas. fs: rows per second.
    y, subject, group: (N,) class index, person, and the recording that a window was cut from.
    split: (N,) TRAIN, VALIDATION, TEST, or None where the set has no split of its own.
    """

    x: NDArray
    y: NDArray[np.int64]
    subject: NDArray[np.int64]
    group: NDArray[np.int64]
    class_names: tuple[str, ...]
    channels: tuple[str, ...]
    scale: float | tuple[float, ...]
    units: str
    fs: float
    split: NDArray[np.int8] | None = None
    name: str = "dataset"

    def __len__(self) -> int:
        return len(self.x)

    @property
    def window(self) -> int:
        """Rows of one window."""
        return self.x.shape[1]

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def signal(self) -> Signal:
        """What a model made of these windows says that it takes."""
        return Signal.of(self.class_names, self.channels, self.channel_units, self.scale, self.fs)

    @property
    def scales(self) -> NDArray[np.float64]:
        """(channels,) real units of a step of each channel."""
        return np.broadcast_to(np.asarray(self.scale, np.float64), len(self.channels))

    @property
    def channel_units(self) -> tuple[str, ...]:
        """The unit of each channel."""
        return each_unit(self.units, self.channels)

    def part(self, which: int) -> NDArray[np.int64]:
        """Indices of the windows in TRAIN, VALIDATION or TEST. Raises DitmosError without a split."""
        if self.split is None:
            raise DitmosError(f"{self.name}: it has no split; `ditmos data split` writes the one that training makes")
        return np.flatnonzero(self.split == which)

    def real(self, index: NDArray[np.integer] | Sequence[int] | slice = slice(None)) -> NDArray[np.float32]:
        """Windows in ``units`` as the networks read them: float32 (n, channels, time)."""
        return np.ascontiguousarray(self.values(index).transpose(0, 2, 1))

    def values(self, index: NDArray[np.integer] | Sequence[int] | slice = slice(None)) -> NDArray[np.float32]:
        """Windows in ``units``: float32 (n, time, channels)."""
        return self.x[index].astype(np.float32) * self.scales.astype(np.float32)

    @cached_property
    def sha256(self) -> str:
        """Hash of windows, labels and scale: which data an artefact was made from."""
        digest = hashlib.sha256(repr((self.x.shape, str(self.x.dtype), self.scale, self.class_names)).encode())
        for array in (self.x, self.y, self.subject, self.group):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def check(self) -> Dataset:
        """Return self, or raise DitmosError naming what is wrong."""

        def need(ok: bool, what: str) -> None:
            if not ok:
                raise DitmosError(f"{self.name}: {what}")

        x = self.x
        need(x.ndim == 3, f"x has shape {x.shape}, expected (windows, time, channels)")
        count = len(x)
        need(min(x.shape) > 0, f"x has shape {x.shape}, expected no empty axis")
        need(x.dtype in (np.int16, np.float32), f"x has type {x.dtype}, expected int16 or float32")
        if x.dtype == np.float32:
            bad = np.flatnonzero(~np.isfinite(x).all(axis=(1, 2)))
            need(bad.size == 0, f"x has NaN or infinity in {bad.size} windows, the first is {bad[:1]}")
        for field in ("y", "subject", "group"):
            shape = getattr(self, field).shape
            need(shape == (count,), f"{field} has shape {shape}, expected ({count},), one value per window of x")
        need(len(self.class_names) >= 1, "class_names is empty")
        need(len(set(self.class_names)) == self.classes, "class_names has a name twice")
        wrong = np.flatnonzero((self.y < 0) | (self.y >= self.classes))
        if wrong.size:
            need(False, f"y[{wrong[0]}] is {self.y[wrong[0]]}, expected 0 to {self.classes - 1} (class_names)")
        need(
            len(self.channels) == x.shape[2], f"{len(self.channels)} channels are named, expected {x.shape[2]} as in x"
        )
        scale = np.atleast_1d(np.asarray(self.scale, np.float64))
        need(scale.shape in ((1,), (x.shape[2],)), f"scale has {scale.size} numbers, expected 1 or {x.shape[2]}")
        need(bool((np.isfinite(scale) & (scale > 0)).all()), f"scale is {self.scale}, expected positive numbers")
        need(np.isfinite(self.fs) and self.fs > 0, f"fs is {self.fs}, expected a positive number of Hz")
        if self.split is not None:
            split = self.split
            need(split.shape == (count,), f"split has shape {split.shape}, expected ({count},)")
            wrong = np.flatnonzero((split < TRAIN) | (split > TEST))
            if wrong.size:
                need(False, f"split[{wrong[0]}] is {split[wrong[0]]}, expected 0 train, 1 validation or 2 test")
            need(bool((split == TRAIN).any()), "split has no training window (0)")
            group = straddling(self.group, split)
            need(group is None, f"group {group} lies on both sides of the split, expected every group on one side")
        return self

    def with_channels(self, index: Sequence[int]) -> Dataset:
        """Some of the channels, in that order."""
        return replace(
            self,
            x=np.ascontiguousarray(self.x[:, :, list(index)]),
            channels=tuple(self.channels[i] for i in index),
            units=join_units([self.channel_units[i] for i in index]),
            scale=one_or_each(self.scales[list(index)].tolist()),
        )

    def with_split(self, split: NDArray[np.int8]) -> Dataset:
        return replace(self, split=np.asarray(split, np.int8))


def join_units(units: Sequence[str]) -> str:
    """As `Dataset.units` says them: one for all, or one a channel."""
    return units[0] if len(set(units)) == 1 else ", ".join(units)


def one_or_each(scales: Sequence[float]) -> float | tuple[float, ...]:
    """As `Dataset.scale` says them: one for all channels where they are the same, or one a channel."""
    return float(scales[0]) if len(set(scales)) == 1 else tuple(map(float, scales))


def straddling(group: NDArray, split: NDArray) -> int | None:
    """A group with windows in more than one part, or None."""
    groups, inverse = np.unique(group, return_inverse=True)
    low, high = np.full(len(groups), 127), np.full(len(groups), -128)
    np.minimum.at(low, inverse, split)
    np.maximum.at(high, inverse, split)
    both = np.flatnonzero(low != high)
    return int(groups[both[0]]) if both.size else None


def load(path: str | Path) -> Dataset:
    """Read and check an `.npz`; what other programs write otherwise (float64, labels and people as text) is converted.

    Raises:
        DitmosError: no such file, not an npz, a key is missing, or `Dataset.check` finds something.
    """
    path = Path(path)
    if not path.is_file():
        raise DitmosError(f"{path}: no such file, expected a dataset (.npz)")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in _REQUIRED if key not in archive.files]
            if missing:
                raise DitmosError(f"{path}: {', '.join(missing)} missing, expected the keys {', '.join(_REQUIRED)}")
            arrays = {key: _array(archive, key, path) for key in (*_REQUIRED, "split") if key in archive.files}
    except UNREADABLE as error:
        raise DitmosError(f"{path}: not a readable .npz ({error})") from None
    names = _strings(arrays, "class_names", path)
    x = _samples(arrays["x"], path)
    units = _strings(arrays, "units", path)
    if len(units) not in (1, x.shape[-1] if x.ndim == 3 else 1):
        raise DitmosError(f"{path}: units has {len(units)} entries, expected one, or one a channel")
    return Dataset(
        x=x,
        y=_classes(arrays["y"], names, path),
        subject=_numbered(arrays, "subject", path),
        group=_numbered(arrays, "group", path),
        class_names=names,
        channels=_strings(arrays, "channels", path),
        scale=_scale(arrays["scale"], x, path),
        units=join_units(units),
        fs=_number(arrays["fs"], "fs", path),
        split=_integers(arrays["split"], "split", path).clip(-1, 3).astype(np.int8) if "split" in arrays else None,
        name=path.stem,
    ).check()


def _array(archive: np.lib.npyio.NpzFile, key: str, path: Path) -> NDArray:
    try:
        return archive[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DitmosError(
            f"{path}: {key} is an array of Python objects, save it as np.array({key}, dtype=str)"
        ) from None


def _samples(x: NDArray, path: Path) -> NDArray:
    """int16 where whole numbers fit, else float32 where that changes nothing but the last digits."""
    if x.dtype in (np.int16, np.float32) or x.dtype.kind not in "iuf" or not x.size:
        return x
    if x.dtype.kind in "iu":
        if x.min() >= -32768 and x.max() <= 32767:
            return x.astype(np.int16)
        if max(abs(int(x.min())), abs(int(x.max()))) > 2**24:
            raise DitmosError(f"{path}: x has whole numbers beyond 24 bits, which float32 would round; scale them")
    with np.errstate(over="ignore"):
        small = x.astype(np.float32)
    if np.isfinite(x).all() and not np.isfinite(small).all():
        raise DitmosError(f"{path}: x has numbers beyond float32")
    return small


def _integers(value: NDArray, key: str, path: Path) -> NDArray[np.int64]:
    if value.dtype.kind == "f" and np.isfinite(value).all() and (value == np.rint(value)).all():
        return value.astype(np.int64)
    if value.dtype.kind not in "iub":
        raise DitmosError(f"{path}: {key} has type {value.dtype}, expected whole numbers")
    return value.astype(np.int64)


def _classes(y: NDArray, names: tuple[str, ...], path: Path) -> NDArray[np.int64]:
    """Indices, from indices or from names."""
    if y.dtype.kind not in "US":
        return _integers(y, "y", path)
    text = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in y.reshape(-1)]
    unknown = sorted({*text} - {*names})
    if unknown:
        raise DitmosError(f"{path}: y has {unknown[0]!r}, expected one of class_names: {', '.join(names)}")
    return np.array([names.index(item) for item in text], np.int64).reshape(y.shape)


def _numbered(arrays: dict[str, NDArray], key: str, path: Path) -> NDArray[np.int64]:
    """Whole numbers; names are numbered in the order of the alphabet."""
    value = arrays[key]
    if value.dtype.kind in "US":
        return np.unique(value, return_inverse=True)[1].reshape(value.shape).astype(np.int64)
    return _integers(value, key, path)


def _scale(scale: NDArray, x: NDArray, path: Path) -> float | tuple[float, ...]:
    """One for all channels, or one a channel."""
    if scale.size == 1 or x.ndim != 3:
        return _number(scale, "scale", path)
    if scale.shape != (x.shape[2],) or scale.dtype.kind not in "iuf":
        raise DitmosError(
            f"{path}: scale has shape {scale.shape} and type {scale.dtype}, expected one, or one a channel"
        )
    return one_or_each(scale.tolist())


def _number(value: NDArray, key: str, path: Path) -> float:
    if value.size != 1 or value.dtype.kind not in "iuf":
        raise DitmosError(f"{path}: {key} has shape {value.shape} and type {value.dtype}, expected one number")
    return float(value.reshape(())[()])


def _strings(arrays: dict[str, NDArray], key: str, path: Path) -> tuple[str, ...]:
    value = np.atleast_1d(arrays[key])
    if value.dtype.kind == "S":
        return tuple(item.decode("utf-8", "replace") for item in value.reshape(-1))
    if value.dtype.kind != "U":
        raise DitmosError(f"{path}: {key} has type {value.dtype}, expected strings")
    if not value.size:
        raise DitmosError(f"{path}: {key} is empty, expected {'a string' if key == 'units' else 'names'}")
    return tuple(str(item) for item in value.reshape(-1))


def save(dataset: Dataset, path: str | Path) -> Path:
    """Check and write an `.npz`; the old file stays until the new one is complete."""
    dataset.check()
    path = Path(path)
    arrays: dict[str, Any] = {
        "x": dataset.x,
        "scale": np.asarray(dataset.scale, np.float64),
        "units": np.str_(dataset.units),
        "fs": np.float64(dataset.fs),
        "y": dataset.y.astype(np.int16 if dataset.classes < 2**15 else np.int64),
        "subject": dataset.subject,
        "group": dataset.group,
        "class_names": np.array(dataset.class_names),
        "channels": np.array(dataset.channels),
    }
    if dataset.split is not None:
        arrays["split"] = dataset.split
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    atomic.write(path, buffer.getvalue())
    return path
