"""A serial line with faults, for tests and `ditmos bench link`: bytes dropped, inserted, flipped, delayed, cut off."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

KINDS = ("dropped", "inserted", "flipped", "delayed", "cut")
DELAY = 0.03  # seconds that a delayed byte, and all behind it, wait


class FaultyLine:
    """Between a `Conversation` and its port: ``rate`` faults per byte each way, of all kinds alike.

    ``counts``: faults by kind. ``frames_hit``: frames in which at least one byte was touched.
    """

    def __init__(self, port: Any, rate: float, seed: int = 0) -> None:
        self.port = port
        self.rate = rate
        self.counts: Counter[str] = Counter()
        self.bytes = 0
        self.frames_hit = 0
        self._random = random.Random(seed)
        self._next = self._distance()
        self._held: dict[str, tuple[bytearray, float]] = {}  # direction: (bytes, when they go on)

    def _distance(self) -> int:
        """Bytes up to the next fault."""
        return int(self._random.expovariate(self.rate)) if self.rate else 1 << 62

    def _disturb(self, data: bytes, direction: str) -> bytes:
        """What of ``data`` goes on now; what is delayed waits in ``_held``."""
        out, when = self._held.pop(direction, (bytearray(), 0.0))
        self.bytes += len(data)
        start = 0
        while self._next < len(data) - start:
            at = start + self._next
            out += data[start:at]
            start = at + 1
            kind = self._random.choice(KINDS)
            self.counts[kind] += 1
            if kind != "delayed":
                self.frames_hit += 1
            if kind == "inserted":
                out += bytes((self._random.randrange(256), data[at]))
            elif kind == "flipped":
                out.append(data[at] ^ 1 << self._random.randrange(8))
            elif kind == "delayed":
                out.append(data[at])
                when = time.monotonic() + DELAY
            elif kind == "cut":  # in mid-frame: the rest of what was written at once is lost
                start = len(data)
            self._next = self._distance()
        out += data[start:]
        self._next -= max(0, len(data) - start)
        if time.monotonic() < when:
            self._held[direction] = out, when
            return b""
        return bytes(out)

    def write(self, data: bytes) -> None:
        if out := self._disturb(bytes(data), "out"):
            self.port.write(out)

    @property
    def in_waiting(self) -> int:
        return 0 if "in" in self._held else self.port.in_waiting

    def read(self, size: int) -> bytes:
        self._flush()
        return self._disturb(self.port.read(size), "in")

    def _flush(self) -> None:
        """Let go on what has waited long enough."""
        if "out" in self._held and time.monotonic() >= self._held["out"][1]:
            self.port.write(bytes(self._held.pop("out")[0]))
