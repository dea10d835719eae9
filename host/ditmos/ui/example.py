"""A model and windows that go with it, made in a moment: what tests and measurements of the page run on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos.bench.golden import Style, made_for, random_model
from ditmos.datasets import Dataset, save
from ditmos.model.quantized import QuantizedLayer, QuantizedModel
from ditmos.model.reference import Model, accumulate
from ditmos.model.signal import Signal
from ditmos.model.spec import reference_spec
from ditmos.model.writer import write_model
from ditmos.planner import stream_plan

MODEL, DATA = "model.dtm", "windows.npz"
_WINDOWS = 60
_SPREAD = 40  # steps of int8, the deviation of a logit


def write_example(folder: Path) -> None:
    """`MODEL`: the reference network, 151 x 3 at 50 Hz, of random weights, planned for overlapping windows. `DATA`:
    windows whose classes are what the model says of them by its own policy."""
    spec = reference_spec()
    made = random_model(np.random.default_rng(4), spec, Style.TRAINED)
    made = made_for(made, Signal.of(made.class_names, ("ax", "ay", "az"), "g", 1 / 16, 50.0), 16.0)
    steps = np.random.default_rng(1).normal(0, 9000, (_WINDOWS, spec.window, spec.channels))
    x = np.clip(steps.cumsum(1) / 12, -32000, 32000).astype(np.int16)
    made = _of_many_minds(made, Model(made).quantize(x))
    write_model(folder / MODEL, made, stream_plan(spec))
    reference = Model(made)
    quantized = reference.quantize(x)
    y = reference.classify_batch(quantized, reference.select_batch(quantized).argmax(1)).argmax(1)
    person, recording = np.zeros(_WINDOWS, np.int64), np.arange(_WINDOWS) // 6
    save(
        Dataset(x, y, person, recording, made.class_names, ("ax", "ay", "az"), 1 / 16, "g", 50.0),
        folder / DATA,
    )


def _of_many_minds(made: QuantizedModel, windows: NDArray[np.int8]) -> QuantizedModel:
    """The same with last layers whose outputs are centred and spread over these windows: random weights say the same of
    every window."""
    reference, spec = Model(made), made.spec
    last = len(made.selector) - 1, len(made.classifiers[0]) - 1
    shapes = spec.selector_layers()[-1], spec.classifier_layers()[-1]

    def spread(layers: tuple[QuantizedLayer, ...], branch: int, k: int) -> tuple[QuantizedLayer, ...]:
        outputs = list(reference.layer_outputs(windows, k).values())
        at = last[branch] + branch * len(made.selector)
        found = accumulate(shapes[branch], layers[-1], outputs[at - 1])
        multiplier = np.clip(_SPREAD / found.std(0) * 2**32, 1, 2**30).astype(np.int32)
        bias = (layers[-1].bias - np.rint(found.mean(0))).astype(np.int32)
        return (*layers[:-1], replace(layers[-1], bias=bias, multiplier=multiplier, zero_point=0))

    return replace(
        made,
        selector=spread(made.selector, 0, 0),
        classifiers=tuple(spread(layers, 1, k) for k, layers in enumerate(made.classifiers)),
        selector_zero_point=0,
        logit_zero_point=0,
        selector_scale=0.05,
        logit_scale=0.05,
    )
