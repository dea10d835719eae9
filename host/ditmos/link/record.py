"""Samples of a sensor on the board: live, and as a `Dataset` of labelled windows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets import Dataset
from ditmos.errors import DitmosError
from ditmos.framing import SAMPLES
from ditmos.link import policies
from ditmos.link.board import Board
from ditmos.link.conversation import Conversation
from ditmos.model.policy import Policy, parse_policy
from ditmos.paths import SOURCES

SENSORS = SOURCES / "device" / "sensors.py"


@dataclass(frozen=True)
class Signal:
    """What a sensor says of itself (device/sensors.py)."""

    channels: tuple[str, ...]
    units: str
    scale: float
    rate: float


class Sensor:
    """A driver, running on the board.

    ``driver``: ``FILE.py:Name``, ``FILE.py:Name(1)``, or a name in device/sensors.py.

    Raises:
        DitmosError: no such file or name, or the driver finds no sensor.
    """

    def __init__(self, board: Board, driver: str = "Simulated") -> None:
        self.board = board
        parsed = parse_policy(driver if ".py" in driver else f"{SENSORS}:{driver}")
        expression = parsed.expression if "(" in parsed.expression else f"{parsed.expression}()"
        policies.send(board, Policy(driver, expression, parsed.source), "_sensor")
        self.signal = Signal(
            *board.eval("(tuple(_sensor.channels), _sensor.units, float(_sensor.scale), float(_sensor.rate))")
        )
        self.lost = 0

    def expect(self, label: str) -> None:
        """Tell the driver what is recorded next."""
        self.board.exec(f"if hasattr(_sensor, 'expect'):\n _sensor.expect({label!r})")

    def samples(self, rows: int = 0) -> Iterator[NDArray[np.int16]]:
        """Blocks of raw samples (some rows, channels) as they come; 0 rows: until the caller stops iterating.

        Raises:
            DitmosError: the driver raised, the board fell silent, or the line was too slow for the sensor.
        """
        blocks: deque[NDArray[np.int16]] = deque()
        width = len(self.signal.channels)

        def deliver(kind: int, payload: Any) -> bool:
            if kind == SAMPLES:
                blocks.append(np.frombuffer(bytes(payload), "<i2").astype(np.int16).reshape(-1, width))
            return True

        talk = Conversation(self.board, deliver)
        try:
            talk.start(f"from ditmos.record import record\nrecord(_sensor, {rows})")
            while talk.ended is None:
                talk.pump()
                if talk.silent:
                    talk.stop()
                    raise DitmosError(f"{self.board.port}: the board stopped sending samples; it was reset, or stopped")
                while blocks:
                    yield blocks.popleft()
            talk.check()
            if lost := talk.ended.get("lost"):
                raise DitmosError(
                    f"{lost} rows were lost: the line is too slow for {width} channels at {self.signal.rate:g} Hz"
                )
            while blocks:
                yield blocks.popleft()
        finally:
            talk.stop()


@dataclass(frozen=True)
class Take:
    """One recording: (rows, channels) of one label."""

    label: str
    samples: NDArray[np.int16]


def windows_of(samples: NDArray, window: int, hop: int) -> NDArray:
    """(rows, channels) -> (n, window, channels), cut every ``hop`` rows."""
    starts = range(0, len(samples) - window + 1, hop)
    return np.stack([samples[i : i + window] for i in starts]) if starts else samples[:0].reshape(0, window, 0)


def to_dataset(
    takes: list[Take], labels: list[str], signal: Signal, window: int, hop: int, subject: int = 0, name: str = "own"
) -> Dataset:
    """Labelled windows; each take is a group, so that a split keeps it together.

    Raises:
        DitmosError: nothing recorded, or a take shorter than a window.
    """
    if not takes:
        raise DitmosError("nothing was recorded")
    cut = []
    for i, take in enumerate(takes):
        if len(take.samples) < window:
            raise DitmosError(f"take {i} ({take.label}) has {len(take.samples)} rows, expected at least {window}")
        cut.append(windows_of(take.samples, window, hop))
    counts = [len(windows) for windows in cut]
    total = sum(counts)
    return Dataset(
        x=np.concatenate(cut).astype(np.int16),
        y=np.repeat([labels.index(take.label) for take in takes], counts).astype(np.int64),
        subject=np.full(total, subject, np.int64),
        group=np.repeat(np.arange(len(takes)), counts).astype(np.int64),
        class_names=tuple(labels),
        channels=signal.channels,
        scale=signal.scale,
        units=signal.units,
        fs=signal.rate,
        name=name,
    ).check()


def join(old: Dataset, new: Dataset, path: Path) -> Dataset:
    """Both sets in one, for a file that is added to; groups stay apart.

    Raises:
        DitmosError: they differ in classes, channels, scale, units, rate or window.
    """
    for field in ("class_names", "channels", "scale", "units", "fs", "window"):
        before, now = getattr(old, field), getattr(new, field)
        if before != now:
            raise DitmosError(f"{path}: {field} is {before} there, {now} now; record into another file")
    return Dataset(
        x=np.concatenate([old.x, new.x]),
        y=np.concatenate([old.y, new.y]),
        subject=np.concatenate([old.subject, new.subject]),
        group=np.concatenate([old.group, new.group + old.group.max() + 1]),
        class_names=new.class_names,
        channels=new.channels,
        scale=new.scale,
        units=new.units,
        fs=new.fs,
        name=new.name,
    ).check()
