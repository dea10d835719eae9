"""A faulty line that keeps account: which frames went in undisturbed, and which came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ditmos.framing import Decoder
from ditmos.link.faults import FaultyLine


class Witness(FaultyLine):
    """A faulty line that knows what goes in and what comes out of it on the way to the board."""

    def __init__(self, port: Any, rate: float, seed: int) -> None:
        super().__init__(_Tap(port, self._arrived), rate, seed)
        self._decoder, self._plain = Decoder(), Decoder()
        self.frames = self.disturbed = 0
        self._sent: Counter[bytes] = Counter()
        self._undisturbed: Counter[bytes] = Counter()
        self._accepted: Counter[bytes] = Counter()

    def write(self, data: bytes) -> None:
        """A frame is accounted for, plain text is not. A delay alone disturbs nothing."""
        if not (data[:1] == data[-1:] == b"\0" and any(data)):
            super().write(data)
            return
        self.frames += 1
        self._plain.feed(data, 0, len(data))
        frame = bytes(self._plain.frame[: self._plain.size])
        self._sent[frame] += 1
        before = self.counts.total() - self.counts["delayed"]
        super().write(data)
        if self.counts.total() - self.counts["delayed"] == before:
            self._undisturbed[frame] += 1
        else:
            self.disturbed += 1

    def _arrived(self, data: bytes) -> None:
        start = 0
        while start < len(data):
            start = self._decoder.feed(data, start, len(data))
            if self._decoder.size:
                self._accepted[bytes(self._decoder.frame[: self._decoder.size])] += 1

    def figures(self) -> dict[str, Any]:
        """false_accepts: frames that came out oftener than they went in. undisturbed_missed: the other way round, of
        those that nothing happened to."""
        if "out" in self._held:
            self._arrived(bytes(self._held.pop("out")[0]))
        self._arrived(b"\0")
        return {
            "frames": self.frames,
            "frames_disturbed": self.disturbed,
            "frames_accepted": self._accepted.total(),
            "false_accepts": (self._accepted - self._sent).total(),
            "undisturbed_missed": (self._undisturbed - self._accepted).total(),
            "faults": dict(self.counts),
        }


class _Tap:
    """A port that shows what is written to it."""

    def __init__(self, port: Any, see: Callable[[bytes], None]) -> None:
        self._port = port
        self._see = see

    def write(self, data: bytes) -> None:
        self._see(data)
        self._port.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)
