"""Ways to run a slice: what each stage does, and what all of them take."""

from __future__ import annotations

from dataclasses import dataclass

from ditmos.planner.nests import Nest

MOST_POINTS = 100  # of a front; beyond that, points closer than a part of a percent are dropped


@dataclass(frozen=True)
class StageWay:
    chunk: int
    rows: int  # of the output buffer
    carry: bool
    scratch: bool
    nested: bool = False  # the carry lies where the slice's nest has a place for it


StageOption = tuple[int, float, StageWay]  # bytes more, instructions, way


@dataclass(frozen=True)
class Overlay:
    """The slice's last map grows over the map of layer ``host``, ``distance`` bytes ahead, as that is used up.

    Both have the same stride, so that row r of the one takes the place of row r - distance of the other.
    """

    host: int
    distance: int


@dataclass(frozen=True)
class Way:
    """``size``: bytes of all buffers that the slice writes, but for those that lie over a map from before;
    ``cost``: estimated instructions."""

    size: int
    cost: float
    stages: tuple[StageWay, ...]
    scratch: int
    overlay: Overlay | Nest | None = None

    @property
    def place(self) -> int | None:
        """Layer whose map's place the slice's last map takes."""
        if isinstance(self.overlay, Nest):
            return self.overlay.host if len(self.stages) - 1 in self.overlay.outs else None
        return self.overlay.host if self.overlay else None


def thin(ways: list[Way]) -> list[Way]:
    """At most `MOST_POINTS` ways: both ends, and steps of at least so many instructions between."""
    if len(ways) <= MOST_POINTS:
        return ways
    step = (ways[0].cost - ways[-1].cost) / MOST_POINTS
    kept = [ways[0]]
    for way in ways[1:-1]:
        if kept[-1].cost - way.cost >= step:
            kept.append(way)
    return [*kept, ways[-1]]
