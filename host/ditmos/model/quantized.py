"""The integer model: int8 weights and their requantisation, run by `reference.py`, packed by `packings.py`.

The arithmetic is written down in docs/arithmetic.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.frontends.frontend import FrontEnd
from ditmos.model.forest import Forest, check_forest
from ditmos.model.inputs import InputChannel, check_input
from ditmos.model.layer_shape import LayerShape
from ditmos.model.spec import NetworkSpec
from ditmos.model.strings import check_name
from ditmos.model.use import Rule, Use, check_use, default_use

INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class QuantizedLayer:
    """Weights of one layer of one branch.

    weight: int8 in [-127, 127]; (out, in, kernel) for a convolution, (out, 1, kernel) for a depthwise one, (out, 1, 1)
        for an average, (out, in) for a fully connected layer, ``in`` in the order of ``LayerShape.inputs``, each fully
        connected input flattened channel by channel.
    bias: int32 (out,), with the input zero point folded in: ``round(b / s) - zero_point_in * sum(weight)``.
    multiplier: int32 (out,) in [1, 2^31): the factor from accumulator to output, times 2^32.
    zero_point: of the output; -128 behind a ReLU.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    zero_point: int = -128


@dataclass(frozen=True)
class QuantizedModel:
    """A whole routed network in integers.

    inputs: what each channel of a row is, and how its values become int8; those that are not used the network does not
        read.
    rate: rows per second, 0 where it is not known.
    use: who answers, by which policy; None: what `default_use` says of the network.
    front_end: makes the window's rows of raw samples; None where the samples are the rows.
    padding: what a row of padding of the window holds, int8 for each channel; empty where no layer pads it.
    forest: votes on the features that the front end makes of a window; all there is without a classifier.
    metadata: for people (docs/format.md, META).
    selector_scale / selector_zero_point and logit_scale / logit_zero_point: of the selector's logits and of the class
        logits; the latter are shared by all K classifiers, so that their logits can be compared and averaged.
    """

    spec: NetworkSpec
    selector: tuple[QuantizedLayer, ...]
    classifiers: tuple[tuple[QuantizedLayer, ...], ...]
    inputs: tuple[InputChannel, ...]
    selector_scale: float
    selector_zero_point: int
    logit_scale: float
    logit_zero_point: int
    class_names: tuple[str, ...]
    rate: float = 0.0
    use: Use = None  # type: ignore[assignment]  # __post_init__
    metadata: dict[str, Any] = field(default_factory=dict)
    front_end: FrontEnd | None = None
    padding: tuple[int, ...] = ()
    forest: Forest | None = None

    def __post_init__(self) -> None:
        if self.use is None:
            object.__setattr__(self, "use", default_use(self.spec))

    @property
    def read(self) -> tuple[InputChannel, ...]:
        """The channels of a window: those of a row that are used."""
        return tuple(channel for channel in self.inputs if channel.used)

    def branches(self) -> Iterator[tuple[str, LayerShape, QuantizedLayer]]:
        """Every layer of the selector, then of each classifier: its name in messages, shape and weights."""
        for shape, layer in zip(self.spec.selector_layers(), self.selector, strict=True):
            yield shape.name, shape, layer
        for k, layers in enumerate(self.classifiers):
            for shape, layer in zip(self.spec.classifier_layers(), layers, strict=True):
                yield f"{shape.name} of classifier {k}", shape, layer


def accumulator_bound(layer: QuantizedLayer, repeats: int = 1) -> NDArray[np.int64]:
    """(out,) largest magnitude that a partial sum can reach on any input, in any order of summation. ``repeats``: of
    each weight (`LayerShape.repeats`)."""
    weights = np.abs(layer.weight.astype(np.int64)).reshape(len(layer.weight), -1).sum(1)
    return np.abs(layer.bias.astype(np.int64)) + 128 * repeats * weights


def check(model: QuantizedModel) -> None:
    """Refuse a model that breaks a rule of docs/arithmetic.md.

    Raises:
        DitmosError: wrong number of layers, shapes, types, ranges, or an accumulator that could overflow.
    """

    def need(ok: bool, what: str) -> None:
        if not ok:
            raise DitmosError(f"model: {what}")

    spec = model.spec
    need(
        len(model.classifiers) == spec.classifiers, f"{len(model.classifiers)} classifiers, expected {spec.classifiers}"
    )
    for name, layers, shapes in [
        ("selector", model.selector, spec.selector_layers()),
        *((f"classifier {k}", layers, spec.classifier_layers()) for k, layers in enumerate(model.classifiers)),
    ]:
        need(len(layers) == len(shapes), f"{name} has {len(layers)} layers, expected {len(shapes)}")
    need(len(model.class_names) == spec.classes, f"{len(model.class_names)} class names, expected {spec.classes}")
    used = sum(channel.used for channel in model.inputs)
    need(used == spec.channels, f"{used} input channels are used, the network reads {spec.channels}")
    for name in model.class_names:
        check_name("class name", name)
    for channel in model.inputs:
        check_name("channel", channel.name)
        check_name("unit", channel.units)
        check_input(channel)
    if front := model.front_end:
        made = front.channels_out
        rows = len(model.inputs)
        need(made == rows, f"rows of the front end have {made} channels, {rows} are described")
        check_name("unit of the samples", front.units)
        for name in front.channel_names:
            check_name("channel of the samples", name)
        front.check_window(spec.window)
    rows = spec.channels if spec.pads_window else 0
    need(len(model.padding) == rows, f"padding of the window has {len(model.padding)} values, expected {rows}")
    need(all(-128 <= p <= 127 for p in model.padding), f"padding is {list(model.padding)}, expected -128 to 127")
    summary = front.summary if front else None
    need(bool(spec.classifiers or model.forest), "has neither a network nor a forest")
    if model.forest:
        need(summary is not None, "the forest has no features to read: the front end needs a Summary")
        assert front and summary
        check_forest(model.forest, summary.count(front.row_channels), spec.classes, spec.classifiers)
    named = model.forest is not None and model.forest.clusters is not None
    need(named == (model.use.rule == Rule.VOTES), "the rule VOTES and clusters of votes go together")
    rate = model.rate
    need(0 <= rate < 2.0**127 and rate == np.float32(rate), f"rate is {rate}, expected rows per second as a float32")
    check_use(spec, model.use)
    for field_name in ("selector_scale", "logit_scale"):
        value = getattr(model, field_name)
        need(value > 0 and isfinite(value), f"{field_name} is {value}, expected a positive number")
        need(value == np.float32(value), f"{field_name} is {value}, expected a float32 number")
    for field_name in ("selector_zero_point", "logit_zero_point"):
        value = getattr(model, field_name)
        need(-128 <= value <= 127, f"{field_name} is {value}, expected -128 to 127")

    last = {"selector": model.selector_zero_point, "classifier": model.logit_zero_point}
    for name, shape, layer in model.branches():
        weight, out = layer.weight, (shape.channels_out,)
        need(
            weight.dtype == np.int8 and weight.shape == shape.weight_shape,
            f"{name}: weights are {weight.dtype} {weight.shape}, expected int8 {shape.weight_shape}",
        )
        need(weight.min() >= -127, f"{name}: a weight is -128, expected -127 to 127")
        for field_name in ("bias", "multiplier"):
            value = getattr(layer, field_name)
            need(
                value.dtype == np.int32 and value.shape == out,
                f"{name}: {field_name} is {value.dtype} {value.shape}, expected int32 {out}",
            )
        need(layer.multiplier.min() >= 1, f"{name}: multiplier is {layer.multiplier.min()}, expected 1 to 2^31 - 1")
        expected = -128 if shape.relu else last[shape.branch]
        need(layer.zero_point == expected, f"{name}: zero point is {layer.zero_point}, expected {expected}")
        bound = accumulator_bound(layer, shape.repeats).max()
        need(bound <= INT32_MAX, f"{name}: the accumulator can reach {bound}, expected at most {INT32_MAX}")
