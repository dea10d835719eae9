"""A serial line with faults, for tests and `ditmos bench link`."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

KINDS = ("dropped", "doubled", "swapped", "inserted", "flipped", "delayed", "burst", "cut")
BURST = 40  # bytes that are noise instead of themselves, at most
DELAY = 0.03  # seconds that a delayed byte, and all behind it, wait


class FaultyLine:
    """Around a serial port: ``rate`` faults per byte each way, of all kinds alike. Made for `Repl.disturb`.

    ``counts``: faults by kind.
    """

    def __init__(self, port: Any, rate: float, seed: int = 0) -> None:
        self.port = port
        self.rate = rate
        self.counts: Counter[str] = Counter()
        self.bytes = 0
        self._random = random.Random(seed)
        self._next = self._distance()
        self._ready = bytearray()  # came in and was not read yet
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
            if kind == "inserted":
                out += bytes((self._random.randrange(256), data[at]))
            elif kind == "doubled":
                out += data[at : at + 1] * 2
            elif kind == "swapped":  # with the next one, where that is there already
                start = min(at + 2, len(data))
                out += data[at:start][::-1]
            elif kind == "burst":
                start = min(at + self._random.randint(2, BURST), len(data))
                out += self._random.randbytes(start - at)
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

    def inWaiting(self) -> int:
        return self.in_waiting

    @property
    def in_waiting(self) -> int:
        return len(self._ready) + (0 if "in" in self._held else self.port.in_waiting)

    def read(self, size: int = 1) -> bytes:
        self._flush()
        if not self._ready:
            self._ready += self._disturb(self.port.read(size), "in")
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def reset_input_buffer(self) -> None:
        self._ready.clear()
        self.port.reset_input_buffer()

    @property
    def timeout(self) -> float | None:
        return self.port.timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self.port.timeout = seconds

    @property
    def write_timeout(self) -> float | None:
        return self.port.write_timeout

    @write_timeout.setter
    def write_timeout(self, seconds: float | None) -> None:
        self.port.write_timeout = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)

    def _flush(self) -> None:
        """Let go on what has waited long enough."""
        if "out" in self._held and time.monotonic() >= self._held["out"][1]:
            self.port.write(bytes(self._held.pop("out")[0]))
