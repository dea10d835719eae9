"""A sensor on the board as what is watched: the board reads it, the host is shown its samples, or how loud they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ditmos.datasets.takes import Signal as SensorSignal
from ditmos.link.sensing import Show
from ditmos.link.stream import Stream
from ditmos.model.signal import Signal
from ditmos.ui.history import History

SENSORS = ("Simulated", "MPU6050", "LSM6DSO", "Inmp441")  # to choose from, of device/; others are written
LINE = 8000  # bytes of samples a second that any line takes beside the results


@dataclass(frozen=True)
class Sensed:
    """``driver``: as `ditmos record --sensor` takes it."""

    driver: str
    name: str


def shown(signal: SensorSignal) -> Show:
    """Samples where the line takes them, else their level."""
    return "samples" if 2 * len(signal.channels) * signal.rate <= LINE else "level"


def history_of(stream: Stream, sensor: SensorSignal, hop: int, show: Show) -> History:
    """Of a stream whose model a board has said; ``hop``: rows of samples. Of levels each is a row."""
    said, classifiers, rate = stream.signal, stream.hello["classifiers"], sensor.rate
    if show == "samples":
        signal = replace(said, channels=sensor.channels, rate=rate)
        return History(signal, stream.window, hop, classifiers, rate, np.dtype(np.int16))
    level = Signal.of(said.class_names, ("level",), said.units[0], said.scales[0], rate / hop)
    return History(level, 1, 1, classifiers, rate / hop, np.dtype(np.int16), whole=False)
