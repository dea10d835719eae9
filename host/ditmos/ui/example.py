"""A model and windows that go with it, made in a moment: what tests and measurements of the page run on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos.bench.golden import Style, made_for, random_model
from ditmos.datasets import Dataset, save
from ditmos.frontends import log_mel
from ditmos.frontends.memory import memory
from ditmos.model.quantized import QuantizedLayer, QuantizedModel
from ditmos.model.reference import Model, accumulate
from ditmos.model.signal import Signal
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, reference_spec
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
    _save(folder, x, made, ("ax", "ay", "az"), 1 / 16, "g", 50.0, y)


def write_sound(folder: Path) -> None:
    """Sound at 16 kHz through a log-mel front end, 6 classes of random weights, under the same names."""
    front = log_mel.front_end(16000.0, 2.0**-15, "full scale", "mic")
    branch = BranchSpec((ConvSpec(8, 5), ConvSpec(8, 3)), (16,))
    spec = NetworkSpec(49, 40, 6, 3, branch, branch, aggregate=(1,))
    made = replace(random_model(np.random.default_rng(6), spec, Style.TRAINED), front_end=front)
    write_model(folder / MODEL, made, stream_plan(spec, memory(front, spec.window)))
    rng = np.random.default_rng(8)
    time = np.arange(10 * 16000) / 16000
    tone = np.sin(2 * np.pi * (500 + 300 * np.sin(time)) * time) * 2000 * (1 + np.sin(3 * time))
    sound = (tone + rng.normal(0, 200, len(time))).astype(np.int16)
    _save(folder, sound.reshape(10, 16000, 1), made, ("mic",), 2.0**-15, "full scale", 16000.0)


def write_wide(folder: Path) -> None:
    """60 channels at 128 Hz, 4 classes of random weights, under the same names."""
    names = tuple(f"c{i}" for i in range(60))
    branch = BranchSpec((ConvSpec(8, 5, 2), ConvSpec(8, 3, 2)), (8,))
    spec = NetworkSpec(256, 60, 4, 3, branch, branch)
    made = random_model(np.random.default_rng(6), spec, Style.TRAINED)
    made = made_for(made, Signal.of(made.class_names, names, "uV", 0.1, 128.0), 2.0)
    write_model(folder / MODEL, made, stream_plan(spec))
    x = np.random.default_rng(8).normal(0, 300, (10, 256, 60)).cumsum(1).clip(-32000, 32000).astype(np.int16)
    _save(folder, x, made, names, 0.1, "uV", 128.0)


def _save(
    folder: Path,
    x: NDArray[np.int16],
    made: QuantizedModel,
    channels: tuple[str, ...],
    scale: float,
    units: str,
    fs: float,
    y: NDArray[np.int64] | None = None,
) -> None:
    person, recording = np.zeros(len(x), np.int64), np.arange(len(x)) // 6
    classes = person if y is None else y
    save(Dataset(x, classes, person, recording, made.class_names, channels, scale, units, fs), folder / DATA)


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
