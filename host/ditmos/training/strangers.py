"""What a model with a scale for each person is worth on test people whom its board knows more or less about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ditmos.datasets.dataset import TEST
from ditmos.datasets.features import Prepared, calibrated
from ditmos.datasets.tensors import Windows
from ditmos.frontends.frontend import own_affine
from ditmos.frontends.integers import Int16, Rows
from ditmos.frontends.operations import Affine
from ditmos.model.quantized import QuantizedModel
from ditmos.training.score import Margins, answer_integer, score

FIRST_S = 180.0  # of a person's windows, in the order of the file


def strangers(model: QuantizedModel, margins: Margins, prepared: Prepared, *, balanced: bool) -> dict[str, float]:
    """Of the test part: "session": each person's scale is of all of that person's windows (which `ditmos train` trains
    and tests with), "first minutes": of the first three minutes of them, "uncalibrated": that of the training people.

    In integers, by the model's policy; accuracy, or the mean recall where ``balanced``.
    """
    dataset, front, samples = prepared.dataset, prepared.front, prepared.samples
    assert front is not None and samples is not None
    at = own_affine(front.operations)
    assert at is not None
    usual = front.operations[at]
    assert isinstance(usual, Affine)
    before: Rows = samples
    for operation in front.operations[:at]:
        before = operation(before)
    test = dataset.part(TEST)
    read = np.flatnonzero(prepared.used) if prepared.used else np.arange(dataset.x.shape[2])

    def seen(affine: Affine, rows: Int16) -> Int16:
        return front.of_window(affine(rows))[..., read]

    first = np.empty_like(dataset.x)
    for subject in np.unique(dataset.subject[test]):
        own = np.flatnonzero(dataset.subject == subject)
        some = own[: max(1, round(FIRST_S * front.fs / samples.shape[1]))]
        first[own] = seen(calibrated(before[some]), before[own])

    def of(x: Int16) -> float:
        rows = replace(dataset, x=x).real(test)
        windows = Windows(torch.from_numpy(rows), torch.from_numpy(dataset.y[test]))
        return score(answer_integer(model, windows), margins, balanced=balanced).value

    return {"session": of(dataset.x), "first minutes": of(first), "uncalibrated": of(seen(usual, before))}
