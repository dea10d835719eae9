"""What one call of a kernel does on the Cortex-M7: events, which follow the control flow of cmodule/kernels_m7*.c."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ditmos.model import packings, padding
from ditmos.model.lanes import lane_shape, quad_words
from ditmos.model.layer_shape import LayerShape

Events = Counter[str]

TURNS = ((5, 4), (8, 2))  # pairs of taps, up to which so many planes make one turn of the loop
GROUP = 4  # packed planes that stand together
TURN8_TAPS = 2  # pairs of taps, up to which two groups make one turn, else one
LEAVE_TAPS = 6  # pairs of taps, from which on the end of a turn asks where to go on
QUAD_TURN = 8  # words in one turn of the loop over a quad
TILE_WORDS = 32  # that quads pack on the stack where there is no scratch
CHANNEL_ROWS = 4  # that a block of a depthwise convolution has, before pooling
CHANNEL_LOOPS = (3, 5, 9)  # taps for which it has a loop of its own
FC_COPY_SIZE = 512  # bytes of inputs that a fully connected layer can copy to the stack; more need scratch


@dataclass(frozen=True)
class LayerCost:
    """What the kernels need to know of a layer's weights: their packing, channels in pairs (three lanes) and in quads
    (SMLAD). Of several classifiers the one with fewest pairs; ``most_pairs`` is of the one with most."""

    shape: LayerShape
    packing: int
    pairs: int
    quads: int
    most_pairs: int

    @property
    def taps(self) -> int:
        """Pairs of taps of a plane, as lanes see it."""
        return (lane_shape(self.shape)[1] + 1) // 2

    @property
    def odd(self) -> int:
        return lane_shape(self.shape)[1] & 1

    @property
    def planes(self) -> int:
        """As lanes see them."""
        return lane_shape(self.shape)[0]

    @property
    def has_carry(self) -> bool:
        """Whether its pairs can go on where the chunk before has ended, and run without scratch."""
        return self.pairs > 0 and (self.shape.stride, self.shape.pool) == (1, 2)

    @property
    def quad_scratch(self) -> int:
        """Bytes of scratch without which quads run slowly, 0 where there are none."""
        return 8 * quad_words(self.shape) if self.quads else 0


@dataclass(frozen=True)
class Windows:
    """How `find_windows` and `find_places` of cmodule/kernels_m7_pairs.c see a call: windows that run from packed
    planes, whether one is before the first row's, whether rows of the last ones are not wanted, and bytes beside those
    of the packed planes: where not all windows fit, and where they do."""

    count: int
    early: bool
    beyond: bool
    tiled_bytes: int
    bytes: int


def windows_of(layer: LayerCost, rows: int, carry: bool, fresh: bool) -> Windows:
    """carry: there is one. fresh: nothing is in it yet."""
    shape = layer.shape
    rows_of_window = 1 if shape.pool == 2 else 2
    count = -(-rows // rows_of_window)
    carries = (shape.stride, shape.pool) == (1, 2)
    early = shape.stride == 2 or (fresh and count % 2 == 1)
    count += early
    count += -(count % 2) if carries else count % 2
    beyond = (count - early) * rows_of_window > rows
    spare = -(-2 * rows_of_window * shape.channels_out // 4) * 4 if beyond else 0
    kept = 0 if carry and carries else 4 * shape.channels_out
    return Windows(count, early, beyond, kept + spare, kept + spare if early or beyond else 0)


def packed_windows(layer: LayerCost, scratch: int) -> int:
    """Windows (an even number) whose packed input fits into ``scratch`` bytes."""
    words = scratch // (8 * GROUP * -(-layer.planes // GROUP)) * 2
    return (words + 1 - layer.taps) & ~1 if words >= layer.taps + 1 else 0


def packed_size(layer: LayerCost, windows: int) -> int:
    """Bytes of packed input for ``windows`` windows: the inverse of `packed_windows`."""
    return 8 * GROUP * -(-layer.planes // GROUP) * ((windows + layer.taps) // 2)


def pair_scratch(layer: LayerCost, rows: int, windows: int = 1 << 20) -> int:
    """Bytes of scratch with which pairs run ``rows`` rows, so many windows at a time."""
    found = windows_of(layer, rows, carry=False, fresh=True)
    if windows < found.count:
        return found.tiled_bytes + packed_size(layer, windows)
    return found.bytes + packed_size(layer, found.count)


def least_scratch(layer: LayerCost, rows: int) -> int:
    """Bytes of scratch without which the layer runs slowly, ``rows`` rows at a time."""
    pairs = pair_scratch(layer, rows) if layer.pairs and not layer.has_carry else 0
    return max(pairs, layer.quad_scratch)


class Chunk(NamedTuple):
    """Rows that a stage runs at once, in the pieces that padding makes of them: rows, and whether they are at an edge.
    ``first``: the first chunk of its stage."""

    pieces: tuple[tuple[int, bool], ...]
    first: bool

    @property
    def rows(self) -> int:
        return sum(rows for rows, _ in self.pieces)


def chunk_of(shape: LayerShape, first: int, rows: int, *, begins: bool) -> Chunk:
    """Of output rows ``first`` to before ``first + rows``; ``begins``: nothing is carried into them."""
    if not any(shape.pad):
        return Chunk(((rows, False),), begins)
    return Chunk(tuple((part.rows, part.edge) for part in padding.parts(shape, first, rows)), begins)


def chunk_events(
    layer: LayerCost, chunk: Chunk, *, carry: bool = False, scratch: int = 0, joined: bool = False, runs: int = 0,
    edge: int = 0,
) -> Events:  # fmt: skip
    """What a stage does for a chunk. ``edge``: bytes of the scratch in which the input of rows at an edge is gathered;
    the kernel has what is left. The rest as in `call_events`."""
    if not edge:
        return call_events(layer, chunk.rows, first=chunk.first, carry=carry, scratch=scratch, joined=joined, runs=runs)
    events: Events = Counter({"padded": 1})
    for i, (rows, gathered) in enumerate(chunk.pieces):
        first = chunk.first and i == 0
        events += call_events(
            layer, rows, first=first, carry=carry, scratch=scratch - edge, joined=joined or gathered, runs=runs
        )
        if gathered:
            planes = layer.shape.channels_in
            size = planes * padding.rows_in(layer.shape, rows)
            events += Counter({"gather_plane": planes, "gather_byte": size})
    return events


def call_events(
    layer: LayerCost,
    rows: int,
    *,
    first: bool = True,
    carry: bool = False,
    scratch: int = 0,
    joined: bool = False,
    runs: int = 0,
) -> Events:
    """What one kernel call does.

    joined: both operands follow each other in memory with one stride. runs: pieces from which a fully connected layer
    has to gather its inputs; 0 where they are one aligned run of bytes.
    """
    shape = layer.shape
    events: Events = Counter({"call": 1})
    if shape.kind == "fc":
        words = -(-shape.channels_in // 4)
        groups = -(-shape.channels_out // 4)
        room = max(FC_COPY_SIZE, scratch)
        gathered = Counter({"fc_run": runs, "fc_byte": shape.channels_in} if runs else {})
        if 8 * words <= room and layer.packing == packings.WIDE:
            return events + gathered + Counter({"fc_group": groups, "fc_widened": groups * words, "fc_widen": words})
        if runs and 4 * words > room:
            return events + Counter({"fc_slow": shape.channels_out, "fc_slow_byte": shape.weights})
        return events + gathered + Counter({"fc_group": groups, "fc_words": groups * words})
    if shape.channelwise:
        return events + _channel_events(shape, rows)
    if layer.pairs:
        second = len(shape.inputs) == 2 and not joined
        events += _pair_events(layer, rows, first, carry, scratch, second)
    if layer.quads:
        events += _quad_events(layer, rows, scratch)
    return events


def _channel_events(shape: LayerShape, rows: int) -> Events:
    """Channels one by one."""
    channels = shape.channels_out
    if shape.kind == "average":
        return Counter(
            {"mean_channel": channels, "mean_row": channels * rows, "mean_tap": channels * rows * shape.kernel}
        )
    before = rows * shape.pool
    if before < CHANNEL_ROWS:
        return Counter(
            {"channel": channels, "channel_row": channels * before, "channel_tap": channels * before * shape.kernel}
        )
    blocks = channels * -(-before // CHANNEL_ROWS)
    if shape.kernel in CHANNEL_LOOPS and shape.step == 1:
        return Counter({"channel_own": channels, "channel_own_block": blocks, "channel_own_tap": blocks * shape.kernel})
    return Counter({"channel": channels, "channel_block": blocks, "channel_block_tap": blocks * shape.kernel})


def _turn(taps: int) -> int:
    """Planes in one turn of the loop over int8 planes."""
    return next((planes for most, planes in TURNS if taps <= most), 1)


def _pair_events(layer: LayerCost, rows: int, first: bool, carry: bool, scratch: int, second: bool) -> Events:
    fresh = not (carry and layer.has_carry) or first
    windows = windows_of(layer, rows, carry, fresh)
    tile = min(windows.count, packed_windows(layer, scratch - windows.bytes))
    if tile < windows.count:
        tile = min(windows.count, packed_windows(layer, scratch - windows.tiled_bytes))
    saved, cost = layer.pairs * (tile // 2) * (2 * layer.taps + 4), 4 * (tile - 1 + layer.taps)
    if scratch and tile > 0 and (not layer.has_carry or saved > cost):
        return _packed_events(layer, rows, windows, tile, fresh, second)
    if not layer.has_carry:
        sums = 2 * layer.most_pairs * rows * layer.shape.pool
        planes = sums * layer.planes
        return Counter({"slow": 1, "slow_sum": sums, "slow_plane": planes, "slow_tap": planes * 2 * layer.taps})
    events = _plane_events(layer, rows, fresh, second)
    if scratch:
        events["unpacked"] += 1
    return events


def _edge_events(layer: LayerCost, rows: int, half: bool, window: bool, second: bool) -> Events:
    """The carry into the first row, and a last row alone."""
    duos, planes = (layer.pairs + 1) // 2, layer.planes  # two pairs side by side
    events: Events = Counter()
    if half or window:  # else all pairs run in a row
        events["duo"] += duos
    if half:
        events += Counter(
            {"half": duos, "half_plane": duos * planes, "half_tap": duos * planes * (layer.taps - layer.odd)}
        )
    if window:
        events += Counter({"window": duos, "window_plane": duos * planes, "window_tap": duos * planes * layer.taps})
    if second:
        events["row_second"] += duos * (half + window)
    return events


def _plane_events(layer: LayerCost, rows: int, fresh: bool, second: bool) -> Events:
    """Three lanes from int8 planes."""
    planes, taps, pairs = layer.planes, layer.taps, layer.pairs
    direct = not (second or layer.quads or rows % 2 or layer.shape.channels_out % (4 if fresh else 2))
    events: Events = Counter({"direct" if direct else "pairs": 1})
    events += _edge_events(layer, rows, fresh, rows % 2 == 1, second)
    if rows > 1:
        blocks = pairs * (rows // 2)
        operands = layer.shape.input_channels if second else (planes,)
        events += Counter(
            {
                "lanes": pairs,
                "block": blocks,
                "plane": blocks * planes,
                "tap": blocks * planes * taps,
                "turn": blocks * sum(-(-n // _turn(taps)) for n in operands),
            }
        )
        if second:
            events["second"] += blocks
    return events


def _packed_events(layer: LayerCost, rows: int, windows: Windows, tile: int, fresh: bool, second: bool) -> Events:
    """Three lanes from packed planes, ``tile`` windows at a time."""
    planes, taps, pairs = layer.planes, layer.taps, layer.pairs
    blocks = pairs * (windows.count // 2)
    first = pairs * windows.early
    groups = -(-planes // GROUP)
    turns = -(-groups // 2) if taps <= TURN8_TAPS else groups
    leaves = turns if taps >= LEAVE_TAPS else 0
    usual = layer.has_carry
    tiles = -(-windows.count // tile)
    rows_in = (rows * layer.shape.pool - 1) * layer.shape.stride + layer.shape.kernel
    words = windows.count - 1 + taps
    front = windows.early and layer.shape.stride == 1 and rows_in >= 3
    edges = 2 * (windows.early and not front)
    over = max(0, words - (rows_in // layer.shape.stride + 2 * windows.early - (not layer.odd)) // 2)
    left = layer.has_carry and windows.count - windows.early < rows
    events: Events = Counter(
        {
            "packed" if usual else "packed_other": 1,
            "packed_lanes": pairs * (tiles + (windows.beyond and windows.count > 2)),
            "packed_block" if layer.shape.pool == 2 else "rows_block": blocks - first,
            "first_block" if layer.shape.pool == 2 else "first_rows_block": first,
            "packed_turn": 0 if leaves == 1 else blocks * turns,
            "packed_leave": blocks * leaves,
            "packed_middle": blocks * (groups - turns),
            "packed_tap": blocks * planes * taps,
            "tile_packed" if usual else "tile_other": tiles,
            "pack": planes * tiles,
            "pack_word": planes * (windows.count + tiles * (taps - 1) - over - 2 * windows.early),
            "pack_front": planes * front,
            "pack_edge": planes * bool(over or edges),
            "edge_word": planes * (over + edges),
            "spare_pair": windows.beyond * pairs,
        }
    )
    return events + _edge_events(layer, rows, fresh and not windows.early, left, second)


def _quad_events(layer: LayerCost, rows: int, scratch: int) -> Events:
    shape, quads = layer.shape, layer.quads
    words = quad_words(shape)
    passes, single = (rows, 0) if shape.pool == 2 else divmod(rows, 2)  # two windows each
    pairs = shape.channels_in // 2
    alone = shape.channels_in % 2 * ((shape.kernel + 1) // 2)
    runs = _runs(shape.input_channels)
    if scratch < layer.quad_scratch:
        times = (passes + single) * quads
        tiles = -(-pairs // (TILE_WORDS // shape.kernel)) + (alone > 0)  # as if all pairs of planes were in one run
        return Counter(
            {
                "tiled": 1,
                "tiled_quad": times,
                "tile": times * tiles,
                "tiled_run": times * runs,
                "tiled_pair": times * pairs,
                "tiled_tap": times * pairs * shape.kernel,
                "tiled_alone": times * alone,
            }
        )
    turns = -(-words // QUAD_TURN)
    both = passes + single
    return Counter(
        {
            "quads": 1,
            "pass": both,
            "pass_run": both * runs,
            "pass_pair": both * pairs,
            "pass_tap": both * pairs * shape.kernel,
            "pass_alone": both * alone,
            "quad_pooled" if shape.pool == 2 else "quad": passes * quads,
            "quad_single": single * quads,
            "quad_word": passes * quads * words,
            "single_word": single * quads * words,
            "quad_turn": both * quads * turns,
        }
    )


def _runs(channels: Sequence[int]) -> int:
    """Runs of pairs of planes: of each operand, and a pair of the last plane of the first and the first of the
    second."""
    first, second = (*channels, 0)[:2]
    between = first % 2 and second
    return (first > 1) + bool(between) + (second - bool(between) > 1)


def move_events(size: int) -> Events:
    """Rows dropped from a line buffer of ``size`` bytes (`ditmos_engine_drop_rows` moves all of them)."""
    return Counter({"move": 1, "move_byte": size})
