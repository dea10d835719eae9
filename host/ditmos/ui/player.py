"""Where a board's samples come from in the browser: a source as rows that go on, each with its class where it is known.

What has been read ahead but not answered when a stream is interrupted is given again: nothing of a source is lost.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets import Dataset
from ditmos.errors import DitmosError
from ditmos.link.sent import in_steps
from ditmos.link.sources import Source
from ditmos.model.signal import Fit, Signal

_BLOCK = 64  # rows
UNKNOWN = -1  # class of a row that no one knows the class of


class Supply:
    """Blocks of rows (some, channels) with the class of each; ``signal``: what the rows are."""

    def __init__(
        self, name: str, blocks: Iterator[tuple[NDArray, int]], dtype: np.dtype, signal: Signal, fs: float | None
    ) -> None:
        self.name = name
        self.blocks = blocks
        self.dtype = dtype
        self.signal = signal
        self.fs = fs


def supply_of_dataset(dataset: Dataset, index: NDArray[np.integer]) -> Supply:
    """Windows of a set one after the other, again and again: recordings in a random order, each in its own."""
    raw = dataset.x.dtype == np.int16
    order = _by_recording(dataset.group[index])

    def blocks() -> Iterator[tuple[NDArray, int]]:
        while True:
            for i in index[order]:
                window = dataset.x[i] if raw else dataset.values([i])[0]
                for start in range(0, len(window), _BLOCK):
                    yield window[start : start + _BLOCK], int(dataset.y[i])

    signal = dataset.signal if raw else replace(dataset.signal, scales=(1.0,) * len(dataset.channels))
    return Supply(dataset.name, blocks(), dataset.x.dtype, signal, dataset.fs)


def _by_recording(group: NDArray[np.int64]) -> NDArray[np.int64]:
    names, inverse = np.unique(group, return_inverse=True)
    place = np.random.default_rng(0).permutation(len(names))
    return np.argsort(place[inverse], kind="stable")


def supply_of_source(source: Source, name: str) -> Supply:
    """What `ditmos stream --source` reads, once: a function that never ends goes on for ever."""

    def blocks() -> Iterator[tuple[NDArray, int]]:
        labels: Iterable[int] | None = None if source.labels is None else map(int, source.labels)
        known = iter(labels) if labels is not None else None
        for block in source.blocks:
            yield np.asarray(block), UNKNOWN if known is None else next(known)

    return Supply(name, blocks(), source.dtype, source.signal, source.fs)


class Player:
    """Rows of a supply, numbered from 0, in the order and with the classes of a model (``fit``). sent: the signal in
    whose steps real numbers go to the board; None: they go as they are."""

    def __init__(self, supply: Supply, fit: Fit, sent: Signal | None = None) -> None:
        self._supply = supply
        self._fit = fit
        self._sent = sent
        self.dtype = supply.dtype if sent is None else np.dtype(np.int16)
        self._kept: deque[tuple[int, NDArray, int]] = deque()  # (first row, rows, class)
        self._end = 0
        self._turn = 0
        self._lock = threading.Lock()
        self.ended = False

    def blocks(self, start: int) -> Iterator[NDArray]:
        """Rows from ``start`` on. The reader of an earlier call gets no more: there is one reader.

        Raises:
            DitmosError: rows from ``start`` on have been forgotten; whatever the source raises.
        """
        with self._lock:
            self._turn += 1
            mine = self._turn
            if self._kept and start < self._kept[0][0]:
                raise DitmosError(f"row {start} is gone, the oldest is {self._kept[0][0]}")
        while True:
            with self._lock:
                if self._turn != mine:
                    return
                block = self._next(start)
            if block is None:
                return
            start += len(block)
            yield block

    def _next(self, start: int) -> NDArray | None:
        for first, rows, _ in self._kept:
            if first + len(rows) > start:
                return rows[start - first :]
        made = next(self._supply.blocks, None)
        if made is None:
            self.ended = True
            return None
        block, label = made
        block = self._fit.taken(block)
        if self._sent is not None:
            block = in_steps(block, self._sent)
        if label != UNKNOWN and self._fit.classes:
            label = self._fit.classes[label]
        self._kept.append((self._end, block, label))
        self._end += len(block)
        return block

    def rows(self, start: int, stop: int) -> NDArray:
        """Rows that have been given, and are kept."""
        parts = [rows[max(0, start - first) : max(0, stop - first)] for first, rows, _ in list(self._kept)]
        parts = [part for part in parts if len(part)]
        return np.concatenate(parts) if parts else np.empty((0, len(self._supply.signal.channels)), self.dtype)

    def label(self, start: int, stop: int) -> int | None:
        """The class of most of these rows; None where the source does not say it."""
        counts: dict[int, int] = {}
        for first, rows, label in list(self._kept):
            inside = min(stop, first + len(rows)) - max(start, first)
            if inside > 0:
                counts[label] = counts.get(label, 0) + inside
        label = max(counts, key=lambda key: counts[key], default=UNKNOWN)
        return None if label == UNKNOWN else label

    def forget(self, before: int) -> None:
        """Rows before this one will not be asked for again."""
        with self._lock:
            while self._kept and self._kept[0][0] + len(self._kept[0][1]) <= before:
                self._kept.popleft()
