"""int8 layers of another tool's file as a `QuantizedModel`: K files of one shape are its K classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ditmos.errors import DitmosError
from ditmos.interchange.chain import Chain, Quantity, Step
from ditmos.model.inputs import InputChannel
from ditmos.model.quantized import QuantizedLayer, QuantizedModel, check
from ditmos.model.signal import Signal
from ditmos.model.spec import NetworkSpec


def common_spec(chains: Sequence[Chain]) -> NetworkSpec:
    """Of networks of one shape. Raises DitmosError: they differ, or one is none of ours."""
    specs = [chain.finish() for chain in chains]
    for chain, spec in zip(chains[1:], specs[1:], strict=True):
        chain.need(
            spec == specs[0], f"has another shape than {chains[0].source}, expected the same for all classifiers"
        )
    return replace(specs[0], classifiers=len(chains))


def model_of(chains: Sequence[Chain], signal: Signal) -> QuantizedModel:
    """The files' own integers. Raises DitmosError: what our arithmetic (docs/arithmetic.md) cannot hold, named."""
    spec = common_spec(chains)
    window = _input(chains[0])
    for chain in chains[1:]:
        chain.need(_input(chain) == window, f"its window has another scale or zero point than {chains[0].source}")
    logits = _common_logits([_output(chain.steps[-1]) for chain in chains])
    model = QuantizedModel(
        spec=spec,
        selector=(),
        classifiers=tuple(layers_of(chain, logits) for chain in chains),
        inputs=tuple(
            InputChannel.of(window.scale, window.zero_point, scale, name, units)
            for scale, name, units in zip(signal.scales, signal.channels, signal.units, strict=True)
        ),
        selector_scale=1.0,
        selector_zero_point=0,
        logit_scale=float(np.float32(logits.scale)),
        logit_zero_point=logits.zero_point,
        class_names=signal.class_names,
        rate=float(np.float32(signal.rate)),
        padding=(window.zero_point,) * spec.channels if spec.pads_window else (),
    )
    check(model)
    return model


def into(model: QuantizedModel, k: int, chain: Chain) -> QuantizedModel:
    """The file's network in the place of classifier k.

    Raises:
        DitmosError: no such classifier, another shape, or a window of another scale.
    """
    if not 0 <= k < model.spec.classifiers:
        raise DitmosError(f"classifier is {k}, expected 0 to {model.spec.classifiers - 1}")
    ours = replace(chain.finish(), classifiers=model.spec.classifiers)
    theirs = replace(model.spec, selector=None, aggregate=(), selector_outputs=0)
    alone = not model.spec.start and not model.spec.aggregate
    chain.need(alone and ours == theirs, "has another shape than the model's classifiers, which start from the window")
    window = _input(chain)
    for channel in model.inputs:
        same = channel.scale == np.float32(window.scale) and channel.zero_point == window.zero_point
        theirs_is = f"the model's channel {channel.name!r} has {channel.scale:g} and {channel.zero_point}"
        chain.need(same, f"its window has scale {window.scale:g} and zero point {window.zero_point}, {theirs_is}")
    layers = layers_of(chain, Quantity(model.logit_scale, model.logit_zero_point))
    changed = replace(model, classifiers=(*model.classifiers[:k], layers, *model.classifiers[k + 1 :]))
    check(changed)
    return changed


def layers_of(chain: Chain, logits: Quantity) -> tuple[QuantizedLayer, ...]:
    """A classifier; ``logits``: what its class logits are to be stored as."""
    read = _input(chain)
    layers = []
    for step in chain.steps:
        last = step is chain.steps[-1]
        made = logits if last else Quantity(_output(step).scale, -128)
        bias, multiplier = _integers(chain, step, read, made)
        layers.append(QuantizedLayer(step.weight, bias, multiplier, made.zero_point))
        read = made
    return tuple(layers)


def _integers(chain: Chain, step: Step, read: Quantity, made: Quantity) -> tuple[np.ndarray, np.ndarray]:
    """Bias with the input's zero point folded in, and multiplier."""
    chain.need(step.weight.min() >= -127, f"{step.name}: a weight is -128, expected -127 to 127")
    repeats = step.kernel if step.kind == "average" else 1
    total = repeats * step.weight.astype(np.int64).reshape(step.channels, -1).sum(1)
    unit = read.scale * step.weight_scale  # of the accumulator
    bias = np.rint(step.bias / unit).astype(np.int64) - read.zero_point * total
    factor = unit / made.scale
    multiplier = np.rint(factor * 2.0**32)
    worst = int(np.argmax(multiplier))
    chain.need(
        multiplier[worst] < 2**31,
        f"{step.name}: channel {worst} multiplies its sums by {factor[worst]:.3g}, expected less than 0.5",
    )
    chain.need(np.abs(bias).max() < 2**31, f"{step.name}: a bias does not fit into 32 bits")
    return bias.astype(np.int32), np.maximum(multiplier, 1).astype(np.int32)


def _common_logits(all_of_them: Sequence[Quantity]) -> Quantity:
    """One scale and zero point for all classifiers: the coarsest of theirs."""
    return max(all_of_them, key=lambda quantity: quantity.scale)


def _input(chain: Chain) -> Quantity:
    assert chain.input is not None  # `finish` has seen to it
    return chain.input


def _output(step: Step) -> Quantity:
    assert step.output is not None  # likewise
    return step.output
