"""I2S2 as master receiver, and the microphone at its other end."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos.emulator.bus import Peripheral
from ditmos.emulator.clock import CORE_HZ, NEVER, Clock
from ditmos.emulator.dma import Dma
from ditmos.emulator.rcc import Rcc
from ditmos.errors import DitmosError

_CR2, _SR, _DR, _I2SCFGR, _I2SPR = 0x04, 0x08, 0x0C, 0x1C, 0x20
_RXDMAEN = 1
_CHLEN, _MASTER_RX, _I2SE, _I2SMOD = 1, 3 << 8, 1 << 10, 1 << 11
_RXNE = 1
_HALFWORDS = 4  # of a frame: two channels of 32 bits
_RATE_TOLERANCE = 0.01


class Microphone:
    """A .wav file of 16 bits in the left channel, where an INMP441 with L/R at ground is; of two channels in both. Over
    and over; silence, which is zeros, without a file.

    Raises:
        DitmosError: no such file, or none of 16 bits and one or two channels.
    """

    def __init__(self, path: Path | None) -> None:
        self.rate = 0
        self._frames: NDArray[np.int16] = np.zeros((1, 2), np.int16)
        self._at = 0
        if path is None:
            return
        try:
            with wave.open(str(path), "rb") as file:
                channels, width, self.rate, count = file.getparams()[:4]
                data = file.readframes(count)
        except (OSError, EOFError, wave.Error) as error:
            raise DitmosError(f"{path}: no WAV file that can be read ({error})") from None
        if width != 2 or channels > 2 or not data:
            raise DitmosError(f"{path}: {channels} channels of {8 * width} bits, expected samples of 16 in one or two")
        samples = np.frombuffer(data, "<i2").reshape(-1, channels)
        self._frames = np.zeros((len(samples), 2), np.int16)
        self._frames[:, :channels] = samples

    def restart(self) -> None:
        """From the first sample on."""
        self._at = 0

    def frames(self, count: int) -> NDArray[np.int16]:
        """The next ones, (count, 2): upper halves of words of 32 bits, whose lower halves are 0."""
        where = np.arange(self._at, self._at + count) % len(self._frames)
        self._at = (self._at + count) % len(self._frames)
        return self._frames[where]


class I2s(Peripheral):
    """RM0410 section 35, I2S mode, 32 bits a channel. Frames go to a stream of the DMA, up to its next interrupt at
    once, at the time at which the last of them is complete. ``frames`` counts those that were given.
    """

    name = "SPI2"
    base = 0x4000_3800
    names = {
        0x00: "CR1", _CR2: "CR2", _SR: "SR", _DR: "DR", 0x10: "CRCPR", 0x14: "RXCRCR", 0x18: "TXCRCR",
        _I2SCFGR: "I2SCFGR", _I2SPR: "I2SPR",
    }  # fmt: skip
    reset_values = {_SR: 2, _I2SPR: 2}

    def __init__(
        self, clock: Clock, rcc: Rcc, dma: Dma, stream: int, microphone: Microphone, report: Callable[[str], None]
    ) -> None:
        self._clock, self._rcc, self._dma, self._stream = clock, rcc, dma, stream
        self._microphone, self._report = microphone, report
        self.frames = 0
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self.due = NEVER
        self._coming = 0  # halfwords that are complete when it is due
        self._began = self._given = 0  # cycle at which it was switched on; halfwords since

    @property
    def running(self) -> bool:
        return self.due != NEVER

    @property
    def rate(self) -> float:
        """Frames per second, as the clock tree is set."""
        divider = 2 * (self.registers.get(_I2SPR, 2) & 0xFF) + (self.registers.get(_I2SPR, 2) >> 8 & 1)
        bits = 64 if self.registers.get(_I2SCFGR, 0) & _CHLEN else 32
        return self._rcc.i2s_hz / (bits * divider)

    def write(self, offset: int, value: int) -> None:
        super().write(offset, value)
        if offset not in (_CR2, _I2SCFGR):
            return
        config = self.registers.get(_I2SCFGR, 0)
        wanted = _I2SE | _I2SMOD | _MASTER_RX
        if config & wanted != wanted or not self.registers.get(_CR2, 0) & _RXDMAEN:
            self.due = NEVER
        elif not self.running:
            self._microphone.restart()
            heard = self._microphone.rate
            if heard and abs(self.rate / heard - 1) > _RATE_TOLERANCE:
                self._report(f"I2S2: runs at {self.rate:.0f} Hz, the sound it is given has {heard}")
            self._began, self._given = self._clock.now, 0
            self._schedule()

    def _schedule(self) -> None:
        self._coming = self._dma.room(self._stream)
        whole = (self._given + (self._coming or 1)) * CORE_HZ / (_HALFWORDS * self.rate)
        self.due = self._began + int(whole)

    def fire(self) -> None:
        count = self._coming
        if not count:  # nobody takes them
            self._given += 1
            self._schedule()
            return
        words = np.zeros((count // 2, 2), "<i2")  # each the upper half, then the lower one
        words[:, 0] = self._microphone.frames(count // _HALFWORDS).reshape(-1)
        self._given += count
        self.frames += count // _HALFWORDS
        self._dma.take(self._stream, words.tobytes())
        self._schedule()
