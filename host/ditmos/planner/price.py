"""What one decision costs, before there is a plan and after: instructions of select and of one classify."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log2

from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.window_summary import Summary, triples
from ditmos.model.dryrun import simulate
from ditmos.model.padding import edge_bytes
from ditmos.model.plan import Plan
from ditmos.model.quantized import QuantizedModel
from ditmos.model.spec import NetworkSpec
from ditmos.planner.calls import Events, LayerCost, chunk_events, chunk_of
from ditmos.planner.cost import instructions, layer_options
from ditmos.planner.events import plan_events


@dataclass(frozen=True)
class Price:
    """Of the selector, and of one classifier; in instructions, or whatever else is counted."""

    select: float
    classify: float

    def of(self, runs: float) -> float:
        """A decision that runs so many classifiers."""
        return self.select + runs * self.classify


# Instructions of a Spectrum: a point and stage of the transform, a point, a weight of the bank, a band. Fitted to
# `ditmos bench frontend`, whose eight front ends they meet within 7 %.
_STAGE, _POINT, _WEIGHT, _BAND = 2.82, 18.3, 4.07, 78.4
# Of a Summary: a row, a block, a part, a channel; two blocks of a bin, a bin, a norm. Fitted to `ditmos.bench.forests`.
_ROWS, _BLOCK, _PART, _CHANNEL = 8.4, 10.0, 70.0, 130.0
_PAIR, _BIN, _NORM = 6.6, 42.0, 16.0
_PLAIN = 25  # of a value through any other operation
# Of a window of rows that moves on by one: a byte, and the rest. Of int8 of such a window: a value, a channel. Both are
# what `device/bench.py` counts, calls from MicroPython included.
_MOVED, _KEPT = 0.875, 260.0
_VALUE, _PLANE = 19.0, 90.0


def front_row(front: FrontEnd, window: int) -> float:
    """Instructions from one row of a front end to the next, given one at a time; an estimate. ``window``: rows that the
    network reads."""
    total, rows = 0.0, front.hop  # before the spectrum there is a row for every sample
    for operation, width in zip(front.operations, front.widths, strict=False):
        if operation is front.spectrum:
            points, weights = operation.points, sum(map(len, operation.weights))
            one = points * (_STAGE * log2(points) + _POINT) + _WEIGHT * weights + _BAND * len(operation.starts)
            total += width * one
            rows = 1
        elif operation is not front.summary:  # of a window, not of a row
            total += rows * width * _PLAIN
    if front.keeps_rows:
        total += _KEPT + _MOVED * 2 * (front.kept_rows(window) - 1) * front.row_channels
    return total


def read_features(front: FrontEnd) -> float:
    """Instructions of the features of a window, where the network reads them; else 0."""
    if not (front.summary and front.features_rows):
        return 0.0
    return summary_price(front.summary, front.features_rows, front.row_channels)


def fed_window(spec: NetworkSpec) -> float:
    """Instructions of int8 for a network, of a window of rows that were kept for a forest."""
    return spec.channels * (_VALUE * spec.window + _PLANE)


def summary_price(summary: Summary, window: int, channels: int) -> float:
    """Instructions of the features of a window."""
    blocks = window // summary.block
    one = _ROWS * window + _BLOCK * blocks + 4 * _PART + _CHANNEL
    spectrum = summary.bins * (_PAIR * -(-blocks // 2) + _BIN)
    return channels * (one + spectrum) + triples(channels) * (spectrum + _NORM * blocks)


def macs(spec: NetworkSpec) -> Price:
    """In multiply-accumulates."""
    return Price(
        *(sum(layer.macs for layer in layers) for layers in (spec.selector_layers(), spec.classifier_layers()))
    )


@lru_cache(maxsize=1024)
def estimated(spec: NetworkSpec) -> Price:
    """Instructions of the fastest plan, without making it: every layer by itself, in the cheapest way that the kernels
    know, with all the scratch it can use. At a thousandth of the time of `planner.front` it says mostly the same, at
    most a little less, and more where slicing in time makes a layer cheaper."""
    costs = [min(_alone(cost) for cost in options) for options in layer_options(spec)]
    first = len(spec.selector_layers())
    return Price(sum(costs[:first]), sum(costs[first:]))


def _alone(cost: LayerCost) -> float:
    shape = cost.shape
    two = len(shape.inputs) == 2
    runs = 2 if two and shape.kind == "fc" else 0  # two maps are gathered
    rows = shape.rows_out
    chunk = chunk_of(shape, 0, rows, begins=True)
    joined, edge = two and shape.kind != "fc", edge_bytes(shape, rows)
    events = chunk_events(cost, chunk, scratch=1 << 24, joined=joined, runs=runs, edge=edge)
    return instructions(events + Events({"slice": 1, "stage": 1}))


def planned(model: QuantizedModel, plan: Plan) -> Price:
    """Instructions of a plan with a model's weights, as `planner.candidate` counts them, by phase."""
    options = layer_options(model.spec, model)
    costs = [
        next((cost for cost in choice if cost.packing == packing), choice[0])
        for choice, packing in zip(options, plan.packings, strict=True)
    ]
    events = plan_events(plan, costs, simulate(model.spec, plan))
    phases = {"select": 0.0, "classify": 0.0}
    for part, counted in zip(plan.slices, events, strict=True):
        phases[part.phase] += instructions(counted)
    if model.front_end:
        phases["select"] += read_features(model.front_end)
    return Price(**phases)
