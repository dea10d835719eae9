"""A training run on disk: ``config.toml``, ``model.pt``, ``metrics.json``, ``history.json`` in one folder.

While it trains the folder holds ``checkpoint.pt`` instead of the model; every file is whole at any time.
"""

from __future__ import annotations

import json
import platform
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn
import torch

import ditmos
from ditmos import atomic
from ditmos import config as configuration
from ditmos.config import Config
from ditmos.datasets import Dataset
from ditmos.errors import DitmosError
from ditmos.networks import RoutedNetwork
from ditmos.spec import NetworkSpec
from ditmos.training import checkpoint
from ditmos.training.data import prepare
from ditmos.training.evaluation import accuracy, evaluate
from ditmos.training.recipe import train
from ditmos.training.session import Report, Session

FORMAT = 1
CONFIG, CHECKPOINT, MODEL, METRICS, HISTORY = (
    "config.toml",
    "checkpoint.pt",
    "model.pt",
    "metrics.json",
    "history.json",
)


class Run(NamedTuple):
    """A finished run: the network in evaluation mode, its configuration, and what else an artefact needs to say.

    metadata: ``class_names``, ``channels``, ``sample_scale`` (the data set's ``scale``), ``units``, ``fs``, and under
    ``origin`` what the model was made from.
    """

    network: RoutedNetwork
    config: Config
    metadata: dict[str, Any]


def train_run(
    config: Config, dataset: Dataset, out: Path, *, resume: bool = False, report: Report = lambda *_: None
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


def origin(config: Config, dataset: Dataset) -> dict[str, Any]:
    """Seeds, versions, hashes: what it takes to make the same model again."""
    return {
        "ditmos": ditmos.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "python": platform.python_version(),
        "git_commit": git_commit(),
        "config_sha256": config.digest,
        "task": config.task,
        "recipe": config.recipe,
        "seed": config.seed,
        "split_seed": config.data.split_seed,
        "threads": config.threads,
        "data": dataset.name,
        "features": config.data.features,
        "standardise": config.data.standardise,
        "data_sha256": dataset.sha256,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def git_commit() -> str:
    """Commit of the checkout that this package runs from, with ``+`` where it has changes; empty outside of one."""
    here = Path(__file__).parent
    try:
        command = ["git", "-C", str(here), "describe", "--always", "--abbrev=40", "--match=", "--dirty=+"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def save_model(path: Path, network: RoutedNetwork, config: Config, metadata: dict[str, Any]) -> None:
    state = {
        "format": FORMAT,
        "spec": network.spec.to_dict(),
        "mean": network.mean.tolist(),
        "std": network.std.tolist(),
        "state": network.state_dict(),
        "config": config.to_toml(),
        "metadata": metadata,
    }
    checkpoint.save(path, state)


def load_run(path: str | Path) -> Run:
    """A finished run from its folder, or from its ``model.pt``.

    Raises:
        DitmosError: not there, unfinished, damaged, or of another format.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / MODEL).exists() and (path / CHECKPOINT).exists():
            raise DitmosError(f"{path}: the run in it is not finished; go on with `ditmos train --resume`")
        path = path / MODEL
    state = checkpoint.load(path, "a trained model (model.pt, from `ditmos train`)")
    if state.get("format") != FORMAT:
        raise DitmosError(f"{path}: format is {state.get('format')!r}, expected {FORMAT}")
    try:
        config = configuration.from_toml(state["config"], str(path))
        spec = NetworkSpec.from_dict(state["spec"])
        network = RoutedNetwork(spec, state["mean"], state["std"], dropout=config.network.dropout)
        network.load_state_dict(state["state"])
        metadata = state["metadata"]
    except (KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise DitmosError(f"{path}: not a trained model ({error})") from None
    network.eval().requires_grad_(False)
    return Run(network, config, metadata)


def with_file(config: Config, file: Path) -> Config:
    """The configuration that names ``file`` as its data, so that later commands find them again."""
    return replace(config, data=replace(config.data, file=str(file.resolve())))
