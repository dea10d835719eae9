"""Samples read ahead of the line, by a thread of its own: a slow source does not hold up what is on its way."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError


class ReadAhead:
    """Blocks of samples (rows, channels) as one row of bytes, read ahead of the line by a thread of its own.

    ``data`` starts at byte ``base`` of the stream; what is no longer needed is dropped with `forget`.
    """

    AHEAD = 1 << 16  # bytes

    def __init__(self, blocks: Iterable[NDArray], dtype: np.dtype, channels: int) -> None:
        self.data = bytearray()
        self.base = 0
        self.complete = False
        self._blocks = iter(blocks)
        self._dtype = dtype
        self._channels = channels
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(4)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def end(self) -> int:
        """Bytes of the stream known so far."""
        return self.base + len(self.data)

    def _put(self, item: bytes | BaseException | None) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                pass
        return False

    def _read(self) -> None:
        try:
            for block in self._blocks:
                array = np.asarray(block)
                if array.ndim != 2 or array.shape[1] != self._channels or array.dtype != self._dtype:
                    raise DitmosError(
                        f"samples are {array.dtype} {array.shape}, expected {self._dtype} (rows, {self._channels})"
                    )
                if not self._put(np.ascontiguousarray(array).astype(self._dtype.newbyteorder("<")).tobytes()):
                    return
            self._put(None)
        except BaseException as error:  # the reader of the samples raised: so does the stream
            self._put(error)

    def fill(self) -> None:
        """Take over what the thread has read. Raises what the source of the samples raised."""
        while not self.complete and len(self.data) < self.AHEAD:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return
            if isinstance(item, BaseException):
                raise item
            if item is None:
                self.complete = True
            else:
                self.data += item

    def take(self, start: int, stop: int) -> bytes:
        return bytes(self.data[start - self.base : stop - self.base])

    def forget(self, before: int) -> None:
        if before > self.base:
            del self.data[: before - self.base]
            self.base = before

    def close(self) -> None:
        self._closed.set()
