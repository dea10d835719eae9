"""Offsets in the arena: buffers that live at the same time never share a byte, all others may.

Packing intervals of life into the smallest arena is NP-hard. Plans have few buffers, so a first-fit over several
orders nearly always meets the lower bound, the largest sum of sizes alive at once; the search stops when it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, permutations

ALIGNMENT = 4
_ORDERS = 400  # tried before settling for the best one found


@dataclass(frozen=True)
class Part:
    """``size`` bytes at ``offset`` from the start of a block (before it: negative), alive from step ``first`` to
    ``last``, both included."""

    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Block:
    """``size`` bytes, alive in the steps ``first`` to ``last``, both included; their offset divided by ``alignment``
    leaves ``residue``. ``attached``: what lies at fixed places beside them, or on them."""

    size: int
    first: int
    last: int
    alignment: int = 1
    residue: int = 0
    attached: tuple[Part, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        return Part(0, self.size, self.first, self.last), *self.attached

    def at_or_after(self, offset: int) -> int:
        """The first offset that this block can have."""
        return offset + (self.residue - offset) % self.alignment

    def meets(self, other: Block) -> bool:
        return self.first <= other.last and other.first <= self.last


def _bytes_alive(block: Block, step: int) -> int:
    """Attached parts may share bytes."""
    spans = sorted((p.offset, p.offset + p.size) for p in block.parts if p.first <= step <= p.last)
    total, end = 0, min((begin for begin, _ in spans), default=0)
    for begin, stop in spans:
        total += max(stop - max(begin, end), 0)
        end = max(end, stop)
    return total


def peak(blocks: Sequence[Block]) -> int:
    """Largest sum of sizes alive in one step: no layout can be smaller."""
    steps = {part.first for block in blocks for part in block.parts}
    return max((sum(_bytes_alive(block, step) for block in blocks) for step in steps), default=0)


def _first_fit(
    blocks: Sequence[Block], all_parts: Sequence[tuple[Part, ...]], order: Sequence[int]
) -> tuple[int, list[int]]:
    offsets = [0] * len(blocks)
    placed: list[tuple[int, int, int, int]] = []  # start, end, first and last step, by rising start
    for i in order:
        block, parts = blocks[i], all_parts[i]
        offset = block.at_or_after(max(-part.offset for part in parts))
        settled = False
        while not settled:
            settled = True
            for part in parts:
                begin = offset + part.offset
                for start, end, first, last in placed:
                    if begin < end and start < begin + part.size and first <= part.last and part.first <= last:
                        offset = block.at_or_after(end - part.offset)
                        begin = offset + part.offset
                        settled = len(parts) == 1  # one alone only moves past what it has met
        offsets[i] = offset
        placed += [(offset + p.offset, offset + p.offset + p.size, p.first, p.last) for p in parts]
        placed.sort()
    return max((end for _, end, _, _ in placed), default=0), offsets


def _orders(blocks: Sequence[Block]) -> Iterator[Sequence[int]]:
    indices = range(len(blocks))
    yield sorted(indices, key=lambda i: (-blocks[i].size, blocks[i].first))
    yield sorted(indices, key=lambda i: (blocks[i].first - blocks[i].last, -blocks[i].size))
    yield sorted(indices, key=lambda i: (-blocks[i].alignment, -blocks[i].size))
    yield sorted(indices, key=lambda i: -blocks[i].size * (1 + blocks[i].last - blocks[i].first))
    # The largest blocks decide: all orders of the first few, in the order of size.
    yield from permutations(sorted(indices, key=lambda i: -blocks[i].size))


def layout(blocks: Sequence[Block]) -> tuple[int, list[int]]:
    """Offsets of the blocks and the bytes of the arena, a multiple of `ALIGNMENT`."""
    bound = -(-peak(blocks) // ALIGNMENT) * ALIGNMENT
    parts = [block.parts for block in blocks]
    best: tuple[int, list[int]] | None = None
    for order in islice(_orders(blocks), _ORDERS):
        total, offsets = _first_fit(blocks, parts, order)
        total = -(-total // ALIGNMENT) * ALIGNMENT
        if best is None or total < best[0]:
            best = total, offsets
        if best[0] <= bound:
            break
    assert best is not None  # there is at least one order
    return best
