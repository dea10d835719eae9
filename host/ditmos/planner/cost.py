"""Instructions that a schedule takes on the Cortex-M7: events of the kernels and the engine, times measured prices.

The prices were fitted to counted instructions by ``python tests/cmodule/m7/calibrate.py``, which prints the table below
and how well it predicts. A plan is chosen by these figures; what it really takes is measured by `ditmos bench`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ditmos.model import packings
from ditmos.model.lanes import lane_channels
from ditmos.model.quantized import QuantizedLayer, QuantizedModel
from ditmos.model.spec import LayerShape, NetworkSpec
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
    return (packings.LANES, packings.QUADS) if shape.kind == "conv" else (packings.WIDE,)


def layer_cost(shape: LayerShape, packing: int, layers: Sequence[QuantizedLayer]) -> LayerCost:
    """Of one layer; ``layers``: its weights in all classifiers, or none."""
    if shape.kind == "fc":
        return LayerCost(shape, packing, 0, 0)
    fits = 0
    if packing == packings.LANES:
        fits = min([int(lane_channels(layer).sum()) for layer in layers], default=shape.channels_out)
    return LayerCost(shape, packing, -(-fits // 2), -(-(shape.channels_out - fits) // 4))


def _whole_layer(layer: LayerCost) -> float:
    """Instructions of the layer in one call with all the scratch it can use."""
    return instructions(call_events(layer, layer.shape.rows_out, scratch=1 << 24))


# Instructions per event.
PRICES: dict[str, float] = {
    "block": 50.06,
    "call": 142.32,
    "direct": 31.54,
    "duo": 36.90,
    "edge_word": 91.30,
    "fc_byte": 1.25,
    "fc_group": 23.65,
    "fc_run": 28.44,
    "fc_slow": 463.13,
    "fc_slow_byte": 23.66,
    "fc_words": 13.41,
    "half": 2.58,
    "half_plane": 7.60,
    "half_tap": 6.87,
    "lanes": 33.27,
    "move": 68.43,
    "move_byte": 3.35,
    "pack": 134.83,
    "pack_edge": -64.19,
    "pack_word": 10.34,
    "packed": 220.60,
    "packed_block": 52.54,
    "packed_lanes": 42.43,
    "packed_plane": 4.53,
    "packed_tap": 6.55,
    "pairs": 172.68,
    "pass": 39.12,
    "pass_alone": 13.17,
    "pass_pair": 4.51,
    "pass_run": 21.82,
    "pass_tap": 9.02,
    "plane": 5.16,
    "quad": 50.45,
    "quad_pooled": 51.09,
    "quad_single": 36.29,
    "quad_turn": 3.88,
    "quad_word": 10.95,
    "quads": 99.94,
    "row_second": 19.04,
    "rows_block": 77.99,
    "second": 6.73,
    "single_word": 6.05,
    "slice": 57.85,
    "slow": 62.56,
    "slow_plane": 31.57,
    "slow_sum": 76.43,
    "slow_tap": 19.41,
    "spare": 242.17,
    "spare_pair": 44.74,
    "stage": 66.94,
    "tap": 7.99,
    "tile": 44.67,
    "tiled": 86.72,
    "tiled_alone": 24.19,
    "tiled_pair": 5.68,
    "tiled_quad": 240.15,
    "tiled_run": 48.95,
    "tiled_tap": 20.58,
    "turn": 3.55,
    "unpacked": 111.57,
    "window": 91.41,
    "window_plane": 5.57,
    "window_tap": 8.93,
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
