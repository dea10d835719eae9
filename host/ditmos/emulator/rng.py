"""Random number generator: a fixed sequence, so that runs can be repeated."""

from __future__ import annotations

import random

from ditmos.emulator.bus import Peripheral

SR, DR = 0x04, 0x08
_DRDY = 1


class Rng(Peripheral):
    """RM0410 section 20."""

    name = "RNG"
    base = 0x5006_0800
    names = {0x00: "CR", SR: "SR", DR: "DR"}

    def reset(self) -> None:
        super().reset()
        self._random = random.Random(0)

    def read(self, offset: int) -> int:
        if offset == SR:
            return _DRDY
        return self._random.getrandbits(32) if offset == DR else super().read(offset)
