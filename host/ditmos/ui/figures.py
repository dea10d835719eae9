"""A stream in a few numbers, as they stand beside the signal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ditmos.ui.history import History

RECENT = 200  # answers that the figures are about


@dataclass(frozen=True)
class Figures:
    """Of the newest answers. latency, device: (median, 99 %) in milliseconds; device is on the board, from samples to
    label. duty: share of the time that the board computes. usage: share of answers by who gave them. right: share of
    the windows whose class is known. damaged, repeated: frames on the line, both ways; restarts: of the stream. lost,
    clipped: rows and values of a sensor on the board."""

    answers: int
    rate: float
    latency: tuple[float, float]
    device: tuple[float, float]
    duty: float
    usage: dict[int, float]
    right: float | None
    damaged: int
    repeated: int
    restarts: int
    lost: int
    clipped: int


def figures_of(history: History) -> Figures | None:
    """None as long as nothing was answered."""
    recent = history.last(RECENT)
    if not recent:
        return None
    results = [answer.result for answer in recent]
    latency = np.array([result.latency * 1000 for result in results])
    device = np.array([result.microseconds / 1000 for result in results])
    span = recent[-1].when - recent[0].when
    rate = (len(recent) - 1) / span if span > 0 else 0.0
    known = [answer for answer in recent if answer.truth is not None]
    counts = history.counts
    usage = Counter(result.who for result in results)
    return Figures(
        answers=history.count,
        rate=rate,
        latency=_middle_and_end(latency),
        device=_middle_and_end(device),
        duty=float(device.mean()) / 1000 * rate,
        usage={who: count / len(results) for who, count in sorted(usage.items())},
        right=sum(a.truth == a.result.label for a in known) / len(known) if known else None,
        damaged=counts.bad + counts.device.get("bad", 0),
        repeated=counts.resent + counts.device.get("resent", 0),
        restarts=counts.restarts,
        lost=counts.device.get("lost", 0),
        clipped=counts.device.get("clipped", 0),
    )


def _middle_and_end(values: np.ndarray) -> tuple[float, float]:
    middle, end = np.percentile(values, (50, 99))
    return float(middle), float(end)
