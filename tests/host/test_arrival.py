"""Rates at which rows come: of sources that make them as time passes, and of those that do not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from ditmos.link.arrival import Arrival


def arrival(seconds: float, rows: int, taking: float, count: int = 600, waiting: int = 0) -> Arrival:
    """``count`` blocks of rows that each take so long to come and to be taken; the first ``waiting`` are there."""
    now = [100.0]

    def blocks() -> Iterator[np.ndarray]:
        for i in range(count):
            now[0] += seconds if i >= waiting else 0
            yield np.zeros((rows, 2))

    made = Arrival(blocks(), lambda: now[0])
    for _ in made:
        now[0] += taking
    return made


@pytest.mark.parametrize(("seconds", "rows", "rate"), [(0.04, 1, 25), (0.02, 1, 50), (0.1, 10, 100)])
def test_rate_of_a_sensor(seconds: float, rows: int, rate: float) -> None:
    found = arrival(seconds, rows, 1e-4)
    assert found.rate == pytest.approx(rate, rel=0.01)
    said = found.problem(50)
    assert (said is None) == (rate == 50)
    assert said is None or said.startswith(f"rows come at {found.rate:.1f} a second, the model was made for 50")
    assert found.problem(0) is None  # the model does not say
    assert arrival(seconds, rows, 1e-4, waiting=150).rate == pytest.approx(rate, rel=0.01)  # what had piled up


def test_a_file_has_no_rate() -> None:
    """Who takes the rows sets the pace."""
    assert arrival(1e-4, 10, 0.05).rate is None
    assert arrival(0.04, 1, 1e-4, count=80).rate is None  # too short to tell
    assert arrival(1.0, 500, 1e-4, count=10).rate is None
