"""Windows as tensors in memory, augmented and cut into batches without a Python loop over samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ditmos.datasets import TEST, TRAIN, VALIDATION, Dataset, load
from ditmos.datasets.features import Prepared, standardise_subjects, to_log_bands, to_log_mel
from ditmos.datasets.splits import split
from ditmos.errors import DitmosError
from ditmos.training.config import AugmentConfig, DataConfig


@dataclass(frozen=True)
class Windows:
    """``x`` (N, channels, time) float32 in real units, ``y`` (N,) int64."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Parts:
    """The three parts of a data set, and mean and standard deviation of the training part per channel."""

    train: Windows
    validation: Windows
    test: Windows
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load_data(config: DataConfig, file: str | Path | None = None) -> Dataset:
    """The data set that a configuration names, or ``file``, with its features and its split. Raises as
    `load_prepared`."""
    return load_prepared(config, file).dataset


def load_prepared(config: DataConfig, file: str | Path | None = None) -> Prepared:
    """The same with the front end that makes such rows of samples.

    Raises:
        DitmosError: no file named, or what `datasets.load`, the features, `standardise_subjects` and `split` say.
    """
    name = file or config.file
    if not name:
        raise DitmosError("no dataset: name one with --data, or data.file in the configuration")
    dataset = load(name)
    dataset = split(dataset, config.split, test=config.test, validation=config.validation, seed=config.split_seed)
    features = {"none": lambda d: Prepared(d, None), "log-mel": to_log_mel, "log-bands": to_log_bands}
    prepared = features[config.features](dataset)
    return standardise_subjects(prepared) if config.standardise == "subject" else prepared


def prepare(dataset: Dataset, device: str = "cpu") -> Parts:
    """Raises DitmosError where training or validation is empty, or a class has no training window."""
    parts = []
    for which, name in ((TRAIN, "training"), (VALIDATION, "validation"), (TEST, "test")):
        index = dataset.part(which)
        if not len(index):
            raise DitmosError(f"{dataset.name}: no {name} window in the split")
        x, y = torch.from_numpy(dataset.real(index)), torch.from_numpy(dataset.y[index])
        parts.append(Windows(x.to(device), y.to(device)))
    train = parts[0]
    absent = [name for i, name in enumerate(dataset.class_names) if not (train.y == i).any()]
    if absent:
        raise DitmosError(f"{dataset.name}: no training window of class {absent[0]!r} ({len(absent)} such classes)")
    std, mean = torch.std_mean(train.x.double(), dim=(0, 2))
    return Parts(*parts, mean=tuple(mean.tolist()), std=tuple(std.clamp(min=1e-6).tolist()))


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


class Augment:
    """Random changes of a batch (see `AugmentConfig`), all drawn from ``rng``."""

    def __init__(self, config: AugmentConfig, mean: tuple[float, ...], std: tuple[float, ...], rng: torch.Generator):
        """Raises DitmosError where rotation is asked for and the channels do not come in threes."""
        if config.rotate and len(mean) % 3:
            raise DitmosError(f"augment.rotate needs channels in threes, expected 3, 6 or 9; there are {len(mean)}")
        self.config, self.rng = config, rng
        self.mean, self.std = torch.tensor(mean)[:, None], torch.tensor(std)[:, None]

    def __call__(self, x: Tensor) -> Tensor:
        """x (N, channels, time) -> the same shape, on the device of x."""
        config, device = self.config, x.device
        count, channels, rows = x.shape
        if config.rotate:
            angle = torch.empty(count).uniform_(0, config.rotate * torch.pi / 180, generator=self.rng)
            axis = torch.nn.functional.normalize(torch.randn(count, 3, generator=self.rng), dim=1)
            matrix = rotation(axis * angle[:, None]).to(device)
            x = torch.einsum("nij,ngjt->ngit", matrix, x.unflatten(1, (-1, 3))).flatten(1, 2)
        if config.shift:
            offset = torch.randint(-config.shift, config.shift + 1, (count, 1), generator=self.rng)
            index = (torch.arange(rows) + offset).clamp(0, rows - 1).to(device)
            x = x.gather(2, index[:, None].expand(-1, channels, -1))
        if config.scale:
            x = x * (config.scale * torch.randn(count, 1, 1, generator=self.rng)).exp().to(device)
        if config.noise:
            x = x + (config.noise * self.std * torch.randn(x.shape, generator=self.rng)).to(device)
        if config.mask:
            for axis, length in ((2, rows), (1, channels)):
                first = torch.randint(length, (count, 1), generator=self.rng)
                width = torch.randint(config.mask + 1, (count, 1), generator=self.rng)
                position = torch.arange(length)
                hidden = (position >= first) & (position < first + width)
                x = torch.where(hidden.unsqueeze(3 - axis).to(device), self.mean.to(device), x)
        return x


def rotation(vector: Tensor) -> Tensor:
    """Rotation matrices (N, 3, 3) of rotation vectors (N, 3) in rad."""
    zero = torch.zeros(len(vector))
    x, y, z = vector.unbind(1)
    return torch.linalg.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3))
