"""Offsets in the arena: buffers that live at the same time never share a byte, all others may.

Packing intervals of life into the smallest arena is NP-hard. Plans have few buffers, so a first-fit over several
orders nearly always meets the lower bound, the largest sum of sizes alive at once; the search stops when it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, permutations

ALIGNMENT = 4
_ORDERS = 2000  # tried before settling for the best one found


@dataclass(frozen=True)
class Block:
    """``size`` bytes at a multiple of ``alignment``, alive in the steps ``first`` to ``last``, both included."""

    size: int
    first: int
    last: int
    alignment: int = 1

    def meets(self, other: Block) -> bool:
        return self.first <= other.last and other.first <= self.last


def peak(blocks: Sequence[Block]) -> int:
    """Largest sum of sizes alive in one step: no layout can be smaller."""
    return max((sum(b.size for b in blocks if b.first <= t <= b.last) for t in {b.first for b in blocks}), default=0)


def _first_fit(blocks: Sequence[Block], order: Sequence[int]) -> tuple[int, list[int]]:
    offsets = [0] * len(blocks)
    placed: list[int] = []
    total = 0
    for i in order:
        block = blocks[i]
        offset = 0
        for j in sorted((j for j in placed if blocks[j].meets(block)), key=lambda j: offsets[j]):
            if offset + block.size <= offsets[j]:
                break
            offset = max(offset, -(-(offsets[j] + blocks[j].size) // block.alignment) * block.alignment)
        offsets[i] = offset
        placed.append(i)
        total = max(total, offset + block.size)
    return total, offsets


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
    best: tuple[int, list[int]] | None = None
    for order in islice(_orders(blocks), _ORDERS):
        total, offsets = _first_fit(blocks, order)
        total = -(-total // ALIGNMENT) * ALIGNMENT
        if best is None or total < best[0]:
            best = total, offsets
        if best[0] <= bound:
            break
    assert best is not None  # there is at least one order
    return best
