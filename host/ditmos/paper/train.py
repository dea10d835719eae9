"""A training run by a recipe, on disk: what it writes is read by `ditmos.training.run.load_run`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ditmos import atomic
from ditmos.datasets import Dataset
from ditmos.errors import DitmosError
from ditmos.paper.recipe import train
from ditmos.paper.session import EpochReport, Session
from ditmos.training.config import Config
from ditmos.training.data import prepare
from ditmos.training.evaluation import accuracy, evaluate
from ditmos.training.run import CHECKPOINT, CONFIG, HISTORY, METRICS, MODEL, Run, load_run, origin, save_model


def train_run(
    config: Config, dataset: Dataset, out: Path, *, resume: bool = False, report: EpochReport = lambda *_: None
) -> Run:
    """Train, evaluate once on the test part, write the folder.

    ``dataset`` has features and split as the configuration says (`load_data`).

    Raises:
        DitmosError: the folder holds a run and ``resume`` is not set, nothing to resume, a disk that is full.
    """
    if (out / MODEL).exists():
        if resume:
            return load_run(out)
        raise DitmosError(f"{out}: there is a finished run in it, expected a new folder")
    if (out / CHECKPOINT).exists() and not resume:
        raise DitmosError(f"{out}: there is an unfinished run in it; go on with --resume, or name a new folder")
    parts = prepare(dataset, config.device)
    spec = config.network.spec(dataset.window, len(dataset.channels), dataset.classes)
    session = Session(config, spec, parts, checkpoint_file=out / CHECKPOINT, report=report)
    if resume:
        session.resume(out / CHECKPOINT)
    else:
        atomic.write(out / CONFIG, config.to_toml().encode())
        session.save()
    train(session)
    session.save()  # counts the time
    metadata = {
        "class_names": list(dataset.class_names),
        "channels": list(dataset.channels),
        "sample_scale": dataset.scale,
        "units": dataset.units,
        "fs": dataset.fs,
        "origin": origin(config, dataset),
    }
    metrics = measure(session)
    atomic.write(out / METRICS, (json.dumps(metrics | {"origin": metadata["origin"]}, indent=2) + "\n").encode())
    atomic.write(out / HISTORY, (json.dumps(session.history) + "\n").encode())
    save_model(out / MODEL, session.network, config, metadata | {"metrics": metrics})
    (out / CHECKPOINT).unlink()
    return load_run(out)


def measure(session: Session) -> dict[str, Any]:
    """Figures of the chosen network. The test part is looked at here, and only here."""
    spec, parts, best = session.network.spec, session.parts, session.best
    result: dict[str, Any] = {
        "test": evaluate(session.network, parts.test).to_dict(),
        "validation": evaluate(session.network, parts.validation).to_dict(),
        "windows": {"train": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)},
        "chosen": {"stage": best["stage"], "epoch": best["epoch"], "value": best["value"]},
        "macs": spec.macs,
        "selector_macs": sum(layer.macs for layer in spec.selector_layers()),
        "classifier_macs": sum(layer.macs for layer in spec.classifier_layers()),
        "seconds": round(session.seconds, 1),
    }
    if "strong" in session.done:
        result["strong"] = {
            "test": accuracy(session.strong, parts.test),
            "validation": accuracy(session.strong, parts.validation),
        }
    return result
