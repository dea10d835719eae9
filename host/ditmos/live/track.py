"""A track: a continuous signal, and when what happens in it. Its files.

`.npz` with `x` (time, channels) int16 or float32, `scale`, `units`, `fs`, `channels`, `class_names`; `start`, `end`
(n,) seconds, `label` (n,) indices into the names; `continuous`: something always happens, as with activities.

`.wav` with a file of the same name that ends in `.txt` beside it: a line for each event, start and end in seconds and
the name, apart by tabs, as Audacity writes its labels.
"""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos import atomic
from ditmos.datasets.dataset import UNREADABLE
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.sound import read as read_sound
from ditmos.errors import DitmosError
from ditmos.text import read_text

_KEYS = ("x", "scale", "units", "fs", "channels", "class_names", "start", "end", "label")


@dataclass(frozen=True)
class Track:
    """samples: (time, channels) int16, or float32; times scale they are in units. start, end: (n,) seconds, in order;
    label: (n,) index into class_names. continuous: one of the classes at any time."""

    samples: NDArray
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    label: NDArray[np.int64]
    class_names: tuple[str, ...]
    channels: tuple[str, ...]
    scale: float
    units: str
    fs: float
    continuous: bool = False
    name: str = "track"

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.fs

    def check(self) -> Track:
        """Return self, or raise DitmosError naming what is wrong."""

        def need(ok: bool, what: str) -> None:
            if not ok:
                raise DitmosError(f"{self.name}: {what}")

        x, count = self.samples, len(self.label)
        need(x.ndim == 2 and x.size > 0, f"x has shape {x.shape}, expected (time, channels)")
        need(x.dtype in (np.int16, np.float32), f"x has type {x.dtype}, expected int16 or float32")
        need(bool(np.isfinite(x).all()), "x has samples that are no numbers")
        need(len(self.channels) == x.shape[1], f"{len(self.channels)} channels are named, expected {x.shape[1]}")
        for key, value in (("fs", self.fs), ("scale", self.scale)):
            need(bool(np.isfinite(value)) and value > 0, f"{key} is {value}, expected a positive number")
        for key in ("start", "end"):
            times = getattr(self, key)
            need(times.shape == (count,), f"{key} has shape {times.shape}, expected ({count},), one for each label")
            bad = np.flatnonzero(~((times >= 0) & (times <= self.seconds + 1e-3)))
            if bad.size:
                need(False, f"{key}[{bad[0]}] is {times[bad[0]]:g} s, the track has {self.seconds:g}")
        bad = np.flatnonzero(self.end < self.start)
        if bad.size:
            need(False, f"event {bad[0]} ends at {self.end[bad[0]]:g} s, before its start at {self.start[bad[0]]:g}")
        bad = np.flatnonzero((self.label < 0) | (self.label >= len(self.class_names)))
        if bad.size:
            need(False, f"label[{bad[0]}] is {self.label[bad[0]]}, expected 0 to {len(self.class_names) - 1}")
        return self


def load_track(path: Path) -> Track:
    """Raises DitmosError: no such file, not a track, or what `Track.check` finds."""
    if not path.is_file():
        raise DitmosError(f"{path}: no such file, expected a track (.npz, or .wav with .txt beside it)")
    return _from_npz(path) if path.suffix.lower() == ".npz" else _from_sound(path)


def save_track(track: Track, path: Path) -> None:
    """As `.npz`; as `.wav` with its `.txt` (int16, one channel or more)."""
    track.check()
    buffer = io.BytesIO()
    if path.suffix.lower() == ".npz":
        np.savez_compressed(
            buffer, x=track.samples, scale=track.scale, units=track.units, fs=track.fs, channels=track.channels,
            class_names=track.class_names, start=track.start, end=track.end, label=track.label,
            continuous=track.continuous,
        )  # fmt: skip
    elif path.suffix.lower() == ".wav":
        if track.samples.dtype != np.int16:
            raise DitmosError(f"{path}: samples are {track.samples.dtype}, a .wav takes int16; write an .npz")
        full = np.rint(track.samples * np.float64(track.scale * 32768)).clip(-32768, 32767)
        with wave.open(buffer, "wb") as file:
            file.setparams((track.samples.shape[1], 2, round(track.fs), 0, "NONE", ""))
            file.writeframes(full.astype("<i2").tobytes())
        events = zip(track.start, track.end, track.label, strict=True)
        lines = [f"{start:.6f}\t{end:.6f}\t{track.class_names[label]}\n" for start, end, label in events]
        atomic.write(path.with_suffix(".txt"), "".join(lines).encode())
    else:
        raise DitmosError(f"{path}: expected a name that ends in .npz or .wav")
    atomic.write(path, buffer.getvalue())


def _from_npz(path: Path) -> Track:
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in _KEYS if key not in archive.files]
            if missing:
                raise DitmosError(
                    f"{path}: {', '.join(missing)} missing, expected a track: the keys {', '.join(_KEYS)}"
                )
            arrays = {key: archive[key] for key in archive.files}
        return Track(
            arrays["x"], arrays["start"].astype(np.float64), arrays["end"].astype(np.float64),
            arrays["label"].astype(np.int64), tuple(map(str, np.atleast_1d(arrays["class_names"]))),
            tuple(map(str, np.atleast_1d(arrays["channels"]))), float(arrays["scale"]), str(arrays["units"]),
            float(arrays["fs"]), bool(arrays.get("continuous", False)), path.stem,
        ).check()  # fmt: skip
    except UNREADABLE as error:
        raise DitmosError(f"{path}: not a readable track ({error})") from None


def _from_sound(path: Path) -> Track:
    """Names of the classes are those of the labels, in the order of the alphabet."""
    labels = path.with_suffix(".txt")
    if not labels.is_file():
        raise DitmosError(f"{labels}: no such file, expected what happens in {path.name}: start, end and name, by tabs")
    events: list[tuple[float, float, str]] = []
    for number, line in enumerate(read_text(labels)[0].splitlines(), 1):
        if not line.strip() or line.startswith("\\"):  # Audacity's second line of a label: its frequencies
            continue
        parts = line.split("\t")
        try:
            start, end, name = float(parts[0].replace(",", ".")), float(parts[1].replace(",", ".")), parts[2].strip()
        except (IndexError, ValueError):
            raise DitmosError(
                f"{labels}, line {number}: {line!r}, expected start and end in seconds and a name, apart by tabs"
            ) from None
        events.append((start, end, name))
    events.sort()
    signal = read_sound(path, Options())[0].signals[0]
    samples, scale = signal.samples.astype(np.float32), 1.0
    if isinstance(signal.scale, float):
        samples, scale = signal.samples, signal.scale
    names = tuple(sorted({name for _, _, name in events}))
    return Track(
        samples, np.array([e[0] for e in events]), np.array([e[1] for e in events]),
        np.array([names.index(e[2]) for e in events], np.int64), names, signal.channels, scale,
        signal.units[0], signal.rate or 0.0, False, path.stem,
    ).check()  # fmt: skip


def named_as(track: Track, class_names: tuple[str, ...]) -> Track:
    """The track with the class numbers of a model. Raises DitmosError: a class that the model lacks."""
    for name in track.class_names:
        if name not in class_names:
            raise DitmosError(f"{track.name}: {name!r} is none of the model's classes: {', '.join(class_names)}")
    numbers = np.array([class_names.index(name) for name in track.class_names], np.int64)
    return replace(track, label=numbers[track.label], class_names=class_names)
