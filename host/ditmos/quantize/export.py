"""A trained run -> `QuantizedModel` and the figures of both, float and integer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ditmos.errors import DitmosError
from ditmos.model.inputs import quantize_input
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.model.signal import Signal
from ditmos.quantize.quantize import quantize
from ditmos.training.data import Windows, load_data, prepare
from ditmos.training.evaluation import Evaluation, balanced, choice, evaluate, evaluation
from ditmos.training.run import load_run


def export_run(
    path: Path,
    data: Path | None = None,
    *,
    epochs: int = 4,
    progress: Callable[[float], None] = lambda done: None,
) -> tuple[QuantizedModel, dict[str, Any]]:
    """Quantise the network of a run (folder or ``model.pt``).

    Returns:
        The model, and its figures: float and integer accuracy (routed), balanced accuracy, union and classifiers used,
        on validation and test. The test part decides nothing.

    Raises:
        DitmosError: no such run, or ``data`` (else the file of its configuration) are not what it was trained on.
    """
    run = load_run(path)
    dataset = load_data(run.config.data, data)
    trained_on = run.metadata["origin"]["data_sha256"]
    if dataset.sha256 != trained_on:
        raise DitmosError(f"{dataset.name}: not the data of {path} (sha256 {dataset.sha256[:12]}, {trained_on[:12]})")
    parts = prepare(dataset)
    about = run.metadata
    signal = Signal.of(about["class_names"], about["channels"], about["units"], about["sample_scale"], about["fs"])
    metadata = {"origin": about["origin"]}
    model, tuning = quantize(
        run.network,
        parts.train,
        parts.validation,
        signal=signal,
        epochs=epochs,
        seed=run.config.seed,
        metric=balanced if run.config.metric == "balanced" else None,
        metadata=metadata,
        progress=progress,
    )
    figures: dict[str, Any] = {
        name: {
            "windows": len(windows),
            "float": _figures(evaluate(run.network, windows)),
            "integer": _figures(evaluate_integers(model, windows)),
        }
        for name, windows in (("validation", parts.validation), ("test", parts.test))
    }
    return model, figures | {"tuning": asdict(tuning), "origin": metadata["origin"]}


def evaluate_integers(model: QuantizedModel, windows: Windows) -> Evaluation:
    """`training.evaluation.evaluate` for the integer model, run by the reference."""
    reference = Model(model)
    x = quantize_input(np.ascontiguousarray(windows.x.numpy().transpose(0, 2, 1)), model.inputs)
    gate, logits = (torch.from_numpy(part) for part in (reference.select_batch(x), reference.classify_batch(x)))
    return evaluation(choice(gate, logits), logits.argmax(2), windows.y)


def _figures(result: Evaluation) -> dict[str, Any]:
    return result.to_dict() | {"used": result.used}
