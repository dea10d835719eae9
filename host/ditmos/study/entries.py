"""What a sweep file holds: data sets with a split, and the networks to train on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ditmos.datasets import Dataset
from ditmos.datasets.splits import SplitKind
from ditmos.model.spec import NetworkSpec
from ditmos.training.config import DataConfig, Features, Standardise
from ditmos.training.data import load_data
from ditmos.training.shapes import build


@dataclass(frozen=True)
class DataEntry:
    """One data set with one split.

    metric: accuracy, or balanced (mean recall; classes count alike in training). features, standardise: see
    `ditmos.training.config.DataConfig`. views, mixed: see `ditmos.training.pool.PoolConfig`; planar_teachers: how many
    of the ``teachers`` see the window as an image (`ditmos.training.teachers`). ``fit`` overrides keys of the sweep's.
    folds: shapes are searched for by a cross-validation of so many folds over training and validation windows
    (`ditmos.datasets.splits.folds`), for where few people validate; 0: on the validation part. The found network is
    trained, and its margins are chosen, on the two parts as they are.
    """

    file: str
    split: SplitKind = "file"
    preset: str = "motion"
    features: Features = "none"
    standardise: Standardise = "none"
    metric: Literal["accuracy", "balanced"] = "accuracy"
    views: int = 24
    mixed: float = 0.5
    teachers: int = 2
    planar_teachers: int = 0
    teacher_epochs: int = 40
    split_seed: int = 0
    folds: int = 0
    fit: Mapping[str, Any] = field(default_factory=dict)

    def dataset(self, folder: Path) -> Dataset:
        """Raises DitmosError for a file that is not there, or a split that cannot be made."""
        return load_data(
            DataConfig(
                str(folder / self.file), self.split, split_seed=self.split_seed, features=self.features,
                standardise=self.standardise,
            )
        )  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One network, trained with one seed. See `ditmos.training.shapes.build` for the shape.

    classifier: ``forest`` and ``mlp`` are those of emlearn on features made by hand (`ditmos.study.rivals`).
    finetune: epochs of fine-tuning in integers. ``fit`` overrides keys of the sweep's and of the data's.
    family: the shape is searched for (`ditmos.training.space.FAMILIES`) among ``count`` candidates instead, once for
    all seeds and without the job's ``fit``; ``flash``: bytes of the model file that it may take, 0: any; ``keep`` and
    ``rounds``: see `ditmos.training.search.search`; ``widths`` and ``fill``: see `ditmos.training.space.Budget`.
    recipe, config: of the training package instead (`ditmos.study.recipes`). ram: bytes of arena that the plan may
    take; 0: the fastest plan.
    """

    data: str
    method: str
    budget: int
    classifier: str = ""
    selector: str = ""
    classifiers: int = 1
    start: int = 0
    aggregate: tuple[int, ...] = ()
    exit: bool = False
    finetune: int = 0
    fit: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    recipe: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    ram: int = 0
    flash: int = 0
    family: str = ""
    count: int = 12
    keep: int = 3
    rounds: tuple[float, ...] = (0.15, 0.4)
    widths: float = 1.0
    fill: float = 1.0

    def spec(self, geometry: tuple[int, int, int]) -> NetworkSpec:
        return build(
            geometry, self.classifier, selector=self.selector, classifiers=self.classifiers, start=self.start,
            aggregate=self.aggregate, exit=self.exit,
        )  # fmt: skip
