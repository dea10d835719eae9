"""Samples through a front end into windows, as `_ditmos.Model.feed` and `select_fed` on the board."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ditmos.frontends.frontend import FrontEnd, Stream
from ditmos.frontends.operations import Affine


class Feeder:
    """The newest rows of a front end at work, as many as a window has."""

    def __init__(self, front: FrontEnd, window: int) -> None:
        self.front = front
        self.window = front.kept_rows(window)
        self.stream = Stream(front)
        self.reset()

    @property
    def affine(self) -> Affine | None:
        """What a calibration has found."""
        return self.stream.affine

    def reset(self) -> None:
        """Forget all samples; a calibration stays."""
        self.stream.reset()
        self._newest = np.zeros(self.front.row_channels, np.int16)
        self.interrupt()

    def interrupt(self) -> None:
        """Rows start anew, samples go on: another window has been taken in."""
        self._rows = np.empty((0, self.front.row_channels), np.int16)

    def feed(self, samples: ArrayLike) -> int:
        """int16 (time, channels), flattened or not -> how many rows they made.

        Raises:
            ValueError: not whole rows of channels. TypeError: not int16.
        """
        rows = self.stream.push(self._samples(samples))
        if len(rows):
            self._newest = rows[-1]
        self._rows = np.concatenate((self._rows, rows))[-self.window :]
        return len(rows)

    def row(self) -> NDArray[np.int16]:
        """The newest row, before `Centre`; zeros before the first."""
        return self._newest

    def calibrate(self, samples: ArrayLike) -> int:
        """Samples for the calibration; rows so far. Raises as `feed`, and as `Stream.calibrate`."""
        self.interrupt()
        return self.stream.calibrate(self._samples(samples))

    def rows(self) -> NDArray[np.int16]:
        """The window as the network reads it (`FrontEnd.of_window`). Raises as `kept`."""
        return self.front.of_window(self.kept())

    def kept(self) -> NDArray[np.int16]:
        """The rows that the window is made of.

        Raises:
            RuntimeError: not so many have been made.
        """
        if len(self._rows) < self.window:
            raise RuntimeError(f"the window needs {self.window} rows, there are {len(self._rows)}")
        return self._rows

    def _samples(self, samples: ArrayLike) -> NDArray[np.int16]:
        x = np.asarray(samples)
        if x.dtype != np.int16:
            raise TypeError(f"samples are {x.dtype}, expected int16: array('h')")
        if x.size % self.front.channels:
            raise ValueError(f"samples have {x.size} values, expected a multiple of {self.front.channels}")
        return x.reshape(-1, self.front.channels)
