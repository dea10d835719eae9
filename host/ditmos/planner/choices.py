"""What is tried for a slice: how many rows its stages compute at once, and how much scratch they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

from ditmos.model.layer_shape import LayerShape
from ditmos.planner.calls import Chunk, LayerCost, packed_size, pair_scratch

_MOST_SCRATCH = 8  # sizes, beside those that quads want


def chunk_choices(shapes: Sequence[LayerShape], combinations: int) -> Iterator[tuple[int, ...]]:
    """Chunks to try, one for each stage, at most so many. Stages of one level have the same: they feed one reader."""
    levels = [s.inputs[0].level if s.kind != "fc" else -1 for s in shapes]
    order = sorted({level for level in levels if level >= 0})
    if len(shapes) == 1 or not order:
        yield tuple(s.rows_out for s in shapes)
        return
    options = []
    for level in order:
        rows = max(s.rows_out for s, at in zip(shapes, levels, strict=True) if at == level)
        sizes = [1, 2, 4, 6, 8, 12, 16, 24, 32]
        options.append([c for c in sizes if 2 * c <= rows] + [rows] * (level == order[-1] or rows <= 2))
    while (total := prod(map(len, options))) > combinations:
        longest = max(options, key=len)
        del longest[len(longest) // 2 if len(longest) > 2 else -1]
        if total == prod(map(len, options)):
            break
    for choice in product(*options):
        by_level = dict(zip(order, choice, strict=True))
        yield tuple(1 if at < 0 else min(by_level[at], s.rows_out) for s, at in zip(shapes, levels, strict=True))


def scratch_sizes(
    options: Sequence[Sequence[LayerCost]],
    counts: Sequence[Counter[Chunk]],
    gathered: Sequence[int],
    edges: Sequence[int],
) -> list[int]:
    """Bytes to try, the fewest with which the slice can run among them. Of each stage: its packings; its chunks; bytes
    of inputs that a fully connected layer has to gather; bytes for rows at the edges of a padded map, which the kernel
    has not."""
    sizes, quads = {0}, set()
    for choice, count, inputs, edge in zip(options, counts, gathered, edges, strict=True):
        largest = max(chunk.rows for chunk in count)
        sizes.add(-(-inputs // 4) * 4)
        for cost in choice:
            quads.add(edge + cost.quad_scratch)
            if cost.pairs:
                sizes |= {edge + pair_scratch(cost, largest, windows) for windows in (4, 8, 16, 32, largest + 2)}
            if cost.has_carry:
                sizes |= {edge + packed_size(cost, windows) for windows in (4, 8, 16) if windows <= largest}
    least = max(edges)
    ordered = sorted({max(size, least) for size in sizes})
    quads = {max(size, least) for size in quads}
    return sorted({*ordered[:: -(-len(ordered) // _MOST_SCRATCH)], *quads})
