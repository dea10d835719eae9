"""Random networks, models and windows for tests: one generator for the host, the C module and the board.

Everything follows from a seed. Models are not trained: weights, multipliers and windows are drawn so that outputs cover
the int8 range, or sit at the limits that the arithmetic allows (`Style`).

``python -m ditmos.bench.golden DIR --count 20`` writes a model file and golden vectors for each seed (`vectors`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.model.inputs import MAX_ZERO_POINT, InputChannel
from ditmos.model.lanes import LANE_HALF
from ditmos.model.layer_shape import Kind, LayerShape
from ditmos.model.quantized import QuantizedLayer, QuantizedModel
from ditmos.model.reference import Int8, Model, accumulate
from ditmos.model.signal import Signal
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.use import Rule, Use, problem_of_rule
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan

Geometry = tuple[int, int, int, Kind, tuple[int, int]]  # kernel, stride, pool, kind, padding


class Style(StrEnum):
    """What the weights are like."""

    TRAINED = "trained"  # heavy-tailed like trained ones, one channel of each layer reaches 127
    UNIFORM = "uniform"  # every value equally likely: long kernels break the lane bound
    EXTREME = "extreme"  # only -127 and 127
    BOUND = "bound"  # accumulators reach LANE_HALF - 1, LANE_HALF or a little more


@dataclass(frozen=True)
class Case:
    """A model and windows int8 (N, time, channels) to run through it; the last two are extreme (-128, 127 only)."""

    seed: int
    model: QuantizedModel
    windows: Int8


def random_spec(rng: Generator, *, max_rows: int = 160, max_classifiers: int = 16, kinds: bool = False) -> NetworkSpec:
    """A network that satisfies every rule of `NetworkSpec`: any of the variants that the format can hold.

    kinds: with depthwise convolutions, averages and padding among its layers.
    """
    while True:
        try:
            return _try_spec(rng, max_rows, max_classifiers, kinds)
        except DitmosError:  # too short a window, or rows of an aggregated level differ
            continue


def random_geometry(rng: Generator, largest: int, kinds: bool) -> Geometry:
    """Of one layer. With ``kinds`` one in three is depthwise or an average, and half of the others are padded."""
    kernel, stride = int(rng.integers(1, largest + 1)), int(rng.choice([1, 1, 1, 2]))
    pool = int(rng.choice([1, 2, 2]))
    if not kinds:
        return kernel, stride, pool, "conv", (0, 0)
    kinds_of_six: tuple[Kind, ...] = ("conv", "conv", "conv", "depthwise", "depthwise", "average")
    kind = kinds_of_six[rng.integers(6)]
    if kind == "average":
        return kernel, int(rng.integers(1, kernel + 1)), 1, kind, (0, 0)
    if kind == "depthwise":  # often of the usual kernels, without pooling
        kernel, pool = int(rng.choice([kernel, min(largest, 3), min(largest, 9)])), int(rng.choice([1, 1, 2]))
    front, behind = (int(rng.integers(0, kernel)) for _ in range(2))
    return kernel, stride, pool, kind, (front, behind) if rng.random() < 0.5 else (0, 0)


def _try_spec(rng: Generator, max_rows: int, max_classifiers: int, kinds: bool) -> NetworkSpec:
    def width(most: int) -> int:
        return int(rng.integers(1, most + 1)) if rng.random() < 0.8 else 1

    def conv(geometry: Geometry) -> ConvSpec:
        return ConvSpec(width(17) if geometry[3] == "conv" else 0, *geometry)

    def branch(geometries: list[Geometry]) -> BranchSpec:
        hidden = (width(40),) if rng.random() < 0.6 else ()
        return BranchSpec(tuple(conv(g) for g in geometries), hidden)

    def outputs() -> int:
        """Of the selector: one a classifier, or class logits of its own behind those or alone."""
        if rng.random() < 0.8:
            return -1
        return common["classes"] + (common["classifiers"] if width(20) % 2 else 0)

    depth = int(rng.choice([1, 2, 3, 3, 4, 5, 6]))
    largest = int(rng.choice([3, 9, 15, 31]))
    geometries = [random_geometry(rng, largest, kinds) for _ in range(depth)]
    # Short enough for the board, long enough for the geometry, odd or even.
    needed = 1
    for kernel, stride, pool, _, pad in reversed(geometries):
        needed = max((needed * pool - 1) * stride + kernel - sum(pad), 1)
    if needed > max_rows:
        raise DitmosError("too long a window")
    window = int(rng.integers(needed, min(max_rows, 2 * needed + 3) + 1))
    common: dict[str, Any] = {
        "window": window,
        "channels": int(rng.choice([1, 1, 2, 3, 3, 4, 6, 9])),
        "classes": width(20),
        "classifiers": int(rng.integers(1, max_classifiers + 1)),
    }
    if rng.random() < 0.15:
        return NetworkSpec(**common, classifier=branch(geometries))
    start = int(rng.integers(0, depth + 1)) if rng.random() < 0.5 else 0
    own = geometries[start : start + int(rng.integers(0, depth - start + 1))] if start else list(geometries)
    if start == 0 and rng.random() < 0.3:  # other kernels, where the rows may still agree
        own = [(max(1, g[0] + int(rng.integers(-2, 3))), *g[1:]) for g in own]
    levels = range(start + 1, start + len(own) + 1)
    aggregate = tuple(level for level in levels if rng.random() < 0.6)
    return NetworkSpec(
        **common,
        selector=branch(geometries),
        classifier=branch(own),
        start=start,
        aggregate=aggregate,
        selector_outputs=outputs(),
    )


def random_model(rng: Generator, spec: NetworkSpec, style: Style | None = None) -> QuantizedModel:
    """A model of this shape; with no style given, every layer has one of its own."""
    zero_points = {"selector": int(rng.integers(-128, 128)), "classifier": int(rng.integers(-128, 128))}

    def layers(shapes: tuple[LayerShape, ...]) -> tuple[QuantizedLayer, ...]:
        return tuple(
            random_layer(
                rng, shape, style or rng.choice(list(Style)), -128 if shape.relu else zero_points[shape.branch]
            )
            for shape in shapes
        )

    def scale() -> float:
        return float(np.float32(np.exp(rng.uniform(-8, 2))))

    return QuantizedModel(
        spec=spec,
        selector=layers(spec.selector_layers()),
        classifiers=tuple(layers(spec.classifier_layers()) for _ in range(spec.classifiers)),
        inputs=tuple(random_input(rng, f"channel {i}") for i in range(spec.channels)),
        selector_scale=scale(),
        selector_zero_point=zero_points["selector"],
        logit_scale=scale(),
        logit_zero_point=zero_points["classifier"],
        class_names=tuple(f"class {i}" for i in range(spec.classes)),
        padding=tuple(rng.integers(-128, 128, spec.channels).tolist()) if spec.pads_window else (),
        rate=float(rng.integers(0, 100)),
    )


def random_input(rng: Generator, name: str) -> InputChannel:
    """Most with zero in the range of int8, some with an offset far outside of it."""
    far = rng.random() < 0.3
    zero_point = int(rng.integers(-MAX_ZERO_POINT, MAX_ZERO_POINT + 1) if far else rng.integers(-128, 128))
    scale, sample_scale = np.exp(rng.uniform(-8, 2, 2))
    return InputChannel.of(scale, zero_point, sample_scale, name, "u")


def with_left_out(rng: Generator, model: QuantizedModel, count: int) -> QuantizedModel:
    """The same model where rows have ``count`` channels more, which the network does not read."""
    inputs = list(model.inputs)
    for i in range(count):
        more = random_input(rng, f"left out {i}")._replace(used=False)
        inputs.insert(int(rng.integers(len(inputs) + 1)), more)
    return replace(model, inputs=tuple(inputs))


def random_rows(rng: Generator, model: QuantizedModel, rows: int) -> NDArray[np.float32]:
    """Rows of real values (rows, channels) over the range of every channel and a little beyond it."""
    steps = rng.uniform(-160, 160, (rows, len(model.inputs)))
    zero_point, scale = (np.array([getattr(c, name) for c in model.inputs]) for name in ("zero_point", "scale"))
    return ((steps - zero_point) * scale).astype(np.float32)


def raw_samples(real: NDArray[np.float32], model: QuantizedModel) -> NDArray[np.int16]:
    """Rows (..., channels) as a sensor with the model's sample scales gives them, saturated."""
    scale = np.array([c.sample_scale for c in model.inputs])
    return np.clip(np.rint(real / scale), -32768, 32767).astype(np.int16)


def for_samples(model: QuantizedModel, sample_scale: float, scale: float = 1 / 64) -> QuantizedModel:
    """The same model for samples of one scale, every channel around zero."""
    inputs = tuple(InputChannel.of(scale, 0, sample_scale, c.name, c.units) for c in model.read)
    return replace(model, inputs=inputs)


def made_for(model: QuantizedModel, signal: Signal, scale: float = 1 / 64) -> QuantizedModel:
    """The same model as if it had been made for these recordings, every channel around zero."""
    channels = zip(signal.channels, signal.units, signal.scales, strict=True)
    inputs = tuple(InputChannel.of(scale, 0, own, name, units) for name, units, own in channels)
    names = (*signal.class_names, *model.class_names[len(signal.class_names) :])
    return replace(model, inputs=inputs, class_names=names, rate=signal.rate)


def random_use(rng: Generator, spec: NetworkSpec) -> Use:
    """Any rule that fits the network, under a policy that need not exist."""
    rules = [rule for rule in Rule if rule != Rule.VOTES and not problem_of_rule(spec, rule)]
    margins = tuple(int(m) for m in rng.integers(-(2**31), 2**31, rng.integers(0, 9)))
    return Use(str(rng.choice(["top1", "early", "mine"])), rules[rng.integers(len(rules))], margins)


def random_layer(rng: Generator, shape: LayerShape, style: Style, zero_point: int) -> QuantizedLayer:
    """Weights in a style; bias and multiplier such that random inputs make outputs over the whole int8 range."""
    out, fan_in = shape.channels_out, shape.weights // shape.channels_out
    size = (out, fan_in)
    if style == Style.EXTREME:
        weight = rng.choice(np.array([-127, 127]), size)
    elif style == Style.UNIFORM:
        weight = rng.integers(-127, 128, size)
    else:
        weight = rng.laplace(0, 1, size)
        weight = np.rint(weight * (127 / np.abs(weight).max(1, keepdims=True)))
    weight = weight.astype(np.int64)
    if style == Style.BOUND:  # as long as one tap can carry it
        limit = (LANE_HALF - 1) // 128
        for row in weight:
            while np.abs(row).sum() > limit:
                row[np.flatnonzero(row)] -= np.sign(row[np.flatnonzero(row)])
    mean = rng.integers(-128, 128)
    total = shape.repeats * weight.sum(1)
    bias = np.rint(-mean * total + rng.normal(0, 40 * np.sqrt(shape.repeats * np.square(weight).sum(1) + 1)))
    if style == Style.BOUND:
        room = LANE_HALF - 128 * shape.repeats * np.abs(weight).sum(1)
        bias = np.where(rng.random(out) < 0.5, 1, -1) * (room - 1 + rng.integers(0, 3, out) * rng.integers(0, 2, out))
    weight = weight.astype(np.int8).reshape(shape.weight_shape)
    layer = QuantizedLayer(weight, bias.astype(np.int32), np.ones(out, np.int32), zero_point)
    rows = (shape.pool - 1) * shape.stride + shape.kernel
    x = rng.integers(-128, 128, (16, fan_in) if shape.kind == "fc" else (16, shape.channels_in, rows)).astype(np.int8)
    spread = np.abs(accumulate(shape, layer, x).swapaxes(0, 1).reshape(out, -1)).max(1) + 1
    wanted = np.exp(rng.uniform(np.log(40), np.log(400), out))  # int8 steps; more than 255 saturates
    multiplier = np.clip(np.rint(wanted / spread * 2.0**32), 1, 2**31 - 1)
    if rng.random() < 0.1:
        multiplier[rng.integers(out)] = rng.choice([1, 2**31 - 1])
    return QuantizedLayer(weight, layer.bias, multiplier.astype(np.int32), zero_point)


def random_windows(rng: Generator, spec: NetworkSpec, count: int) -> Int8:
    """Windows (N, time, channels): uniform, smooth, all -128 or 127 at random, and constant -128."""
    shape = (count, spec.window, spec.channels)
    windows = rng.integers(-128, 128, shape)
    smooth = np.cumsum(rng.normal(0, 12, shape), axis=1) + rng.normal(0, 40, (count, 1, spec.channels))
    windows[::2] = np.clip(np.rint(smooth[::2]), -128, 127)
    if count >= 2:
        windows[-2] = rng.choice(np.array([-128, 127]), shape[1:])
        windows[-1] = rng.choice(np.array([-128, 127]))
    return windows.astype(np.int8)


def case(
    seed: int, *, windows: int = 4, max_rows: int = 160, max_classifiers: int = 16, kinds: bool | None = None
) -> Case:
    """The network of one seed. One in four has all its layers in one style, the others mix them. kinds: see
    `random_spec`; by default those of seeds that 3 divides."""
    rng = np.random.default_rng(seed)
    kinds = seed % 3 == 0 if kinds is None else kinds
    spec = random_spec(rng, max_rows=max_rows, max_classifiers=max_classifiers, kinds=kinds)
    style = rng.choice(list(Style)) if rng.random() < 0.25 else None
    model, inputs = random_model(rng, spec, style), random_windows(rng, spec, windows)
    model = with_left_out(rng, model, max(0, int(rng.integers(-3, 3))))
    return Case(seed, replace(model, use=random_use(rng, spec)), inputs)


def cases(count: int, first: int = 0, **limits: Any) -> Iterator[Case]:
    """`count` cases of consecutive seeds."""
    for seed in range(first, first + count):
        yield case(seed, **limits)


def vectors(case: Case) -> bytes:
    """Golden vectors: u32 number of windows, then for each the window (time, channels), the selector's logits, and the
    class logits of classifier 0, 1, ... K - 1; all int8. Sizes follow from the model."""
    model = Model(case.model)
    selector = model.select_batch(case.windows)
    logits = model.classify_batch(case.windows)
    data = pack("<I", len(case.windows))
    for window, select, classify in zip(case.windows, selector, logits, strict=True):
        data += window.tobytes() + select.tobytes() + classify.tobytes()
    return data


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m ditmos.bench.golden", description="write random models, golden vectors"
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--windows", type=int, default=4)
    arguments = parser.parse_args()
    for item in cases(arguments.count, arguments.first, windows=arguments.windows):
        write_model(arguments.directory / f"{item.seed}.dtm", item.model, whole_plan(item.model.spec))
        (arguments.directory / f"{item.seed}.vec").write_bytes(vectors(item))


if __name__ == "__main__":
    main()
