"""Samples of a sensor on the board, as they come."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.takes import Signal
from ditmos.errors import DitmosError
from ditmos.framing import SAMPLES
from ditmos.link import policies
from ditmos.link.board import Board
from ditmos.link.conversation import Conversation
from ditmos.model.policy import Policy, parse_policy
from ditmos.paths import SOURCES

SENSORS = SOURCES / "device" / "sensors.py"


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
        if not self.signal.channels:
            raise DitmosError(f"sensor {driver}: it names no channel")
        for name in ("scale", "rate"):
            value = getattr(self.signal, name)
            if not (math.isfinite(value) and value > 0):
                raise DitmosError(f"sensor {driver}: {name} is {value}, expected a positive number")
        self.rate: float | None = None  # rows per second of the last recording that came to its end

    def expect(self, label: str) -> None:
        """Tell the driver what is recorded next."""
        self.board.exec(f"if hasattr(_sensor, 'expect'):\n _sensor.expect({label!r})")

    def samples(self, rows: int = 0) -> Generator[NDArray[np.int16]]:
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
            if span := talk.ended.get("span"):
                self.rate = (rows - 1) / (span * 1e-6)
            if lost := talk.ended.get("lost"):
                raise DitmosError(
                    f"{lost} rows were lost: the line is too slow for {width} channels at {self.signal.rate:g} Hz"
                )
            while blocks:
                yield blocks.popleft()
        finally:
            talk.stop()
