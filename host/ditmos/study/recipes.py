"""Jobs of a sweep that the training package trains: METHOD's recipe, its baseline, and ablations of both.

They share data, split, quantisation and scoring with the students of `ditmos.training.fit`; there is no pool, and no
teacher but the strong network of the recipe itself. ``config`` of the job overrides any key of
`ditmos.training.config.Config`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ditmos.datasets import Dataset
from ditmos.errors import DitmosError
from ditmos.paper.recipe import stages, train
from ditmos.paper.session import Session
from ditmos.study.entries import DataEntry, Job
from ditmos.training import config as configuration
from ditmos.training.config import Config
from ditmos.training.data import Parts
from ditmos.training.networks import RoutedNetwork
from ditmos.training.shapes import parse

# METHOD's shapes: both branches of the routed network, and the single network of the same cost. Log-mel windows are
# short: METHOD's trials on them have smaller kernels.
_BRANCH = {"log-mel": "8k5 8k5 4k3 h64"}
_BASELINE = {"log-mel": "16k5 16k5 8k3 h64"}
_BRANCH_ELSE, _BASELINE_ELSE = "8k15 8k9 4k5 h64", "16k15 16k9 8k5 h64"
_K, _AGGREGATE = 6, (1, 2)
_ELSE = ("strong", "selector")  # stages that train no classifier


def settings(job: Job, source: DataEntry, where: str = "sweep") -> Config:
    """What the job trains with. Raises DitmosError for an unknown recipe or key."""
    stages(job.recipe)
    if job.exit or job.fit:
        raise DitmosError(f"{where}: exit and fit are not for recipe {job.recipe}, expected config")
    return configuration.from_dict(
        configuration.merge(
            {
                "task": job.data,
                "recipe": job.recipe,
                "seed": job.seed,
                "threads": 1,
                "metric": source.metric,
                "network": _network(job, source.preset),
            },
            job.config,
        ),
        f"{where}: config",
    )


def _network(job: Job, preset: str) -> Mapping[str, Any]:
    if job.classifier:
        table: dict[str, Any] = {
            "classifier": asdict(parse(job.classifier)),
            "classifiers": job.classifiers,
            "start": job.start,
            "aggregate": job.aggregate,
        }
        return table | ({"selector": asdict(parse(job.selector))} if job.selector else {})
    if job.recipe in ("paper", "joint"):
        branch = asdict(parse(_BRANCH.get(preset, _BRANCH_ELSE)))
        return {"classifier": branch, "selector": branch, "classifiers": _K, "aggregate": _AGGREGATE}
    return {"classifier": asdict(parse(_BASELINE.get(preset, _BASELINE_ELSE))), "classifiers": 1}


def fit(
    config: Config, dataset: Dataset, parts: Parts, checkpoint: Path, progress: Callable[[float], None],
    curve: list[tuple[float, float]],
) -> tuple[RoutedNetwork, dict[str, Any]]:  # fmt: skip
    """Train, going on from ``checkpoint`` if it is there; removes it in the end.

    ``curve`` receives (epoch, loss) of the stages that train classifiers. Returns the network that
    validation likes best, and what the table says of the training: the stage and epoch of that network.
    """
    spec = config.network.spec(dataset.window, len(dataset.channels), dataset.classes)

    def report(_stage: str, epoch: int, epochs: int, _metrics: dict[str, float]) -> None:
        progress(epoch / epochs)

    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    session = Session(config, spec, parts, checkpoint_file=checkpoint, report=report)
    if checkpoint.exists():
        session.resume(checkpoint)
    train(session)
    checkpoint.unlink(missing_ok=True)
    for row in session.history:
        loss = row.get("classifier_loss", None if row["stage"] in _ELSE else row.get("loss"))
        if loss is not None:
            curve.append((len(curve) + 1, loss))
    assert session.best is not None  # or `train` would have said so
    chosen = {key: session.best[key] for key in ("stage", "epoch", "value")}
    return session.network, {"recipe": config.recipe, "chosen": chosen, "config": asdict(config)}
