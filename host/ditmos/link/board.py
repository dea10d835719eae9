"""A connected board, real or simulated: its REPL, and what it makes of windows and samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from numpy.typing import NDArray

from ditmos.link import stream
from ditmos.link.repl import Repl


class Board(Repl):
    """A board with this project's firmware. Opened, used and closed as `Repl`."""

    def classify(self, windows: NDArray, **options: Any) -> Iterator[stream.Result]:
        """Results for whole windows (n, time, channels): :func:`ditmos.link.stream.classify`."""
        return stream.classify(self, windows, **options)

    def stream(self, samples: Iterable[NDArray] | NDArray, **options: Any) -> Iterator[stream.Result]:
        """A result every ``hop`` rows of samples as they come: :func:`ditmos.link.stream.samples`."""
        return stream.samples(self, samples, **options)
