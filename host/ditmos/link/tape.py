"""A stream as it was: its samples, its results with their times, and what happened on the line."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos import atomic
from ditmos.datasets.dataset import UNREADABLE
from ditmos.errors import DitmosError
from ditmos.link.stream import Counts, Result

_FIELDS = ("number", "label", "who", "runs", "microseconds", "latency", "confidence")
_EVERY = 2.0  # seconds after which a tape that is kept is written again, and
_SHARE = 20  # times as long as writing it took


class Tape:
    """What a stream consisted of. ``hop`` and ``window`` in rows; ``times``: seconds from the start, one per result.

    ``keep``: a file that it is written to every few seconds while it grows, so that a program that is killed has it.
    """

    def __init__(
        self,
        window: int,
        hop: int,
        class_names: tuple[str, ...],
        rate: float | None = None,
        keep: Path | None = None,
    ) -> None:
        self.window = window
        self.hop = hop
        self.class_names = class_names
        self.rate = rate
        self.results: list[Result] = []
        self.times: list[float] = []
        self.counts = Counts()
        self._blocks: list[NDArray] = []
        self._keep = keep
        self._due = time.monotonic() + _EVERY

    def pass_on(self, blocks: Iterable[NDArray]) -> Iterator[NDArray]:
        """The blocks, kept as they go by."""
        for block in blocks:
            self._blocks.append(np.array(block))
            yield block

    def add(self, result: Result, when: float) -> None:
        self.results.append(result)
        self.times.append(when)
        began = time.monotonic()
        if self._keep and began > self._due:
            self.save(self._keep)
            now = time.monotonic()
            self._due = now + max(_EVERY, _SHARE * (now - began))

    @property
    def samples(self) -> NDArray:
        """All samples (rows, channels) so far."""
        if (count := len(self._blocks)) > 1:  # in its place: who reads the source may add some meanwhile
            self._blocks[:count] = [np.concatenate(self._blocks[:count])]
        return self._blocks[0] if self._blocks else np.empty((0, 0), np.int16)

    def window_of(self, number: int) -> NDArray:
        """The window that a result is about (window, channels)."""
        first = number * self.hop
        stop, start, parts = first + self.window, 0, []
        for block in tuple(self._blocks):  # not joined: a view asks again and again while the tape grows
            if start < stop and first < start + len(block):
                parts.append(block[max(0, first - start) : stop - start])
            start += len(block)
        return np.concatenate(parts) if parts else self.samples[:0]

    def save(self, path: Path) -> None:
        """Raises DitmosError when it cannot be written; the old file stays until the new one is complete."""
        columns: dict[str, Any] = {
            name: np.array([np.nan if (v := getattr(r, name)) is None else v for r in self.results], np.float64)
            for name in _FIELDS
        }
        logits = [r.logits for r in self.results if r.logits is not None]
        if logits and len(logits) == len(self.results):
            columns["logits"] = np.stack(logits)
        about = {
            "window": self.window,
            "hop": self.hop,
            "class_names": self.class_names,
            "rate": self.rate,
            "counts": asdict(self.counts),
        }
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, tape=np.str_(json.dumps(about)), samples=self.samples, times=np.array(self.times), **columns
        )
        atomic.write(path, buffer.getvalue())

    @staticmethod
    def is_tape(path: Path) -> bool:
        try:
            with zipfile.ZipFile(path) as archive:
                return "tape.npy" in archive.namelist()
        except (OSError, zipfile.BadZipFile):
            return False

    @classmethod
    def load(cls, path: Path) -> Tape:
        """Raises DitmosError for a file that `save` did not write, or that is damaged."""
        try:
            return cls._read(path)
        except UNREADABLE as error:
            raise DitmosError(f"{path}: not a recorded stream, or a damaged one ({error})") from None

    @classmethod
    def _read(cls, path: Path) -> Tape:
        with np.load(path, allow_pickle=False) as archive:
            about = json.loads(str(archive["tape"]))
            tape = cls(int(about["window"]), int(about["hop"]), tuple(map(str, about["class_names"])), about["rate"])
            tape.counts = Counts(**about["counts"])
            tape._blocks = [archive["samples"]]
            tape.times = archive["times"].tolist()
            columns = {name: archive[name] for name in _FIELDS}
            logits = archive["logits"] if "logits" in archive.files else None
        if tape.window < 1 or tape.hop < 1 or tape.samples.ndim != 2 or not isinstance(tape.rate, int | float | None):
            raise ValueError(f"window {tape.window}, hop {tape.hop}, rate {tape.rate}, samples {tape.samples.shape}")
        if any(column.shape != (len(tape.times),) for column in columns.values()):
            raise ValueError("not one value of each kind for a result")

        def value(name: str, i: int) -> int | None:
            number = columns[name][i]
            return None if np.isnan(number) else int(number)

        for i in range(len(tape.times)):
            label = value("label", i)
            if label is not None and not 0 <= label < len(tape.class_names):
                raise ValueError(f"label {label} of {len(tape.class_names)} classes")
            confidence = columns["confidence"][i]
            tape.results.append(
                Result(
                    number=int(columns["number"][i]),
                    label=label,
                    name=None if label is None else tape.class_names[label],
                    who=int(columns["who"][i]),
                    runs=int(columns["runs"][i]),
                    microseconds=int(columns["microseconds"][i]),
                    latency=float(columns["latency"][i]),
                    logits=None if logits is None else logits[i],
                    confidence=None if np.isnan(confidence) else float(confidence),
                )
            )
        return tape
