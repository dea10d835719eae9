"""A training run on disk: ``config.toml``, ``model.pt``, ``metrics.json``, ``history.json`` in one folder.

While it trains the folder holds ``checkpoint.pt`` instead of the model; every file is whole at any time.
"""

from __future__ import annotations

import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn
import torch

import ditmos
from ditmos.datasets import Dataset
from ditmos.errors import DitmosError
from ditmos.model.spec import NetworkSpec
from ditmos.paths import commit
from ditmos.training import checkpoint
from ditmos.training import config as configuration
from ditmos.training.config import Config
from ditmos.training.networks import RoutedNetwork

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


def origin(config: Config, dataset: Dataset) -> dict[str, Any]:
    """Seeds, versions, hashes: what it takes to make the same model again."""
    return {
        "ditmos": ditmos.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "python": platform.python_version(),
        "git_commit": commit(),
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
