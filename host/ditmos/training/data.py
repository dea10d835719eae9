"""From a file to the windows that networks read, and batches of them without a Python loop over samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ditmos.datasets import Dataset, load
from ditmos.datasets.features import (
    Prepared,
    leave_out_constant,
    standardise_subjects,
    through,
    with_features,
)
from ditmos.datasets.kinds import FrontEndName
from ditmos.datasets.splits import SplitKind, split
from ditmos.datasets.surroundings import with_surroundings
from ditmos.errors import DitmosError

Standardise = Literal["none", "subject"]
Metric = Literal["accuracy", "balanced"]


@dataclass(frozen=True)
class DataConfig:
    """split, test, validation, split_seed: see `ditmos.datasets.splits`.

    front_end: made of every window. standardise: subject puts each person's features on a scale of their own (both:
    `ditmos.datasets.features`). features: the network reads features of each window, made by hand, in place of its rows
    (method linear). surroundings: training and validation also have words at any place and level, in noise,
    in pieces, and no words (`ditmos.datasets.surroundings`; sound). metric: what everything is chosen by on validation;
    balanced is the mean recall of the classes, which then count alike in training.
    """

    split: SplitKind = "file"
    test: float = 0.2
    validation: float = 0.15
    split_seed: int = 0
    front_end: FrontEndName = "none"
    standardise: Standardise = "none"
    features: bool = False
    surroundings: bool = False
    metric: Metric = "accuracy"

    @property
    def balanced(self) -> bool:
        return self.metric == "balanced"


def load_data(config: DataConfig, data: Path | Dataset) -> Dataset:
    """What a network reads of a data set (or of the file of one), with front end and split as configured. Raises as
    `load_prepared`."""
    return load_prepared(config, data).dataset


def load_prepared(config: DataConfig, data: Path | Dataset) -> Prepared:
    """The same with the front end that makes such rows of samples, and with what the network does not read: channels
    that are constant in training.

    Raises:
        DitmosError: what `datasets.load`, the front ends, `standardise_subjects` and `split` say.
    """
    dataset = data if isinstance(data, Dataset) else load(data)
    dataset = split(dataset, config.split, test=config.test, validation=config.validation, seed=config.split_seed)
    if config.surroundings:
        dataset = with_surroundings(dataset, config.split_seed)
    prepared = through(dataset, config.front_end)
    if config.standardise == "subject":
        prepared = standardise_subjects(prepared)
    return leave_out_constant(with_features(prepared) if config.features else prepared)


def batches(count: int, size: int, rng: torch.Generator) -> Tensor:
    """Indices (steps, size) of one epoch in random order; what is left over after the last full batch sits out."""
    size = min(size, count)
    return torch.randperm(count, generator=rng)[: count // size * size].view(-1, size)


def balanced_batches(y: Tensor, size: int, rng: torch.Generator) -> Tensor:
    """Indices (steps, size), drawn with repetition so that every class comes equally often on average."""
    size = min(size, len(y))
    weights = (1 / torch.bincount(y).double())[y]
    return torch.multinomial(weights, len(y) // size * size, replacement=True, generator=rng).view(-1, size)


def cluster_batches(clusters: Tensor, k: int, size: int, rng: torch.Generator) -> Tensor:
    """Indices (steps, size, K): column i from cluster i only.

    As many steps as the mean cluster fills; a smaller cluster starts over in a new order and a larger one is drawn from
    without repetition, so that every classifier takes the same number of steps.

    Raises:
        DitmosError: an empty cluster.
    """
    members = [torch.nonzero(clusters == i).flatten() for i in range(k)]
    if not all(len(own) for own in members):
        raise DitmosError(f"cluster sizes are {[len(own) for own in members]}, expected none empty")
    size = min(size, max(len(clusters) // k, 1))
    wanted = max(len(clusters) // k // size, 1) * size
    columns = []
    for own in members:
        rounds = -(-wanted // len(own))
        order = torch.cat([own[torch.randperm(len(own), generator=rng)] for _ in range(rounds)])
        columns.append(order[:wanted].view(-1, size))
    return torch.stack(columns, dim=2)
