"""Instructions that a schedule takes on the Cortex-M7: events of the kernels and the engine, times measured prices.

The prices were fitted to counted instructions by ``python tests/cmodule/m7/calibrate.py``, which prints the table below
and how well it predicts. A plan is chosen by these figures; what it really takes is measured by `ditmos bench`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ditmos.model import packings
from ditmos.model.lanes import lane_channels
from ditmos.model.layer_shape import LayerShape
from ditmos.model.quantized import QuantizedLayer, QuantizedModel
from ditmos.model.spec import NetworkSpec
from ditmos.planner.calls import Events, LayerCost, call_events


def layer_costs(spec: NetworkSpec, model: QuantizedModel | None = None) -> list[LayerCost]:
    """Of each layer, selector first, in the packing by which it runs fastest with all the scratch it can use."""
    return [options[0] for options in layer_options(spec, model)]


def layer_options(spec: NetworkSpec, model: QuantizedModel | None = None) -> list[tuple[LayerCost, ...]]:
    """Of each layer, selector first, in every packing that the Cortex-M7 kernels are made for, the fastest first. Of K
    classifiers the one with most channels over the lane bound; with no model every channel is taken to be under it."""
    found = []
    for branch, shapes in (("selector", spec.selector_layers()), ("classifier", spec.classifier_layers())):
        for i, shape in enumerate(shapes):
            layers = [] if model is None else [model.selector] if branch == "selector" else model.classifiers
            options = [layer_cost(shape, packing, [layer[i] for layer in layers]) for packing in _packings(shape)]
            some = [cost for cost in options if cost.packing != packings.LANES or cost.pairs]
            found.append(tuple(sorted(some, key=_whole_layer)))
    return found


def _packings(shape: LayerShape) -> tuple[int, ...]:
    if shape.channelwise:
        return (packings.PLAIN,)
    return (packings.LANES, packings.QUADS) if shape.kind == "conv" else (packings.WIDE,)


def layer_cost(shape: LayerShape, packing: int, layers: Sequence[QuantizedLayer]) -> LayerCost:
    """Of one layer; ``layers``: its weights in all classifiers, or none."""
    if shape.kind != "conv":
        return LayerCost(shape, packing, 0, 0, 0)
    fits = [0]
    if packing == packings.LANES:
        fits = [int(lane_channels(layer).sum()) for layer in layers] or [shape.channels_out]
    return LayerCost(shape, packing, -(-min(fits) // 2), -(-(shape.channels_out - min(fits)) // 4), -(-max(fits) // 2))


def _whole_layer(layer: LayerCost) -> float:
    """Instructions of the layer in one call with all the scratch it can use."""
    return instructions(call_events(layer, layer.shape.rows_out, scratch=1 << 24))


# Instructions per event, as counted in the assembly.
LOOPS: dict[str, float] = {
    "fc_widened": 10.9,
    "fc_words": 13.5,
    "half_tap": 7,
    "pack_front": 7,
    "pack_word": 3.75,
    "packed_leave": 1,
    "packed_middle": 2,
    "packed_tap": 6,
    "packed_turn": 4,
    "pass_pair": 5,
    "pass_tap": 9,
    "quad_turn": 3,
    "quad_word": 11,
    "single_word": 6,
    "tap": 8,
    "window_tap": 9,
}

# Instructions per event, fitted.
FITTED: dict[str, float] = {
    "block": 52.07,
    "call": 153.70,
    "channel": 55.98,
    "channel_block": 50.66,
    "channel_block_tap": 11.12,
    "channel_own": 36.72,
    "channel_own_block": 14.76,
    "channel_own_tap": 6.04,
    "channel_row": 26.76,
    "channel_tap": 5.34,
    "direct": 6.68,
    "duo": 24.61,
    "edge_word": 15.46,
    "fc_byte": 1.23,
    "fc_group": 23.82,
    "fc_run": 29.67,
    "fc_slow": 619.08,
    "fc_slow_byte": 23.33,
    "fc_widen": 4.78,
    "first_block": 55.50,
    "first_rows_block": 42.78,
    "gather_byte": 5.09,
    "gather_plane": 49.07,
    "half": 1.49,
    "half_plane": 8.11,
    "lanes": 36.37,
    "mean_channel": 39.14,
    "mean_row": 24.21,
    "mean_tap": 3.16,
    "move": 82.16,
    "move_byte": 2.72,
    "pack": 11.87,
    "pack_edge": 27.88,
    "packed": 266.10,
    "packed_block": 55.96,
    "packed_lanes": 30.78,
    "packed_other": 441.77,
    "padded": 146.85,
    "pairs": 160.39,
    "pass": 37.35,
    "pass_alone": 13.70,
    "pass_run": 23.26,
    "plane": 5.24,
    "quad": 51.24,
    "quad_pooled": 51.73,
    "quad_single": 39.15,
    "quads": 82.42,
    "row_second": 22.30,
    "rows_block": 89.91,
    "second": 6.02,
    "slice": 33.46,
    "slow": 66.49,
    "slow_plane": 31.34,
    "slow_sum": 73.04,
    "slow_tap": 19.50,
    "spare_pair": 80.78,
    "stage": 82.12,
    "tile": 43.48,
    "tile_other": 130.00,
    "tile_packed": 110.00,
    "tiled": 72.28,
    "tiled_alone": 24.61,
    "tiled_pair": 5.31,
    "tiled_quad": 240.22,
    "tiled_run": 52.14,
    "tiled_tap": 20.58,
    "turn": 1.89,
    "unpacked": 141.28,
    "window": 105.11,
    "window_plane": 4.73,
}

PRICES = LOOPS | FITTED


def instructions(events: Events) -> float:
    return sum(PRICES[name] * count for name, count in events.items())


def fit(
    observations: Sequence[tuple[Events, int]], known: Mapping[str, float] = LOOPS
) -> tuple[dict[str, float], np.ndarray]:
    """Prices of what is not ``known`` by least squares of the relative error, and the relative errors."""
    names = sorted({name for events, _ in observations for name in events} - set(known))
    matrix = np.array([[events[name] for name in names] for events, _ in observations], float)
    counted = np.array([count for _, count in observations], float)
    loops = np.array([sum(price * events[name] for name, price in known.items()) for events, _ in observations])
    prices, *_ = np.linalg.lstsq(matrix / counted[:, None], 1 - loops / counted, rcond=None)
    return dict(zip(names, prices.tolist(), strict=True)), (matrix @ prices + loops) / counted - 1
