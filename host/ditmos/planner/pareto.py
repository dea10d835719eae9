"""Trade-offs of two quantities."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter


def pareto(points: Sequence[tuple]) -> list[tuple]:
    """(bytes, instructions, ...) of which none is beaten in both, by rising bytes."""
    points = sorted(points, key=itemgetter(0, 1))
    best: list[tuple] = []
    for point in points:
        if not best or point[1] < best[-1][1]:
            best.append(point)
    return best
