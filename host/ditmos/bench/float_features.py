"""What integers change: rows of a front end, and a model's labels, against the float definitions of the features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ditmos.bench.route import class_numbers, decide
from ditmos.datasets import Dataset
from ditmos.datasets.dataset import join_units
from ditmos.datasets.features import samples_of
from ditmos.datasets.units import in_whole_steps
from ditmos.errors import DitmosError
from ditmos.frontends import log_bands, log_mel, vitals
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.integers import sat16
from ditmos.frontends.log_power import ROW_SCALE
from ditmos.frontends.operations import Affine, Norm
from ditmos.frontends.spectrum import Spectrum
from ditmos.frontends.window_summary import Summary
from ditmos.model.policy import own_policy
from ditmos.model.reference import Model

_DEFINED = "log-mel, log band power, vitals"
_BLOCK = 256  # windows whose features are in memory at a time


def float_rows(front: FrontEnd, samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """(N, time, channels) -> rows (N, rows, channels) in steps of the integers, without any of their rounding; features
    made of rows by hand have no other definition than that in integers, of rounded rows.

    Raises:
        DitmosError: a front end that has no float definition.
    """
    signal = samples.transpose(0, 2, 1).astype(np.float64)
    spectrum, rest = front.spectrum, front.operations
    norm = next((o.first for o in rest if isinstance(o, Norm)), None)
    makers = {
        log_mel.MELS: lambda: log_mel.log_mel((signal * front.scale)[:, 0], front.fs),
        len(log_bands.BANDS): lambda: log_bands.log_bands(signal * front.scale, front.fs),
    }
    if spectrum is None:
        raise DitmosError(f"front end: no spectrum, expected one of those that floats define: {_DEFINED}")
    if spectrum.hop == vitals.VITALS.sizes(front.fs)[1]:
        if spectrum.floor != vitals.VITALS.spectrum(front.fs, front.scale).floor:
            raise DitmosError("front end: vitals with another floor than today's; train the model again")
        rows = vitals.vitals(signal, front.fs, front.scale, norm)
    elif len(spectrum.starts) in makers:
        rows = makers[len(spectrum.starts)]()
    else:
        raise DitmosError(f"front end: it is none of those that floats define: {_DEFINED}")
    steps = rows / np.float32(ROW_SCALE)
    for operation in rest:
        if isinstance(operation, Affine):
            factor = operation.multiplier / 2.0 ** operation.shift.astype(np.float64)
            steps = ((steps - operation.offset) * factor).astype(np.float32)
        elif isinstance(operation, Summary):
            steps = front.of_window(sat16(np.rint(steps))).astype(np.float32) if front.features_rows else steps
        elif not isinstance(operation, Norm | Spectrum):
            raise DitmosError(f"front end: {type(operation).__name__} has no float definition")
    return steps


def error(front: FrontEnd, samples: NDArray[np.int16]) -> float:
    """Root mean square of the integer rows of a front end's spectrum less float ones, nat; samples (N, time, channels).

    Raises:
        DitmosError: a front end that has no float definition.
    """
    spectrum = front.spectrum
    if spectrum is None:
        raise DitmosError(f"front end: no spectrum, expected one of those that floats define: {_DEFINED}")
    before = front.operations[: front.operations.index(spectrum)]
    front = replace(front, operations=(*before, replace(spectrum, wide=False)))
    squares = [
        np.square(front(part) - float_rows(front, part)).mean((1, 2))
        for part in (samples[i : i + _BLOCK] for i in range(0, len(samples), _BLOCK))
    ]
    return float(np.sqrt(np.concatenate(squares).mean()) * ROW_SCALE)


def raw_samples(model: Model, dataset: Dataset) -> tuple[FrontEnd, NDArray[np.int16]]:
    """The model's front end, and the windows of a set as it takes them.

    Raises:
        DitmosError: the model has no front end, or data of another kind.
    """
    front = model.model.front_end
    if front is None:
        raise DitmosError(f"{dataset.name}: the model has no front end, its rows are the data")
    whole = dataset if join_units(dataset.channel_units) == front.units else in_whole_steps(dataset)
    class_numbers(model, whole)
    return front, samples_of(whole)[0]


def labels_changed(model: Model, dataset: Dataset, index: NDArray[np.int64]) -> int:
    """How many of these windows of raw samples get another label where the model reads float features.

    Raises:
        DitmosError: the model has no front end, or one without a float definition; data of another kind.
    """
    front, samples = raw_samples(model, dataset)
    samples = samples[index]
    scales = np.array([channel.sample_scale for channel in model.inputs], np.float32)
    changed = 0
    for i in range(0, len(samples), _BLOCK):
        part = samples[i : i + _BLOCK]
        windows = (model.quantize(part), model.quantize(float_rows(front, part) * scales))
        integer, real = (decide(own_policy(model.model), model, np.ascontiguousarray(w)).label for w in windows)
        changed += int((integer != real).sum())
    return changed
