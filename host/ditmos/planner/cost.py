"""Instructions that a schedule takes on the Cortex-M7: events of the kernels and the engine, times measured prices.

`call_events` follows the control flow of cmodule/kernels_m7.c and counts what each loop does; the prices were fitted to
counted instructions by ``python tests/cmodule/m7/calibrate.py``, which prints the table below and how well it
predicts. A plan is chosen by these figures; what it really takes is measured by `ditmos bench`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ditmos.model.lanes import lane_channels
from ditmos.model.quantized import QuantizedModel
from ditmos.model.spec import LayerShape, NetworkSpec


@dataclass(frozen=True)
class LayerCost:
    """What the kernels need to know of a layer's weights: channels in pairs (three lanes) and in quads (SMLAD)."""

    shape: LayerShape
    pairs: int
    quads: int

    @property
    def taps(self) -> int:
        """Pairs of taps."""
        return (self.shape.kernel + 1) // 2

    @property
    def odd(self) -> int:
        return self.shape.kernel & 1


def layer_costs(spec: NetworkSpec, model: QuantizedModel | None = None) -> list[LayerCost]:
    """Of each layer, selector first. Of K classifiers the one with most channels over the lane bound; with no model
    every channel that can run on three lanes is taken to do so."""
    costs = []
    branches = [("selector", spec.selector_layers()), ("classifier", spec.classifier_layers())]
    for branch, shapes in branches:
        for i, shape in enumerate(shapes):
            fits = shape.channels_out if shape.kind == "conv" and (shape.stride, shape.pool) == (1, 2) else 0
            if model is not None and shape.kind == "conv":
                layers = [model.selector] if branch == "selector" else model.classifiers
                fits = min(int(lane_channels(shape, layer[i]).sum()) for layer in layers)
            costs.append(LayerCost(shape, -(-fits // 2), -(-(shape.channels_out - fits) // 4)))
    return costs


Events = Counter[str]

TURNS = ((5, 4), (8, 2))  # pairs of taps, up to which so many planes make one turn of the loop
FC_COPY_SIZE = 512  # bytes of gathered inputs that fit on the stack; more need scratch, or slow kernels run


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
        if runs and 4 * words > max(FC_COPY_SIZE, scratch):
            return events + Counter({"fc_slow": shape.channels_out, "fc_slow_byte": shape.weights})
        events += Counter({"fc_group": groups, "fc_words": groups * words})
        return events + Counter({"fc_run": runs, "fc_byte": shape.channels_in} if runs else {})
    second = len(shape.inputs) == 2 and not joined
    if layer.pairs:
        events += _pair_events(layer, rows, first, carry, scratch, second)
    if layer.quads:
        events += _quad_events(layer, rows, second)
    return events


def packed_windows(layer: LayerCost, scratch: int) -> int:
    """Rows (an even number) of output whose packed input fits into ``scratch`` bytes."""
    words = scratch // (16 * ((layer.shape.channels_in + 1) // 2)) * 2
    return (words + 1 - layer.taps) & ~1 if words >= layer.taps + 1 else 0


def packed_size(layer: LayerCost, windows: int) -> int:
    """Bytes of packed input for ``windows`` rows of output: the inverse of `packed_windows`."""
    return 16 * ((layer.shape.channels_in + 1) // 2) * ((windows + layer.taps) // 2)


def _turn(taps: int) -> int:
    """Planes in one turn of the loop over int8 planes."""
    return next((planes for most, planes in TURNS if taps <= most), 1)


def _pair_events(layer: LayerCost, rows: int, first: bool, carry: bool, scratch: int, second: bool) -> Events:
    planes, taps, pairs = layer.shape.channels_in, layer.taps, layer.pairs
    duos = (pairs + 1) // 2  # two pairs side by side
    even = rows & ~1
    windows, carried = packed_windows(layer, scratch), carry
    if windows < even and not carry and scratch > 4 * layer.shape.channels_out:
        carried = True
        windows = packed_windows(layer, scratch - 4 * layer.shape.channels_out)
    windows = min(windows, even)
    packs = (
        windows > 0
        and (windows == even or carried)
        and pairs * (windows // 2) * (2 * taps + 4) > 4 * (windows - 1 + taps)
    )
    tiles = -(-even // windows) if packs else 1
    fresh = not carry or first
    direct = not (second or layer.quads or rows % 2 or layer.shape.channels_out % (4 if fresh else 2))
    events: Events = Counter({"packed" if packs else "direct" if direct else "pairs": 1})
    if scratch and rows > 1 and not packs:
        events["unpacked"] += 1
    if fresh or rows % 2:  # else all pairs run in a row
        events["duo"] += duos
    if fresh:
        half = taps - layer.odd
        events += Counter({"half": duos, "half_plane": duos * planes, "half_tap": duos * planes * half})
        if second:
            events["row_second"] += duos
    if even and not packs:
        blocks = pairs * (even // 2)
        events += Counter({"lanes": pairs, "block": blocks, "plane": blocks * planes, "tap": blocks * planes * taps})
        operands = layer.shape.input_channels if second else (planes,)
        events["turn"] += blocks * sum(-(-n // _turn(taps)) for n in operands)
        if second:
            events["second"] += blocks
    if packs:
        blocks = pairs * (even // 2)
        halves = (planes + 1) // 2
        events += Counter(
            {
                "packed_lanes": pairs * tiles,
                "packed_block": blocks,
                "packed_plane": blocks * halves,
                "packed_tap": blocks * planes * taps,
                "pack": halves * tiles,
                "pack_word": halves * (even + tiles * (taps - 1)),
            }
        )
    if rows & 1:
        events += Counter({"window": duos, "window_plane": duos * planes, "window_tap": duos * planes * taps})
        if second:
            events["row_second"] += duos
    return events


def _quad_events(layer: LayerCost, rows: int, second: bool) -> Events:
    shape, quads = layer.shape, layer.quads
    taps, planes = layer.taps - layer.odd, shape.channels_in
    ones = twos = 0
    left = rows
    if (shape.stride, shape.pool) == (2, 2):
        twos, left = rows, 0
    elif shape.stride * shape.pool == 2:
        twos, left = rows // 2 * shape.pool, rows % 2
    else:
        twos, left = rows // 4 * 2, rows % 4
    ones = left * shape.pool
    events: Events = Counter({"quad": quads, "store": quads * rows})
    for name, count in (("dot1", quads * ones), ("dot2", quads * twos)):
        events += Counter(
            {
                name: count,
                f"{name}_plane": count * planes,
                f"{name}_odd": count * planes * layer.odd,
                f"{name}_tap": count * planes * taps,
                "dot_second": count * second,
            }
        )
    return events


def move_events(size: int) -> Events:
    """Rows dropped from a line buffer of ``size`` bytes (`ditmos_engine_drop_rows` moves all of them)."""
    return Counter({"move": 1, "move_byte": size})


# Instructions per event.
PRICES: dict[str, float] = {
    "block": 51.67,
    "call": 141.37,
    "direct": 11.11,
    "dot1": 113.80,
    "dot1_odd": 9.11,
    "dot1_plane": 4.87,
    "dot1_tap": 9.01,
    "dot2": 144.30,
    "dot2_odd": 15.93,
    "dot2_plane": 11.07,
    "dot2_tap": 14.03,
    "dot_second": 21.33,
    "duo": 32.74,
    "fc_byte": 1.29,
    "fc_group": 23.86,
    "fc_run": 28.48,
    "fc_slow": 354.77,
    "fc_slow_byte": 23.83,
    "fc_words": 13.37,
    "half": 1.61,
    "half_plane": 7.77,
    "half_tap": 6.94,
    "lanes": 36.02,
    "move": 159.39,
    "move_byte": 0.84,
    "pack": 62.10,
    "pack_word": 7.86,
    "packed": 296.09,
    "packed_block": 52.47,
    "packed_lanes": 32.89,
    "packed_plane": 4.29,
    "packed_tap": 6.05,
    "pairs": 146.97,
    "plane": 4.97,
    "quad": 42.52,
    "row_second": 15.76,
    "second": 13.18,
    "slice": 57.31,
    "stage": 68.31,
    "store": 58.30,
    "tap": 8.03,
    "turn": 2.77,
    "unpacked": 111.60,
    "window": 99.25,
    "window_plane": 5.09,
    "window_tap": 9.05,
}


def instructions(events: Events) -> float:
    return sum(PRICES[name] * count for name, count in events.items())


def fit(observations: Sequence[tuple[Events, int]]) -> tuple[dict[str, float], np.ndarray]:
    """Prices by least squares of the relative error, and the relative errors."""
    names = sorted({name for events, _ in observations for name in events})
    matrix = np.array([[events[name] for name in names] for events, _ in observations], float)
    counted = np.array([count for _, count in observations], float)
    prices, *_ = np.linalg.lstsq(matrix / counted[:, None], np.ones(len(counted)), rcond=None)
    return dict(zip(names, prices.tolist(), strict=True)), matrix @ prices / counted - 1
