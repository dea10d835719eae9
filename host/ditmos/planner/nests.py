"""What a slice can put where a map is used up: line buffers, the map that it makes, carries.

The slice reads a map, its host, for the last time. From call to call more of the host's first rows are of no use to
anybody, in each of its planes, and these bytes can be had: one line buffer (or two side by side) may reach into plane
0 from before the host, everything else lies inside of one plane.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from ditmos.planner.layout import ALIGNMENT
from ditmos.planner.pareto import pareto

_MOST_PLANES = 8  # of a host that are used


@dataclass(frozen=True)
class Host:
    """Map of ``layer`` from before the slice."""

    layer: int
    rows: int
    channels: int


@dataclass(frozen=True)
class Step:
    """A call of stage ``stage`` (its position in the slice) when it has ``done`` rows, and the ``dead`` rows of the
    host, those that no stage needs from this call on."""

    stage: int
    done: int
    rows: int
    dead: int


@dataclass(frozen=True)
class Nest:
    """``outs`` and ``carries``: position of a stage -> bytes from the host's start to its output or carry. residue: of
    the host's offset divided by `ALIGNMENT`. saved: bytes that outputs need no more. alive: position of a stage -> its
    first call that can use the carry."""

    host: int
    residue: int
    outs: dict[int, int]
    carries: dict[int, int]
    saved: int
    alive: dict[int, int]


@dataclass
class _Planes:
    """How much of each plane of the host is taken."""

    host: Host
    residue: int
    tops: list[int] = field(init=False)

    def __post_init__(self) -> None:
        starts = range(self.residue, self.residue + _MOST_PLANES * self.host.rows, self.host.rows)
        self.tops = [-start % ALIGNMENT for start in starts[: self.host.channels]]

    def take(self, plane: int, end: int) -> None:
        """Rows below ``end`` are taken; the next aligned byte is free."""
        start = self.residue + plane * self.host.rows
        self.tops[plane] = end + -(start + end) % ALIGNMENT

    def lowest(self) -> int:
        return self.tops.index(min(self.tops))

    def put(self, plane: int, size: int) -> int | None:
        """Takes ``size`` bytes of a plane; returns where they are in the host."""
        row = self.tops[plane]
        if row + size > self.host.rows:
            return None
        self.take(plane, row + size)
        return plane * self.host.rows + row


def nests(
    host: Host,
    steps: Sequence[Step],
    lines: Sequence[tuple[tuple[int, ...], int]],
    made: tuple[int, int, int] | None,
    carries: Sequence[tuple[int, int, float]],
) -> list[Nest]:
    """Ways to use a host's dead rows, of which none is better in both bytes and calls spared.

    lines: stages whose line buffers lie side by side, and the bytes of each of them. made: stage, rows and channels of
    the whole map that the slice makes. carries: stage, bytes, and instructions that a carry spares a call; those that
    spare most choose their place first.
    """
    carries = sorted(carries, key=lambda carry: -carry[2])
    found = []
    calls = Counter(step.stage for step in steps)
    for nest in _all_nests(host, steps, lines, made, carries):
        spared = sum(
            worth * (calls[stage] - 1 - nest.alive.get(stage, calls[stage] - 1)) for stage, _, worth in carries
        )
        found.append((-nest.saved, -spared, nest))
    return [nest for _, _, nest in pareto(found)]


def _all_nests(
    host: Host,
    steps: Sequence[Step],
    lines: Sequence[tuple[tuple[int, ...], int]],
    made: tuple[int, int, int] | None,
    carries: Sequence[tuple[int, int, float]],
) -> Iterator[Nest]:
    map_planes = (None, *range(min(host.channels, ALIGNMENT))) if made else (None,)
    calls = [[step.dead for step in steps if step.stage == stage] for stage, _, _ in carries]
    for residue, line, map_plane in product(range(ALIGNMENT), (None, *lines), map_planes):
        planes = _Planes(host, residue)
        outs: dict[int, int] = {}
        saved = -residue  # bytes before the host, for nothing
        if line is not None:
            stages, size = line
            need = _reach(steps, stages, size, residue)
            if need is None:
                continue
            total = len(stages) * size
            outs |= {stage: i * size - need for i, stage in enumerate(stages)}
            planes.take(0, total - need)
            saved = total - need
        if made is not None and map_plane is not None:
            stage, rows, channels = made
            place = planes.put(map_plane, rows * channels)
            if place is None or not _map_fits(steps, stage, rows, channels, place - map_plane * host.rows):
                continue
            outs[stage] = place
            saved += rows * channels
        nest = Nest(host.layer, residue, outs, {}, saved, {})
        for (stage, size, _), dead in zip(carries, calls, strict=True):
            _put_carry(nest, planes, dead, stage, size)
        if nest.outs or nest.carries:
            yield nest


def _reach(steps: Sequence[Step], stages: tuple[int, ...], size: int, residue: int) -> int | None:
    """Bytes before the host at which line buffers start, such that those of their bytes that fall on its plane 0 are
    dead when they are first written; None: not one can be had."""
    total = len(stages) * size
    first = [next(step.dead for step in steps if step.stage == stage) for stage in stages]
    for need in range(max(total - max(first), 0), total):
        ends = ((i + 1) * size - need for i in range(len(stages)))
        free = all(end <= max(dead, 0) for end, dead in zip(ends, first, strict=True))
        if free and (residue - need) % ALIGNMENT == 0:
            return need
    return None


def _map_fits(steps: Sequence[Step], stage: int, rows: int, channels: int, row: int) -> bool:
    """Whether a map at row ``row`` of a plane is always written on dead rows."""
    own = (step for step in steps if step.stage == stage)
    return all(row + (channels - 1) * rows + step.done + step.rows <= step.dead for step in own)


def _put_carry(nest: Nest, planes: _Planes, dead: Sequence[int], stage: int, size: int) -> None:
    """``dead``: rows of the host that are dead at each of the stage's calls."""
    plane = planes.lowest()
    alive = bisect_left(dead, planes.tops[plane] + size)
    if alive + 1 < len(dead):  # the first call that uses the place only fills it
        place = planes.put(plane, size)
        if place is not None:
            nest.carries[stage] = place
            nest.alive[stage] = alive
