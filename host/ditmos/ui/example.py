"""A model and windows that go with it, made in a moment: what tests and measurements of the page run on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ditmos.bench.golden import Style, made_for, random_model
from ditmos.datasets import Dataset, save
from ditmos.model.reference import Model
from ditmos.model.signal import Signal
from ditmos.model.spec import reference_spec
from ditmos.model.writer import write_model
from ditmos.planner import stream_plan

MODEL, DATA = "model.dtm", "windows.npz"
_WINDOWS = 60


def write_example(folder: Path) -> None:
    """`MODEL`: the reference network, 151 x 3 at 50 Hz, of random weights, planned for overlapping windows. `DATA`:
    windows whose classes are what the model says of them by its own policy."""
    spec = reference_spec()
    made = random_model(np.random.default_rng(7), spec, Style.TRAINED)
    made = made_for(made, Signal.of(made.class_names, ("ax", "ay", "az"), "g", 1 / 16, 50.0), 16.0)
    write_model(folder / MODEL, made, stream_plan(spec))
    reference = Model(made)
    steps = np.random.default_rng(1).normal(0, 9000, (_WINDOWS, spec.window, spec.channels))
    x = np.clip(steps.cumsum(1) / 12, -32000, 32000).astype(np.int16)
    quantized = reference.quantize(x)
    y = reference.classify_batch(quantized, reference.select_batch(quantized).argmax(1)).argmax(1)
    person, recording = np.zeros(_WINDOWS, np.int64), np.arange(_WINDOWS) // 6
    save(
        Dataset(x, y, person, recording, made.class_names, ("ax", "ay", "az"), 1 / 16, "g", 50.0),
        folder / DATA,
    )
