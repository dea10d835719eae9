"""Events against what happened: missed, false accepts an hour, latency.

An event is right where it names what happens at that time, or what ended no longer than the tolerance ago, and is the
first that does. Any other is a false accept: another class, the same thing twice, nothing there. What the model's
silent classes name ("unknown") cannot be missed.

Latency of a word counts from its end, as it cannot be known before; of an activity from its start.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ditmos.live.listening import Hearing
from ditmos.live.track import Track

TOLERANCE_S = 1.0
Event = tuple[float, int]  # seconds, class


@dataclass(frozen=True)
class Judged:
    """events: of the track that could be missed. missed: share of them. latency: seconds, median and 95 % of the right
    ones; None where there are none. per_hour: false accepts."""

    events: int
    missed: float
    false_accepts: int
    per_hour: float
    latency_median: float | None
    latency_p95: float | None
    missed_by_class: tuple[float | None, ...]


def said(hearing: Hearing, hear: Callable[[Sequence[int]], int | None]) -> list[Event]:
    """What an events function says of a hearing. Where nobody answered, it is not called, as on a board."""
    found: list[Event] = []
    for when, scores in zip(hearing.times[hearing.heard], hearing.scores[hearing.heard], strict=True):
        label = hear(scores.tobytes())
        if label is not None:
            found.append((float(when), label))
    return found


def judge(
    events: Iterable[Event],
    track: Track,
    silent: Collection[int] = (),
    tolerance: float = TOLERANCE_S,
    since: float = 0,
) -> Judged:
    """``since``: seconds; what began before is not counted, nor are events before."""
    counted = np.flatnonzero(~np.isin(track.label, list(silent)) & (track.start >= since))
    late = np.full(len(track.label), np.nan)
    false = 0
    for when, label in events:
        if when < since:
            continue
        match = _match(track, counted, late, when, label, tolerance)
        if match is None:
            false += 1
        else:
            late[match] = when - (track.start if track.continuous else track.end)[match]
    hit = ~np.isnan(late[counted])
    latencies = late[counted][hit]
    hours = (track.seconds - since) / 3600
    by_class = []
    for c in range(len(track.class_names)):
        own = hit[track.label[counted] == c]
        by_class.append(float(1 - own.mean()) if len(own) else None)
    return Judged(
        events=len(counted),
        missed=float(1 - hit.mean()) if len(counted) else 0.0,
        false_accepts=false,
        per_hour=false / hours,
        latency_median=float(np.median(latencies)) if len(latencies) else None,
        latency_p95=float(np.percentile(latencies, 95)) if len(latencies) else None,
        missed_by_class=tuple(by_class),
    )


def _match(
    track: Track, counted: NDArray[np.int64], late: NDArray[np.float64], when: float, label: int, tolerance: float
) -> int | None:
    """The event of the track that this one names, not yet taken."""
    own = counted[(track.start[counted] <= when) & (when <= track.end[counted] + tolerance)]
    own = own[(track.label[own] == label) & np.isnan(late[own])]
    return int(own[0]) if len(own) else None
